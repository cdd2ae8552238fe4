import { Engine } from '../../emulator/engine/engine';
import { Access, EngineExit, type EngineHost } from '../../emulator/engine/host';
import {
  RAM_BASE,
  Segment,
  State,
  TLB_ADDEND,
  TLB_BANK_SIZE,
  TLB_BASE,
  TLB_CODE,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_EXECUTE,
  TLB_READ,
  TLB_WRITE,
} from '../../emulator/memory/layout';
import { MachineMemory } from '../../emulator/memory/machine-memory';

const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;

/** Linear address = RAM offset, with pages that can be taken away: the smallest host that the engine runs on. */
export class FlatHost implements EngineHost {
  readonly unmapped = new Set<bigint>();
  readonly readOnly = new Set<bigint>();
  /** Raise #GP for addresses that are not canonical, as the processor does; else they are absent pages. */
  nonCanonicalFaults = false;
  engine!: Engine;

  constructor(readonly memory: MachineMemory) {
    memory.view.setInt32(State.TLB_BANK, TLB_BASE, true);
    this.flush();
  }

  flush(): void {
    this.memory.u8.fill(0xff, TLB_BASE, TLB_BASE + TLB_BANK_SIZE);
  }

  private translate(linear: bigint, access: Access): number {
    const address = BigInt.asUintN(64, linear);
    const page = address & ~0xfffn;
    const readOnly = access === Access.Write && this.readOnly.has(page);
    if (address >= BigInt(this.memory.ramSize) || this.unmapped.has(page) || readOnly) {
      const { view } = this.memory;
      view.setInt32(State.FAULT, 1, true);
      view.setInt32(State.FAULT_KIND, 1, true);
      const canonical = BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
      const vector = canonical || !this.nonCanonicalFaults ? PAGE_FAULT : GENERAL_PROTECTION;
      view.setInt32(State.FAULT_VECTOR, vector, true);
      view.setBigUint64(State.FAULT_LINEAR, address, true);
      return -1;
    }
    const host = RAM_BASE + Number(address);
    this.fill(page, host & ~0xfff);
    return host;
  }

  private fill(page: bigint, host: number): void {
    const { view } = this.memory;
    const entry = TLB_BASE + (Number(page >> 12n) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
    const writable = !this.engine.isCodePage(host) && !this.readOnly.has(page);
    view.setBigUint64(entry + TLB_READ, page, true);
    view.setBigInt64(entry + TLB_WRITE, writable ? BigInt.asIntN(64, page) : -1n, true);
    const same = view.getBigUint64(entry + TLB_EXECUTE, true) === page;
    view.setBigUint64(entry + TLB_EXECUTE, page, true);
    view.setInt32(entry + TLB_ADDEND, RAM_BASE, true);
    if (!same) view.setInt32(entry + TLB_CODE, 0, true);
  }

  slowLoad(linear: bigint, size: number, forWrite: boolean): bigint {
    const access = forWrite ? Access.Write : Access.Read;
    if (this.translate(linear, access) < 0 || this.translate(linear + BigInt(size - 1), access) < 0) return 0n;
    let value = 0n;
    for (let i = 0; i < size; i++) {
      value |= BigInt(this.memory.u8[RAM_BASE + Number(BigInt.asUintN(64, linear)) + i] ?? 0) << BigInt(8 * i);
    }
    return value;
  }

  slowStore(linear: bigint, size: number, value: bigint): void {
    const last = linear + BigInt(size - 1);
    if (this.translate(linear, Access.Write) < 0 || this.translate(last, Access.Write) < 0) return;
    const at = RAM_BASE + Number(BigInt.asUintN(64, linear));
    for (let i = 0; i < size; i++) this.memory.u8[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    this.engine.codeWritten(at, size);
  }

  refill(linear: bigint, size: number, access: Access): boolean {
    const crosses = ((linear ^ (linear + BigInt(size - 1))) & ~0xfffn) !== 0n;
    if (crosses) return false;
    const { view } = this.memory;
    const at = this.translate(linear, access);
    view.setInt32(State.FAULT, 0, true);
    return at >= 0 && !(access === Access.Write && this.engine.isCodePage(at & ~0xfff));
  }

  fetch(linear: bigint): number {
    const at = this.translate(linear, Access.Execute);
    if (at < 0) return -1;
    const page = at & ~0xfff;
    const entry = TLB_BASE + ((Number(linear) >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
    this.memory.view.setBigInt64(entry + TLB_WRITE, -1n, true);
    return page;
  }
}

/** An engine on flat memory, in a mode with flat segments. */
export class FlatMachine {
  readonly memory: MachineMemory;
  readonly host: FlatHost;
  readonly engine: Engine;

  constructor(codeSize: 16 | 32 | 64 = 64, ramSize = 4 << 20) {
    this.memory = new MachineMemory(ramSize);
    this.host = new FlatHost(this.memory);
    this.engine = new Engine(this.memory, this.host);
    this.host.engine = this.engine;
    this.setMode(codeSize);
    this.memory.view.setInt32(State.CR0, codeSize === 16 ? 0 : 1, true);
    this.rflags = 2n;
  }

  setMode(codeSize: 16 | 32 | 64): void {
    const { view } = this.memory;
    view.setInt32(State.EFER, codeSize === 64 ? 1 << 10 : 0, true);
    const access = codeSize === 64 ? 0xa09b : codeSize === 32 ? 0xc09b : 0x9b;
    const limit = codeSize === 16 ? 0xffff : -1;
    for (let segment = 0; segment < 6; segment++) {
      this.setSegment(segment, segment === (Segment.CS as number) ? access : (access & ~0x8) | 0x93, limit, 0n);
    }
    view.setInt32(State.SEGMENTS + Segment.SS * 32 + 4, codeSize === 16 ? 0x93 : 0xc093, true);
    this.engine.modeChanged();
  }

  setSegment(segment: number, access: number, limit: number, base: bigint): void {
    const { view } = this.memory;
    view.setInt32(State.SEGMENTS + segment * 32 + 4, access, true);
    view.setInt32(State.SEGMENTS + segment * 32 + 8, limit, true);
    view.setBigUint64(State.SEGMENTS + segment * 32 + 16, base, true);
  }

  load(address: number, bytes: Uint8Array | readonly number[]): void {
    this.memory.u8.set(bytes, RAM_BASE + address);
    this.engine.codeChanged(RAM_BASE + address, bytes.length);
  }

  gpr(register: number): bigint {
    return this.memory.view.getBigUint64(State.GPR + register * 8, true);
  }

  setGpr(register: number, value: bigint): void {
    this.memory.view.setBigUint64(State.GPR + register * 8, BigInt.asUintN(64, value), true);
  }

  get rip(): bigint {
    return this.memory.view.getBigUint64(State.RIP, true);
  }

  set rip(value: bigint) {
    this.memory.view.setBigUint64(State.RIP, value, true);
  }

  get retired(): bigint {
    return this.memory.view.getBigUint64(State.RETIRED, true);
  }

  get faultVector(): number {
    return this.memory.view.getInt32(State.FAULT_VECTOR, true);
  }

  /** RFLAGS from the normal form in the state block. */
  get rflags(): bigint {
    const { view } = this.memory;
    const result = view.getBigInt64(State.FLAGS_RESULT, true);
    const aux = view.getUint32(State.FLAGS_AUX, true);
    let parity = (Number(result & 0xffn) ^ (aux >>> 8)) & 0xff;
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    const flags =
      (aux >>> 31) |
      ((~parity & 1) << 2) |
      (((aux >>> 3) & 1) << 4) |
      ((result === 0n ? 1 : 0) << 6) |
      (((result < 0n ? 1 : 0) ^ (aux & 1)) << 7) |
      (((aux ^ (aux << 1)) >>> 31) << 11);
    return BigInt(flags | view.getInt32(State.FLAGS_SYSTEM, true)) | 2n;
  }

  set rflags(value: bigint) {
    const bit = (n: number): number => Number((value >> BigInt(n)) & 1n);
    const { view } = this.memory;
    view.setBigInt64(State.FLAGS_RESULT, bit(6) ? 0n : 1n, true);
    const parityFix = bit(2) ^ bit(6);
    const aux = (bit(0) << 31) | ((bit(0) ^ bit(11)) << 30) | (parityFix << 8) | (bit(4) << 3) | bit(7);
    view.setInt32(State.FLAGS_AUX, aux, true);
    view.setInt32(State.FLAGS_SYSTEM, Number(value & 0x3f7700n), true);
  }

  /** Runs until a helper instruction, a fault or the limit. */
  run(limit = 1 << 30): EngineExit {
    return this.engine.run(limit, false);
  }
}
