import { type AddressWidth, Context, Register, type RepeatPrefix, SegmentUse, type Width } from '../../isa/context';
import { FlagKind, type NormalFlags } from '../../isa/flag-arithmetic';
import type { Instruction } from '../../isa/instruction';
import { parseOperandCode } from '../../isa/operand';
import type { InstructionRow } from '../../isa/row';
import { State, TLB_ADDEND, TLB_READ, TLB_WRITE } from '../../memory/layout';
import { i32, i64, type Value } from '../../wasm/expression';
import type { Label } from '../../wasm/function-builder';
import { Access } from '../host';
import { readVmcsField, writeVmcsField } from '../vmcs-access';
import { repeatPrefixOf } from './instruction-effects';
import { conditionOf, lazyKind, normalOf, type FlagProducer } from './lazy-flags';
import { loadOpcode, storeOpcode } from './memory-opcodes';
import type { RegionEmitter } from './region-emitter';

/** A register write that waits for the end of the instruction. */
interface PendingWrite {
  readonly register: number;
  readonly width: Width;
  readonly high: boolean;
  readonly value: Value;
}

/**
 * The context of translated code: operands are known while emitting, registers are locals of the region, flags are
 * kept unevaluated. 64-bit mode only. Whatever cannot be done here leaves the region before the instruction.
 */
export class TranslationContext extends Context {
  readonly longMode = true;
  readonly stackSize = 64;
  flagsLive = true;
  /** Producer of the flags in the region's locals, when known at this point */
  private producer: FlagProducer | undefined;
  private current: Instruction | undefined;
  private pending: PendingWrite[] = [];
  private displacement: Value | undefined;
  private operandAddress: Value | undefined;
  private hostAddress: Value | undefined;
  private endLabel: Label | undefined;
  private ended = false;
  private targetChecked = false;

  constructor(private readonly region: RegionEmitter) {
    super(region.f);
  }

  /** Translates one instruction. True when control cannot go on behind it. */
  translate(instruction: Instruction, flagsLive: boolean, mayFinish: boolean): boolean {
    this.current = instruction;
    this.flagsLive = flagsLive;
    this.displacement = this.operandAddress = this.hostAddress = undefined;
    this.ended = this.targetChecked = false;
    const { meaning } = instruction.row;
    if (!meaning) throw new Error(`${instruction.row.mnemonic} has no meaning to translate`);
    this.endLabel = mayFinish ? this.f.block() : undefined;
    meaning(this);
    if (!this.ended) this.commit();
    if (this.endLabel !== undefined) {
      this.f.end();
      // Arrived at with the flags of either path
      this.forgetFlags();
      if (this.ended) this.region.goTo(this.following);
    }
    this.f.releaseTemporaries();
    return this.ended;
  }

  /** At a place that several paths lead to, the producer of the flags is only known at run time. */
  forgetFlags(): void {
    this.producer = undefined;
  }

  private get instruction(): Instruction {
    if (!this.current) throw new Error('no instruction is being translated');
    return this.current;
  }

  get row(): InstructionRow {
    return this.instruction.row;
  }

  get operandSize(): 16 | 32 | 64 {
    const { operandSize } = this.instruction;
    return operandSize === 8 ? 32 : operandSize;
  }

  get addressSize(): AddressWidth {
    return this.instruction.addressSize;
  }

  get repeatPrefix(): RepeatPrefix {
    return repeatPrefixOf(this.instruction);
  }

  // Operands

  isMemory(operand: number): boolean {
    const { kind } = parseOperandCode(this.operandCode(operand));
    return kind === 'M' || kind === 'O' || (kind === 'E' && this.instruction.isMemory);
  }

  read(operand: number): Value {
    const width = this.widthOf(operand);
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (this.isMemory(operand)) return this.loadLinear(this.operandLinear(), width);
    if (kind === 'I' || kind === 'sI') return this.truncateConstant(this.immediateOf(operand), width);
    if (kind === 'fixed' && type === '1') return this.k(width, 1);
    const { register, high } = this.registerOf(operand, width);
    const value = this.gpr(register);
    return high ? this.f.and(this.f.shrU(this.f.wrap(value), i32(8)), i32(0xff)) : this.truncate(value, width);
  }

  readForWrite(operand: number): Value {
    if (!this.isMemory(operand)) return this.read(operand);
    const width = this.widthOf(operand);
    this.hostAddress = this.translateLinear(this.operandLinear(), width, Access.Write);
    const { opcode, type } = loadOpcode(width);
    return this.f.let(this.f.load(opcode, type, this.hostAddress));
  }

  write(operand: number, value: Value): void {
    const width = this.widthOf(operand);
    if (this.isMemory(operand)) {
      if (this.hostAddress) this.f.store(storeOpcode(width), this.hostAddress, value);
      else this.storeLinear(this.operandLinear(), width, value);
      return;
    }
    const { register, high } = this.registerOf(operand, width);
    this.pending.push({ register, width, high, value });
  }

  protected readWhole(operand: number): Value {
    return this.gpr(this.registerOf(operand, 64).register);
  }

  protected writeWhole(operand: number, value: Value): void {
    this.setGpr(this.registerOf(operand, 64).register, value);
  }

  private registerOf(operand: number, width: Width): { register: number; high: boolean } {
    const { instruction } = this;
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (kind === 'fixed') return fixedRegister(type);
    const register = kind === 'G' ? instruction.reg : instruction.rm;
    // Without REX, byte registers 4..7 are AH, CH, DH, BH (SDM vol. 2, table 3-1)
    const high = width === 8 && instruction.rex === 0 && register >= 4 && register < 8;
    return { register: high ? register - 4 : register, high };
  }

  /** Only ENTER has two immediates. */
  private immediateOf(operand: number): bigint {
    const earlier = this.row.operands.slice(0, operand).some((code) => parseOperandCode(code).kind === 'I');
    return earlier ? BigInt(this.instruction.immediate2) : this.instruction.immediate;
  }

  private truncateConstant(value: bigint, width: Width): Value {
    return this.k(width, width < 32 ? BigInt.asUintN(width, value) : BigInt.asIntN(width, value));
  }

  displaceMemory(delta: Value): void {
    this.displacement = this.f.let(delta);
    this.operandAddress = undefined;
  }

  baseIsStackPointer(): Value {
    return i32(this.instruction.isMemory && this.instruction.base === Number(Register.SP) ? 1 : 0);
  }

  effectiveAddress(): Value {
    const { f, instruction } = this;
    const { base, index, scale, displacement, ripRelative, addressSize } = instruction;
    const fixed = ripRelative ? displacement + instruction.rip + BigInt(instruction.length) : displacement;
    let address: Value = base >= 0 ? this.gpr(base) : i64(0);
    if (index >= 0) address = f.add(address, f.shl(this.gpr(index), i64(scale)));
    address = f.add(address, i64(fixed));
    if (this.displacement) address = f.add(address, this.displacement);
    return this.wrapOffset(address, addressSize);
  }

  private operandLinear(): Value {
    this.operandAddress ??= this.f.copy(this.linear(SegmentUse.Operand, this.effectiveAddress()));
    return this.operandAddress;
  }

  // Registers

  gpr(register: number): Value {
    return this.f.local(this.region.registerLocal(register));
  }

  setGpr(register: number, value: Value): void {
    this.pending.push({ register, width: 64, high: false, value });
  }

  override setRegister(register: number, width: Width, value: Value): void {
    this.pending.push({ register, width, high: false, value });
  }

  /** Writes the collected registers: first all values, then all locals. */
  private commit(): void {
    const { f } = this;
    const writes = this.pending.length > 1 ? this.pending.map((w) => ({ ...w, value: f.copy(w.value) })) : this.pending;
    this.pending = [];
    for (const { register, width, high, value } of writes) {
      const local = this.region.writtenRegisterLocal(register);
      f.set(local, this.merged(f.local(local), width, high, value));
    }
  }

  private merged(old: Value, width: Width, high: boolean, value: Value): Value {
    const { f } = this;
    if (width >= 32) return f.zeroExtend(value);
    const mask = width === 8 ? 0xff : 0xffff;
    const part = f.zeroExtend(f.and(value, i32(mask)));
    return high ? f.or(f.and(old, i64(~0xff00)), f.shl(part, i64(8))) : f.or(f.and(old, i64(~mask)), part);
  }

  // Memory

  load(segment: SegmentUse, offset: Value, width: Width): Value {
    return this.loadLinear(this.f.let(this.linear(segment, offset)), width);
  }

  store(segment: SegmentUse, offset: Value, width: Width, value: Value): void {
    this.storeLinear(this.f.let(this.linear(segment, offset)), width, value);
  }

  probeForWrite(segment: SegmentUse, offset: Value, width: Width): void {
    this.translateLinear(this.f.let(this.linear(segment, offset)), width, Access.Write);
  }

  /** Only FS and GS have a base in 64-bit mode (SDM vol. 1, 3.4.2.1). */
  private linear(segment: SegmentUse, offset: Value): Value {
    const number = this.instruction.segment;
    if (segment !== SegmentUse.Operand || number < 4) return offset;
    return this.f.add(offset, this.f.load64(i32(State.SEGMENTS + number * 32 + 16)));
  }

  private loadLinear(linear: Value, width: Width): Value {
    const { opcode, type } = loadOpcode(width);
    return this.f.let(this.f.load(opcode, type, this.translateLinear(linear, width, Access.Read)));
  }

  private storeLinear(linear: Value, width: Width, value: Value): void {
    const bound = this.f.let(value);
    this.f.store(storeOpcode(width), this.translateLinear(linear, width, Access.Write), bound);
  }

  /**
   * The wasm address of an access, by the software TLB. One comparison covers presence, permission, page crossing
   * (the last byte's page is compared with the entry of the first), code pages and devices. On a miss the host may
   * only refill the TLB; anything else leaves the region.
   */
  private translateLinear(linear: Value, width: Width, access: Access.Read | Access.Write): Value {
    const { f } = this;
    const size = width / 8;
    const entry = f.let(f.add(this.region.tlbBank(), f.and(f.shrU(f.wrap(linear), i32(7)), i32(0x7fe0))));
    const tag = f.load64(entry, access === Access.Read ? TLB_READ : TLB_WRITE);
    const last = size > 1 ? f.add(linear, i64(size - 1)) : linear;
    f.if(f.ne(tag, f.and(last, i64(-4096))));
    f.if(f.isZero(this.region.callRefill(linear, size, access)));
    this.region.leaveBefore(this.instruction);
    f.end();
    f.end();
    return f.let(f.add(f.wrap(linear), f.load32(entry, TLB_ADDEND)));
  }

  // Flags

  setFlags(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, _r: Value): void {
    if (!this.flagsLive) return;
    this.produce({ kind, width }, this.f.zeroExtend(a), this.f.zeroExtend(b));
  }

  setFlagsLogic(width: Width, r: Value): void {
    if (!this.flagsLive) return;
    this.produce({ kind: FlagKind.Logic, width }, this.signExtend(r, width, 64), undefined);
  }

  setNormalFlags(flags: NormalFlags): void {
    if (!this.flagsLive) return;
    const result = this.f.let(flags.result);
    this.produce({ kind: FlagKind.Normal, width: 64 }, result, this.f.let(this.f.zeroExtend(flags.aux)));
  }

  private produce(producer: FlagProducer, a: Value, b: Value | undefined): void {
    const { f } = this;
    const locals = this.region.writtenFlagLocals();
    const second = b && f.copy(b);
    f.set(locals.a, a);
    if (second) f.set(locals.b, second);
    f.set(locals.kind, i32(lazyKind(producer.kind, producer.width)));
    this.producer = producer;
  }

  flags(): NormalFlags {
    const { f } = this;
    const lazy = this.region.lazyFlags();
    if (this.producer) {
      const { result, aux } = normalOf(f, lazy, this.producer);
      return { result: f.copy(result), aux: f.copy(aux) };
    }
    const aux = this.region.callNormalize();
    return { result: f.copy(f.load64(i32(State.FLAGS_RESULT))), aux };
  }

  condition(code: number): Value {
    const { f } = this;
    if (this.producer) return f.copy(conditionOf(f, code, this.region.lazyFlags(), this.producer));
    return this.region.callCondition(code);
  }

  systemFlags(): Value {
    return this.f.load32(i32(State.FLAGS_SYSTEM));
  }

  setSystemFlags(value: Value): void {
    this.f.store32(i32(State.FLAGS_SYSTEM), value);
  }

  protectedMode(): Value {
    return i32(1);
  }

  // Ends

  nextRip(): Value {
    return i64(this.following);
  }

  private get following(): bigint {
    return BigInt.asUintN(64, this.instruction.rip + BigInt(this.instruction.length));
  }

  private get target(): bigint {
    return BigInt.asUintN(64, this.following + this.instruction.immediate);
  }

  jump(): void {
    this.commit();
    this.region.goTo(this.target);
    this.ended = true;
  }

  branch(condition: Value): void {
    this.branchTo(condition, this.target);
  }

  private branchTo(condition: Value, target: bigint): void {
    const { f } = this;
    const taken = f.let(condition);
    this.commit();
    f.if(taken);
    this.region.goTo(target);
    f.end();
    this.region.goTo(this.following);
    this.ended = true;
  }

  /** A target that is not canonical faults at this instruction: the interpreter raises it. */
  checkTarget(target: Value): void {
    const { f } = this;
    const to = f.let(f.zeroExtend(target));
    f.if(f.ne(f.shrS(f.shl(to, i64(16)), i64(16)), to));
    this.region.leaveBefore(this.instruction);
    f.end();
    this.targetChecked = true;
  }

  jumpTo(target: Value): void {
    const to = this.f.copy(this.f.zeroExtend(target));
    if (!this.targetChecked) this.checkTarget(to);
    this.commit();
    this.region.goToValue(to);
    this.ended = true;
  }

  repeatIf(condition: Value): void {
    this.branchTo(condition, this.instruction.rip);
  }

  finishIf(condition: Value): void {
    if (this.endLabel === undefined) throw new Error(`${this.row.mnemonic}: finishIf was not among its effects`);
    this.f.branchIf(condition, this.endLabel);
  }

  raiseIf(condition: Value, _vector: number, _errorCode?: number): void {
    this.f.if(condition);
    this.region.leaveBefore(this.instruction);
    this.f.end();
  }

  helperIf(condition: Value): void {
    this.raiseIf(condition, 0);
  }

  readVmcs(encoding: Value): Value {
    return readVmcsField(this, encoding);
  }

  writeVmcs(encoding: Value, value: Value): void {
    writeVmcsField(this, encoding, value);
  }
}

const FIXED_NUMBER: Record<string, number> = { AL: 0, AH: 0, AX: 0, EAX: 0, rAX: 0, CL: 1, DX: 2 };

function fixedRegister(name: string): { register: number; high: boolean } {
  const register = FIXED_NUMBER[name];
  if (register === undefined) throw new Error(`${name} is not a general register`);
  return { register, high: name === 'AH' };
}
