import { type AddressWidth, Context, type RepeatPrefix, typeOf, type Width } from '../isa/context';
import { carryWord, conditionValue, FlagKind, type NormalFlags, signExtended } from '../isa/flag-arithmetic';
import { parseOperandCode } from '../isa/operand';
import type { InstructionRow } from '../isa/row';
import { State } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { I32, Op } from '../wasm/opcodes';
import { Field } from './record';
import { Scratch, Stop } from './scratch';
import type { Variant } from './variant';
import { readVmcsField, writeVmcsField } from './vmcs-access';

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
  /** Not zero when this is the last instruction that may be executed */
  spent(): Value;
  /** Goes on at a record. */
  goTo(record: Value): void;
  /** Leaves before the instruction, which stays unexecuted; Scratch.STOP is set. */
  leaveBefore(): void;
  /** Leaves after the instruction; State.RIP and Scratch.STOP are set. */
  leaveAfter(): void;
}

export interface PendingWrite {
  readonly address: Value;
  readonly width: Width;
  readonly value: Value;
}

export const LOAD: Record<Width, number> = { 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load };
export const STORE: Record<Width, number> = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store };
const FIXED: Record<string, number> = { AL: 0, AX: 0, eAX: 0, rAX: 0, CL: 1, DX: 2 };
const PE = 1;
const VM = 1 << 17;

/**
 * The part of a handler's context that reads its record: register operands and immediates, fixed registers and flags,
 * which are in the state block.
 */
export abstract class RecordContext extends Context {
  readonly row: InstructionRow;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly longMode: boolean;
  readonly repeatPrefix: RepeatPrefix;
  readonly flagsLive = true;
  protected pending: PendingWrite[] = [];

  constructor(
    protected readonly frame: HandlerFrame,
    protected readonly variant: Variant,
  ) {
    super(frame.f);
    this.row = variant.row;
    this.operandSize = variant.operandSize;
    this.addressSize = variant.addressSize;
    this.stackSize = variant.stackSize;
    this.longMode = variant.longMode;
    this.repeatPrefix = variant.repeatPrefix;
  }

  // The record

  protected get record(): Value {
    return this.f.local(this.frame.record);
  }

  protected field16(offset: number): Value {
    return this.f.load(Op.i32Load16U, I32, this.record, offset);
  }

  protected field8(offset: number): Value {
    return this.f.load(Op.i32Load8U, I32, this.record, offset);
  }

  protected field32(offset: number): Value {
    return this.f.load32(this.record, offset);
  }

  protected field64(offset: number): Value {
    return this.f.load64(this.record, offset);
  }

  // Register operands and immediates

  /** Address in the state block of a register operand; undefined for a fixed register. */
  protected registerAddress(operand: number): Value {
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (kind === 'fixed') {
      const register = FIXED[type];
      if (register === undefined) throw new Error(`${type} is not a general register`);
      return i32(State.GPR + register * 8);
    }
    return this.field16(kind === 'G' ? Field.REG : Field.RM);
  }

  /** A register operand or an immediate. */
  protected readRegister(operand: number): Value {
    const width = this.widthOf(operand);
    const { kind, type } = parseOperandCode(this.operandCode(operand));
    if (kind === 'I' || kind === 'sI') {
      if (this.isSecondImmediate(operand)) return this.mask(this.field32(Field.DISPLACEMENT), width);
      return width === 64 ? this.field64(Field.IMMEDIATE) : this.field32(Field.IMMEDIATE);
    }
    if (type === '1') return this.k(width, 1);
    return this.f.load(LOAD[width], typeOf(width), this.registerAddress(operand));
  }

  private isSecondImmediate(operand: number): boolean {
    const before = this.row.operands.slice(0, operand);
    return before.some((code) => parseOperandCode(code).kind === 'I');
  }

  protected readWhole(operand: number): Value {
    return this.f.load64(this.registerAddress(operand));
  }

  protected writeWhole(operand: number, value: Value): void {
    this.pending.push({ address: this.registerAddress(operand), width: 64, value });
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
  protected commit(): void {
    const { f } = this;
    const writes = this.pending;
    this.pending = [];
    const ready = writes.length > 1 ? writes.map((write) => ({ ...write, value: f.let(write.value) })) : writes;
    for (const { address, width, value } of ready) {
      if (width >= 32) f.store64(address, f.zeroExtend(value));
      else f.store(STORE[width], address, value);
    }
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

  // Exceptions

  raiseIf(condition: Value, vector: number, errorCode = 0): void {
    const { f } = this;
    f.if(condition);
    this.raise(i32(vector), errorCode);
    f.end();
  }

  helperIf(condition: Value): void {
    const { f } = this;
    f.if(condition);
    f.store32(i32(Scratch.STOP), i32(Stop.Helper));
    this.frame.leaveBefore();
    f.end();
  }

  readVmcs(encoding: Value): Value {
    return readVmcsField(this, encoding);
  }

  writeVmcs(encoding: Value, value: Value): void {
    writeVmcsField(this, encoding, value);
  }

  protected raise(vector: Value, errorCode: number): void {
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
