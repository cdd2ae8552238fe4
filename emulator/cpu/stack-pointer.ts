import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Access } from '../engine/host';
import { Segment } from '../memory/layout';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';
import type { SegmentRegister } from './state';
import { Privilege } from './translation';

const RSP = 4;

/** Bits of the stack pointer: 64 in 64-bit mode, otherwise by SS.B (SDM vol. 1, 6.2.3). */
export const stackWidth = (cpu: Processor, stack?: SegmentRegister): 16 | 32 | 64 =>
  cpu.codeSize === 64
    ? 64
    : (stack?.access ?? cpu.state.segmentAccess(Segment.SS)) & AccessRights.DEFAULT_BIG
      ? 32
      : 16;

/**
 * A stack that helpers push on and pop from before they commit anything: the pointer moves here, and only `commit`
 * writes RSP. Limit and canonical violations raise #SS with the given error code.
 */
export class StackPointer {
  private pointer: bigint;
  private readonly mask: bigint;

  constructor(
    private readonly cpu: Processor,
    private readonly segment: SegmentRegister,
    private readonly width: 16 | 32 | 64,
    pointer: bigint,
    private readonly privilege: Privilege = Privilege.Current,
    private readonly errorCode = 0,
  ) {
    this.mask = (1n << BigInt(width)) - 1n;
    this.pointer = pointer & this.mask;
  }

  /** The stack that is in use. */
  static current(cpu: Processor): StackPointer {
    return new StackPointer(cpu, cpu.state.segment(Segment.SS), stackWidth(cpu), cpu.state.gpr(RSP));
  }

  get value(): bigint {
    return this.pointer;
  }

  /** Raises what pushing this many bytes would raise, before the first is written. */
  reserve(bytes: number): void {
    const offset = (this.pointer - BigInt(bytes)) & this.mask;
    this.cpu.linear.check(this.address(offset, bytes), bytes, Access.Write, this.privilege);
  }

  push(value: bigint, size: number): void {
    this.pointer = (this.pointer - BigInt(size)) & this.mask;
    this.cpu.linear.write(this.address(this.pointer, size), size, value, this.privilege);
  }

  pop(size: number): bigint {
    const value = this.cpu.linear.read(this.address(this.pointer, size), size, this.privilege);
    this.pointer = (this.pointer + BigInt(size)) & this.mask;
    return value;
  }

  /** Leaves bytes out, as RET with an immediate does. */
  skip(bytes: number): void {
    this.pointer = (this.pointer + BigInt(bytes)) & this.mask;
  }

  /** Reads without moving. */
  peek(offset: number, size: number): bigint {
    return this.cpu.linear.read(this.address((this.pointer + BigInt(offset)) & this.mask, size), size, this.privilege);
  }

  /** Writes the pointer to RSP; a 16-bit stack keeps the upper bits. */
  commit(): void {
    const { state } = this.cpu;
    state.setGpr(RSP, this.width === 16 ? (state.gpr(RSP) & ~0xffffn) | this.pointer : this.pointer);
  }

  private address(offset: bigint, size: number): bigint {
    const last = offset + BigInt(size - 1);
    if (this.width === 64 && this.cpu.longMode) {
      if (isCanonical(offset) && isCanonical(last)) return offset;
      throw this.cpu.fault(Vector.SS, this.errorCode);
    }
    const { limit, access } = this.segment;
    const expandDown = (access & 0xc) === 4;
    const top = access & AccessRights.DEFAULT_BIG ? 0xffffffffn : 0xffffn;
    const bad = expandDown ? offset <= BigInt(limit) || last > top : last > BigInt(limit);
    if (bad) throw this.cpu.fault(Vector.SS, this.errorCode);
    return (this.segment.base + offset) & 0xffffffffn;
  }
}
