import { type AddressWidth, Context, type RepeatPrefix, SegmentUse, typeOf, type Width } from '../isa/context';
import { carryWord, conditionValue, FlagKind, type NormalFlags, signExtended } from '../isa/flag-arithmetic';
import { parseOperandCode } from '../isa/operand';
import type { InstructionRow } from '../isa/row';
import { Segment, State, TLB_ADDEND, TLB_READ, TLB_WRITE } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { I32, I64, Op, type ValueType } from '../wasm/opcodes';
import { Field, RECORD_SIZE } from './record';
import { BOUNDS_SIZE, Scratch, segmentSlot, SLOT_BASE, Stop } from './scratch';
import type { Variant } from './variant';

/** Where a handler's code lives, and the functions it may call. */
export interface HandlerFrame {
  readonly f: FunctionBuilder;
  /** Local that holds the record's address */
  readonly record: number;
  /** Function indices */
  readonly slowLoad: number;
  readonly slowStore: number;
  readonly find: number;
  readonly link: number;
  /** Goes on at a record. */
  goTo(record: Value): void;
  /** Leaves before the instruction, which stays unexecuted; Scratch.STOP is set. */
  leaveBefore(): void;
  /** Leaves after the instruction; State.RIP and Scratch.STOP are set. */
  leaveAfter(): void;
}

interface PendingWrite {
  readonly address: Value;
  readonly width: Width;
  readonly value: Value;
}

const LOAD: Record<Width, number> = { 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load };
const STORE: Record<Width, number> = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store };
const FIXED: Record<string, number> = { AL: 0, AX: 0, eAX: 0, rAX: 0, CL: 1, DX: 2 };
const GENERAL_PROTECTION = 13;
const STACK_FAULT = 12;
const PE = 1;
const VM = 1 << 17;

/** Emits one handler of the interpreter: operands come from the record, registers and flags from the state block. */
export class InterpreterContext extends Context {
  readonly row: InstructionRow;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly longMode: boolean;
  readonly repeatPrefix: RepeatPrefix;
  readonly flagsLive = true;
  private pending: PendingWrite[] = [];
  private displacement: Value | undefined;
  private operandAddress: Value | undefined;
  /** Wasm address of the operand that is being modified, 0 when it must go by the slow path */
  private hostAddress: Value | undefined;
  private targetChecked = false;
  private ended = false;

  constructor(
    private readonly frame: HandlerFrame,
    private readonly variant: Variant,
  ) {
    super(frame.f);
    this.row = variant.row;
    this.operandSize = variant.operandSize;
    this.addressSize = variant.addressSize;
    this.stackSize = variant.stackSize;
    this.longMode = variant.longMode;
    this.repeatPrefix = variant.repeatPrefix;
  }

  /** Emits the whole handler. */
  emit(): void {
    const { meaning } = this.row;
    if (!meaning) throw new Error(`${this.row.mnemonic} ${this.row.notation} has no meaning to interpret`);
    meaning(this);
    if (!this.ended) this.goToNext();
    this.f.releaseTemporaries();
  }

  // The record

  private get record(): Value {
    return this.f.local(this.frame.record);
  }

  private field16(offset: number): Value {
    return this.f.load(Op.i32Load16U, I32, this.record, offset);
  }

  private field8(offset: number): Value {
    return this.f.load(Op.i32Load8U, I32, this.record, offset);
  }

  private field32(offset: number): Value {
    return this.f.load32(this.record, offset);
  }

  private field64(offset: number): Value {
    return this.f.load64(this.record, offset);
  }

  // Operands

  isMemory(operand: number): boolean {
    const { kind } = parseOperandCode(this.operandCode(operand));
    return kind === 'M' || kind === 'O' || (kind === 'E' && this.variant.memory !== 'none');
  }

  /** Address in the state block of a register operand; undefined for a fixed register. */
  private registerAddress(operand: number): Value {
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (kind === 'fixed') {
      const register = FIXED[type];
      if (register === undefined) throw new Error(`${type} is not a general register`);
      return i32(State.GPR + register * 8);
    }
    return this.field16(kind === 'G' ? Field.REG : Field.RM);
  }

  read(operand: number): Value {
    const { f } = this;
    const width = this.widthOf(operand);
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (this.isMemory(operand)) return this.loadLinear(this.operandLinear(width, false), width);
    if (kind === 'I' || kind === 'sI') {
      if (this.isSecondImmediate(operand)) return this.mask(this.field32(Field.DISPLACEMENT), width);
      return width === 64 ? this.field64(Field.IMMEDIATE) : this.field32(Field.IMMEDIATE);
    }
    if (type === '1') return this.k(width, 1);
    return f.load(LOAD[width], typeOf(width), this.registerAddress(operand));
  }

  private isSecondImmediate(operand: number): boolean {
    const before = this.row.operands.slice(0, operand);
    return before.some((code) => parseOperandCode(code).kind === 'I');
  }

  readForWrite(operand: number): Value {
    if (!this.isMemory(operand)) return this.read(operand);
    const width = this.widthOf(operand);
    const { value, host } = this.loadForWrite(this.operandLinear(width, true), width);
    this.hostAddress = host;
    return value;
  }

  write(operand: number, value: Value): void {
    const width = this.widthOf(operand);
    if (!this.isMemory(operand)) this.pending.push({ address: this.registerAddress(operand), width, value });
    else if (this.hostAddress) this.storeHost(this.hostAddress, width, value);
    else this.storeLinear(this.operandLinear(width, true), width, value);
  }

  protected readWhole(operand: number): Value {
    return this.f.load64(this.registerAddress(operand));
  }

  protected writeWhole(operand: number, value: Value): void {
    this.pending.push({ address: this.registerAddress(operand), width: 64, value });
  }

  displaceMemory(delta: Value): void {
    this.displacement = this.f.let(delta);
    this.operandAddress = undefined;
  }

  baseIsStackPointer(): Value {
    return this.f.eq(this.field16(Field.BASE), i32(State.GPR + 4 * 8));
  }

  effectiveAddress(): Value {
    const { f } = this;
    const absolute = this.row.operands.some((code) => parseOperandCode(code).kind === 'O');
    let address: Value;
    if (absolute) address = this.field64(Field.IMMEDIATE);
    else {
      address = f.add(f.load64(this.field16(Field.BASE)), f.signExtend(this.field32(Field.DISPLACEMENT)));
      if (this.variant.memory !== 'base') {
        const index = f.load64(this.field16(Field.INDEX));
        address = f.add(address, f.shl(index, f.zeroExtend(this.field8(Field.SCALE))));
      }
    }
    if (this.displacement) address = f.add(address, this.displacement);
    return this.wrapOffset(address, this.addressSize);
  }

  private operandLinear(width: Width, forWrite: boolean): Value {
    const plain = this.variant.memory === 'base' || this.variant.memory === 'index';
    const offset = this.effectiveAddress();
    this.operandAddress ??= this.f.copy(plain ? offset : this.linear(SegmentUse.Operand, offset, width, forWrite));
    return this.operandAddress;
  }

  // Registers

  gpr(register: number): Value {
    return this.f.load64(i32(State.GPR + register * 8));
  }

  setGpr(register: number, value: Value): void {
    this.pending.push({ address: i32(State.GPR + register * 8), width: 64, value });
  }

  override register(register: number, width: Width): Value {
    return this.f.load(LOAD[width], typeOf(width), i32(State.GPR + register * 8));
  }

  override setRegister(register: number, width: Width, value: Value): void {
    this.pending.push({ address: i32(State.GPR + register * 8), width, value });
  }

  /** Writes the collected registers: first all values, then all stores. */
  private commit(): void {
    const { f } = this;
    const writes = this.pending;
    this.pending = [];
    const ready = writes.length > 1 ? writes.map((write) => ({ ...write, value: f.let(write.value) })) : writes;
    for (const { address, width, value } of ready) {
      if (width >= 32) f.store64(address, f.zeroExtend(value));
      else f.store(STORE[width], address, value);
    }
  }

  // Memory

  load(segment: SegmentUse, offset: Value, width: Width): Value {
    return this.loadLinear(this.linear(segment, offset, width, false), width);
  }

  store(segment: SegmentUse, offset: Value, width: Width, value: Value): void {
    this.storeLinear(this.linear(segment, offset, width, true), width, value);
  }

  probeForWrite(segment: SegmentUse, offset: Value, width: Width): void {
    this.loadForWrite(this.linear(segment, offset, width, true), width);
  }

  /** The linear address of an offset: SDM vol. 3, 3.4; 64-bit mode: only FS and GS have a base, nothing is checked. */
  private linear(segment: SegmentUse, offset: Value, width: Width, forWrite: boolean): Value {
    const { f } = this;
    if (this.longMode) {
      if (segment !== SegmentUse.Operand) return offset;
      const slot = f.shl(this.field8(Field.SEGMENT), i32(3));
      return f.add(offset, f.load64(slot, SLOT_BASE));
    }
    const bound = f.let(offset);
    const first = segmentSlot(Segment.ES);
    const number = segment === SegmentUse.ES ? Segment.ES : segment === SegmentUse.SS ? Segment.SS : undefined;
    const slot = number === undefined ? f.let(this.field8(Field.SEGMENT)) : i32(segmentSlot(number));
    // Slots are 4 apart, bounds 16 bytes: bounds address = BOUNDS + (slot - first) * 4.
    const bounds = f.let(f.shl(f.sub(slot, i32(first)), i32(2)));
    const low = f.load(Op.i64Load32U, I64, bounds, Scratch.BOUNDS + (forWrite ? BOUNDS_SIZE / 2 : 0));
    const high = f.load(Op.i64Load32U, I64, bounds, Scratch.BOUNDS + (forWrite ? BOUNDS_SIZE / 2 : 0) + 4);
    const outside = f.or(f.ltU(bound, low), f.gtU(f.add(bound, i64(width / 8 - 1)), high));
    f.if(outside);
    const stack = f.eq(slot, i32(segmentSlot(Segment.SS)));
    this.raise(f.select(stack, i32(STACK_FAULT), i32(GENERAL_PROTECTION)), 0);
    f.end();
    const base = f.load64(f.shl(slot, i32(3)), SLOT_BASE);
    return f.and(f.add(bound, base), i64(0xffffffff));
  }

  /**
   * The TLB entry of an address and whether an access of that width hits: one comparison covers presence, permission
   * and page crossing, since the last byte's page is compared with the entry of the first.
   */
  private probe(linear: Value, width: Width, tag: number): { hit: Value; host: Value } {
    const { f } = this;
    const bank = f.load32(i32(State.TLB_BANK));
    const entry = f.let(f.add(bank, f.and(f.shrU(f.wrap(linear), i32(7)), i32(0x7fe0))));
    const last = width > 8 ? f.add(linear, i64(width / 8 - 1)) : linear;
    return {
      hit: f.eq(f.load64(entry, tag), f.and(last, i64(-4096))),
      host: f.add(f.wrap(linear), f.load32(entry, TLB_ADDEND)),
    };
  }

  private loadLinear(address: Value, width: Width): Value {
    const { f } = this;
    const type = typeOf(width);
    const linear = f.let(address);
    const { hit, host } = this.probe(linear, width, TLB_READ);
    f.if(hit, type);
    f.emit(f.load(LOAD[width], type, host));
    f.else();
    this.callSlowLoad(linear, width, false, type);
    f.end();
    return f.pop(type);
  }

  private loadForWrite(address: Value, width: Width): { value: Value; host: Value } {
    const { f } = this;
    const type = typeOf(width);
    const linear = f.let(address);
    const { hit, host } = this.probe(linear, width, TLB_WRITE);
    const hostLocal = f.temporary(I32);
    f.if(hit, type);
    f.set(hostLocal, host);
    f.emit(f.load(LOAD[width], type, f.local(hostLocal)));
    f.else();
    f.set(hostLocal, i32(0));
    this.callSlowLoad(linear, width, true, type);
    f.end();
    return { value: f.pop(type), host: f.local(hostLocal) };
  }

  /** Leaves the loaded value on the stack. */
  private callSlowLoad(linear: Value, width: Width, forWrite: boolean, type: ValueType): void {
    const { f } = this;
    f.call(this.frame.slowLoad, linear, i32(width / 8), i32(forWrite ? 1 : 0));
    if (type === I32) f.code.byte(Op.i32Wrap);
    this.leaveOnFault();
  }

  private storeLinear(address: Value, width: Width, value: Value): void {
    const { f } = this;
    const linear = f.let(address);
    const bound = f.let(value);
    const { hit, host } = this.probe(linear, width, TLB_WRITE);
    f.if(hit);
    f.store(STORE[width], host, bound);
    f.else();
    f.call(this.frame.slowStore, linear, i32(width / 8), f.zeroExtend(bound));
    this.leaveOnFault();
    f.end();
  }

  private storeHost(host: Value, width: Width, value: Value): void {
    const { f } = this;
    const bound = f.let(value);
    f.if(host);
    f.store(STORE[width], host, bound);
    f.else();
    if (!this.operandAddress) throw new Error(`${this.row.mnemonic}: write without an address`);
    f.call(this.frame.slowStore, this.operandAddress, i32(width / 8), f.zeroExtend(bound));
    this.leaveOnFault();
    f.end();
  }

  private leaveOnFault(): void {
    const { f } = this;
    f.if(f.load32(i32(State.FAULT)));
    f.store32(i32(Scratch.STOP), i32(Stop.Fault));
    this.frame.leaveBefore();
    f.end();
  }

  // Flags: always evaluated

  setFlags(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, r: Value): void {
    const { f } = this;
    this.setNormalFlags({ result: signExtended(f, width, r), aux: carryWord(f, kind, width, a, b, r) });
  }

  setFlagsLogic(width: Width, r: Value): void {
    this.setNormalFlags({ result: signExtended(this.f, width, r), aux: i32(0) });
  }

  flags(): NormalFlags {
    const { f } = this;
    return { result: f.let(f.load64(i32(State.FLAGS_RESULT))), aux: f.let(f.load32(i32(State.FLAGS_AUX))) };
  }

  setNormalFlags(flags: NormalFlags): void {
    const { f } = this;
    const aux = f.let(flags.aux);
    f.store64(i32(State.FLAGS_RESULT), flags.result);
    f.store32(i32(State.FLAGS_AUX), aux);
  }

  condition(code: number): Value {
    return conditionValue(this.f, code, this.flags());
  }

  systemFlags(): Value {
    return this.f.load32(i32(State.FLAGS_SYSTEM));
  }

  setSystemFlags(value: Value): void {
    this.f.store32(i32(State.FLAGS_SYSTEM), value);
  }

  protectedMode(): Value {
    const { f } = this;
    const pe = f.and(f.load32(i32(State.CR0)), i32(PE));
    return f.and(pe, f.isZero(f.and(this.systemFlags(), i32(VM))));
  }

  // Ends

  private goTo(record: Value): void {
    this.commit();
    this.ended = true;
    this.frame.goTo(record);
  }

  private goToNext(): void {
    this.goTo(this.f.add(this.record, i32(RECORD_SIZE)));
  }

  /** Goes on at an instruction pointer (i64): the record there, or out of generated code. */
  private goToRip(rip: Value): void {
    const { f } = this;
    this.commit();
    f.call(this.frame.find, rip);
    const found = f.temporary(I32);
    f.code.byte(Op.localTee);
    f.code.unsigned(found);
    f.code.byte(Op.i32Eqz);
    f.open(Op.if, 0x40);
    this.frame.leaveAfter();
    f.end();
    this.goTo(f.local(found));
  }

  nextRip(): Value {
    return this.field64(Field.IMMEDIATE);
  }

  /** The record of a target in the same page, linked on first use. */
  private goToLinked(): void {
    const { f } = this;
    const target = f.temporary(I32);
    f.tee(target, this.field32(Field.LINK));
    f.code.byte(Op.i32Eqz);
    f.open(Op.if, 0x40);
    f.call(this.frame.link, this.record);
    f.code.byte(Op.localTee);
    f.code.unsigned(target);
    f.code.byte(Op.i32Eqz);
    f.open(Op.if, 0x40);
    this.frame.leaveAfter();
    f.end();
    f.end();
    this.goTo(f.local(target));
  }

  /** A relative target outside the page. Outside 64-bit mode cut to the operand size and checked against CS. */
  private relativeTarget(): Value {
    const { f } = this;
    const target = f.add(this.nextRip(), f.signExtend(this.field32(Field.DISPLACEMENT)));
    return f.let(this.longMode ? target : this.wrapOffset(target, this.operandSize));
  }

  jump(): void {
    if (this.variant.near) {
      this.commit();
      this.goToLinked();
    } else {
      const target = this.relativeTarget();
      this.checkRip(target);
      this.goToRip(target);
    }
  }

  branch(condition: Value): void {
    const { f } = this;
    const taken = this.pending.length ? f.let(condition) : condition;
    if (this.variant.near) {
      this.commit();
      f.if(taken);
      this.goToLinked();
    } else {
      const bound = f.let(taken);
      const target = this.relativeTarget();
      if (!this.longMode) {
        f.if(bound);
        this.checkRip(target);
        f.end();
      }
      this.commit();
      f.if(bound);
      this.goToRip(target);
    }
    f.end();
    this.goToNext();
  }

  checkTarget(target: Value): void {
    this.checkRip(this.f.zeroExtend(target));
    this.targetChecked = true;
  }

  private checkRip(rip: Value): void {
    const { f } = this;
    if (this.longMode) {
      if (this.operandSize === 64) this.raiseIf(f.ne(f.shrS(f.shl(rip, i64(16)), i64(16)), rip), GENERAL_PROTECTION, 0);
    } else {
      const limit = f.load(Op.i64Load32U, I64, i32(State.SEGMENTS + Segment.CS * 32 + 8));
      this.raiseIf(f.gtU(rip, limit), GENERAL_PROTECTION, 0);
    }
  }

  jumpTo(target: Value): void {
    const { f } = this;
    const rip = f.let(f.zeroExtend(target));
    if (!this.targetChecked) this.checkRip(rip);
    this.goToRip(rip);
  }

  repeatIf(condition: Value): void {
    const { f } = this;
    const again = f.let(condition);
    this.commit();
    f.if(again);
    this.goTo(this.record);
    f.end();
    this.goToNext();
  }

  finishIf(condition: Value): void {
    const { f } = this;
    f.if(condition);
    this.frame.goTo(f.add(this.record, i32(RECORD_SIZE)));
    f.end();
  }

  raiseIf(condition: Value, vector: number, errorCode = 0): void {
    const { f } = this;
    f.if(condition);
    this.raise(i32(vector), errorCode);
    f.end();
  }

  private raise(vector: Value, errorCode: number): void {
    const { f } = this;
    f.store32(i32(State.FAULT), i32(1));
    f.store32(i32(State.FAULT_KIND), i32(1));
    f.store32(i32(State.FAULT_VECTOR), vector);
    f.store32(i32(State.FAULT_ERROR), i32(errorCode));
    f.store64(i32(State.FAULT_LINEAR), i64(0));
    f.store32(i32(Scratch.STOP), i32(Stop.Fault));
    this.frame.leaveBefore();
  }
}
