import { i32, i64, type Value } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { I32, I64, type ValueType } from '../wasm/opcodes';
import {
  carryOverflowWord,
  carryWord,
  FlagKind,
  lowRflags,
  normalFromRflags,
  type NormalFlags,
  overflowFlag,
  signExtended,
} from './flag-arithmetic';
import { operandWidth } from './operand';
import type { InstructionRow } from './row';

export type Width = 8 | 16 | 32 | 64;
/** Bits of an address or of the stack pointer */
export type AddressWidth = 16 | 32 | 64;
/** Meaning of an instruction: emits its code against a context, once for each place where it is needed. */
export type Meaning = (x: Context) => void;

/** General registers by number (SDM vol. 2, 3.1.1.1). */
export const enum Register {
  A,
  C,
  D,
  B,
  SP,
  BP,
  SI,
  DI,
}

/** Which segment an access goes through: by name, or the one of the decoded memory operand (default DS, overrides applied). */
export const enum SegmentUse {
  ES,
  SS,
  /** The decoded instruction's: its memory operand's, or DS with overrides for string sources and XLAT */
  Operand,
}

export type RepeatPrefix = 'none' | 'rep' | 'repne';

/** The value type that holds `width` bits: i64 for 64, otherwise i32 (zero-extended below 32). */
export const typeOf = (width: Width): ValueType => (width === 64 ? I64 : I32);

/**
 * What the meanings of instructions are written against. The interpreter implements it with operands taken from
 * decoded records, the translator with operands known while it emits; `EffectsContext` runs a meaning only to see what
 * it reads and writes.
 *
 * Values of 8 and 16 bits are i32 and zero-extended, of 32 bits i32, of 64 bits i64.
 *
 * Order inside a meaning, which makes faults precise: everything that can fault (reads of memory, `readForWrite`,
 * `store`, `raise`) before the first register or flag write that matters. Register writes are collected and committed
 * when the instruction ends, so a later `read` still sees the old value; a write of a memory operand happens at once.
 */
export abstract class Context {
  abstract readonly row: InstructionRow;
  /** Effective operand-size attribute */
  abstract readonly operandSize: 16 | 32 | 64;
  /** Effective address-size attribute */
  abstract readonly addressSize: AddressWidth;
  /** Width of the stack pointer: 64 in 64-bit mode, otherwise by SS.B */
  abstract readonly stackSize: AddressWidth;
  abstract readonly longMode: boolean;
  abstract readonly repeatPrefix: RepeatPrefix;
  /** False when nothing will read the flags this instruction writes; a meaning may then skip the work. */
  abstract readonly flagsLive: boolean;

  constructor(readonly f: FunctionBuilder) {}

  // Operands by their position in the row

  /** Width of an operand by its code. */
  widthOf(operand: number): Width {
    return operandWidth(this.operandCode(operand), this.operandSize);
  }

  /** Width of the first operand; the operand size when there is none. */
  get width(): Width {
    return this.row.operands.length ? this.widthOf(0) : this.operandSize;
  }

  protected operandCode(operand: number): string {
    const code = this.row.operands[operand];
    if (code === undefined) throw new Error(`${this.row.mnemonic} ${this.row.notation} has no operand ${operand}`);
    return code;
  }

  /** True when the operand is in memory. */
  abstract isMemory(operand: number): boolean;
  abstract read(operand: number): Value;
  /** Reads what `write` will replace; a memory operand is translated once, for writing. */
  abstract readForWrite(operand: number): Value;
  /** Registers: 32-bit values clear the upper half, narrower ones keep the rest (SDM vol. 1, 3.4.1.1). */
  abstract write(operand: number, value: Value): void;
  /** A register operand's whole register. i64 */
  protected abstract readWhole(operand: number): Value;
  protected abstract writeWhole(operand: number, value: Value): void;
  /** Adds to the memory operand's offset before it is accessed (bit strings: SDM vol. 2, BT). i64 */
  abstract displaceMemory(delta: Value): void;
  /** 1 when the memory operand's base is the stack pointer, i32 (POP computes its address after the increment). */
  abstract baseIsStackPointer(): Value;
  /** The effective address (offset in the segment) of the memory operand, zero-extended from the address size. i64 */
  abstract effectiveAddress(): Value;

  /**
   * Writes `value` when the condition (0 or 1) holds. Otherwise memory is written back with `old`, and a register stays
   * as it is, its upper half too.
   */
  writeIf(operand: number, condition: Value, value: Value, old: Value): void {
    const { f } = this;
    if (this.isMemory(operand) || this.widthOf(operand) !== 32)
      this.write(operand, f.let(f.select(condition, value, old)));
    else this.writeWhole(operand, f.let(f.select(condition, f.zeroExtend(value), this.readWhole(operand))));
  }

  // Fixed registers

  /** All 64 bits. */
  abstract gpr(register: number): Value;
  abstract setGpr(register: number, value: Value): void;

  /** The low `width` bits. */
  register(register: number, width: Width): Value {
    return this.truncate(this.gpr(register), width);
  }

  /** Writes as an operand of that width is written: 32 bits clear the upper half, 8 and 16 keep the rest. */
  setRegister(register: number, width: Width, value: Value): void {
    const { f } = this;
    if (width >= 32) this.setGpr(register, f.zeroExtend(value));
    else {
      const mask = width === 8 ? 0xff : 0xffff;
      this.setGpr(register, f.or(f.and(this.gpr(register), i64(~mask)), f.zeroExtend(f.and(value, i32(mask)))));
    }
  }

  // Memory

  /** Loads `width` bits at an offset (i64, already of address width) in a segment. */
  abstract load(segment: SegmentUse, offset: Value, width: Width): Value;
  abstract store(segment: SegmentUse, offset: Value, width: Width, value: Value): void;

  /** Raises what a store there would raise, without storing. */
  abstract probeForWrite(segment: SegmentUse, offset: Value, width: Width): void;

  /** An offset cut to a pointer width; i64 */
  wrapOffset(offset: Value, width: AddressWidth): Value {
    if (width === 64) return offset;
    return this.f.and(offset, i64(width === 32 ? 0xffffffff : 0xffff));
  }

  /** A pointer register of the address size as an offset. i64 */
  pointer(register: number, width: AddressWidth = this.addressSize): Value {
    return this.wrapOffset(this.gpr(register), width);
  }

  /** Stores `value` below the stack pointer and moves it; the register changes when the instruction ends. */
  push(value: Value, width: Width): void {
    const offset = this.f.let(this.wrapOffset(this.f.sub(this.gpr(Register.SP), i64(width / 8)), this.stackSize));
    this.store(SegmentUse.SS, offset, width, value);
    this.setPointer(Register.SP, this.stackSize, offset);
  }

  /** Loads from the top of the stack; the caller moves the pointer with `releaseStack`. */
  top(width: Width): Value {
    return this.load(SegmentUse.SS, this.pointer(Register.SP, this.stackSize), width);
  }

  /** Adds bytes to the stack pointer. i64 */
  releaseStack(bytes: Value): void {
    const { f } = this;
    const moved = f.add(this.gpr(Register.SP), bytes);
    this.setPointer(Register.SP, this.stackSize, this.wrapOffset(moved, this.stackSize));
  }

  /** Writes a pointer register of the given width from an i64. */
  setPointer(register: number, width: AddressWidth, offset: Value): void {
    if (width === 16) this.setRegister(register, 16, this.f.wrap(offset));
    else this.setGpr(register, this.wrapOffset(offset, width));
  }

  // Flags

  /** Flags of r = a + b, r = a - b, or of the logical result r. May keep them unevaluated. */
  abstract setFlags(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, r: Value): void;
  abstract setFlagsLogic(width: Width, r: Value): void;
  abstract flags(): NormalFlags;
  abstract setNormalFlags(flags: NormalFlags): void;
  /** A condition code as 0 or 1, i32. */
  abstract condition(code: number): Value;
  /** RFLAGS bits other than the six arithmetic ones, at their places, i32. */
  abstract systemFlags(): Value;
  abstract setSystemFlags(value: Value): void;

  /** 1 in protected mode and IA-32e mode, 0 in real-address and virtual-8086 mode, i32. */
  abstract protectedMode(): Value;

  carry(): Value {
    return this.condition(2);
  }

  /** Result flags from r; CF, OF and AF given (0 or 1). */
  setResultFlags(width: Width, r: Value, carry: Value, overflow: Value, adjust: Value = i32(0)): void {
    if (!this.flagsLive) return;
    const { f } = this;
    this.setNormalFlags({
      result: signExtended(f, width, r),
      aux: f.or(carryOverflowWord(f, carry, overflow), f.shl(adjust, i32(3))),
    });
  }

  /** Flags of r = a + b + carry or a - b - borrow, which `setFlags` cannot keep unevaluated. */
  setFlagsWithCarry(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, r: Value): void {
    if (!this.flagsLive) return;
    this.setNormalFlags({ result: signExtended(this.f, width, r), aux: carryWord(this.f, kind, width, a, b, r) });
  }

  /** As `setFlags`, with CF left as it is (INC, DEC). */
  setFlagsKeepCarry(kind: FlagKind.Add | FlagKind.Subtract, width: Width, a: Value, b: Value, r: Value): void {
    if (!this.flagsLive) return;
    const { f } = this;
    const carry = f.let(this.carry());
    const computed: NormalFlags = { result: signExtended(f, width, r), aux: f.let(carryWord(f, kind, width, a, b, r)) };
    this.setNormalFlags({
      result: computed.result,
      aux: f.or(f.and(computed.aux, i32(8)), carryOverflowWord(f, carry, overflowFlag(f, computed))),
    });
  }

  /** Changes CF only (0 or 1). */
  setCarry(carry: Value): void {
    if (!this.flagsLive) return;
    const { f } = this;
    const old = this.flags();
    this.setCarryOverflow(carry, overflowFlag(f, old), old);
  }

  /** Changes CF and OF only (0 or 1). */
  setCarryOverflow(carry: Value, overflow: Value, old: NormalFlags = this.flags()): void {
    if (!this.flagsLive) return;
    const { f } = this;
    const word = carryOverflowWord(f, carry, overflow);
    this.setNormalFlags({ result: old.result, aux: f.or(f.and(old.aux, i32(0x3fffffff)), word) });
  }

  /** Changes ZF only (0 or 1). */
  setZero(zero: Value): void {
    if (!this.flagsLive) return;
    const { f } = this;
    const old = this.flags();
    const others = f.and(lowRflags(f, old), i32(~0x40));
    const rflags = f.let(f.or(f.or(others, f.shl(zero, i32(6))), f.shl(overflowFlag(f, old), i32(11))));
    this.setNormalFlags(normalFromRflags(f, rflags));
  }

  // Ends of an instruction. A meaning calls at most one of jump, branch, jumpTo, repeatIf, as the last thing it does.

  /** RIP of the following instruction. i64 */
  abstract nextRip(): Value;
  /** To the relative target of operand J. */
  abstract jump(): void;
  /** To the relative target of operand J when the condition (i32) is not zero. */
  abstract branch(condition: Value): void;
  /** To an instruction pointer given as a value of the operand size; its checks (canonical, CS limit) raise #GP(0). */
  abstract jumpTo(target: Value): void;
  /** Raises #GP(0) unless the value is a possible target of `jumpTo`. For targets checked before something is stored. */
  abstract checkTarget(target: Value): void;
  /** Stays at this instruction for one more iteration when the condition is not zero; each iteration counts as one. */
  abstract repeatIf(condition: Value): void;
  /** Ends the instruction here with no effect when the condition is not zero. Before any write. */
  abstract finishIf(condition: Value): void;
  /** Raises an exception when the condition is not zero: leaves precisely, nothing committed. Vectors: SDM vol. 3, 6.15. */
  abstract raiseIf(condition: Value, vector: number, errorCode?: number): void;

  /** Leaves the instruction to its row's helper when the condition is not zero. Before any write. */
  abstract helperIf(condition: Value): void;

  // VMCS data

  /**
   * A field by its encoding (i64) in the VMCS that VMREAD and VMWRITE access, i64. Left to the helper when there is no
   * such VMCS or field, outside VMX root operation, and above CPL 0.
   */
  abstract readVmcs(encoding: Value): Value;
  abstract writeVmcs(encoding: Value, value: Value): void;

  // Helpers over values

  /** `value` (i64) cut to `width`, as its type. */
  truncate(value: Value, width: Width): Value {
    const { f } = this;
    if (width === 64) return value;
    return this.mask(f.wrap(value), width);
  }

  /** Clears the bits of an i32 above `width`. */
  mask(value: Value, width: Width = this.width): Value {
    return width < 32 ? this.f.and(value, i32(width === 8 ? 0xff : 0xffff)) : value;
  }

  /** Top bit as 0 or 1, i32. */
  topBit(value: Value, width: Width = this.width): Value {
    const { f } = this;
    if (width === 64) return f.wrap(f.shrU(value, i64(63)));
    return width === 32 ? f.shrU(value, i32(31)) : f.and(f.shrU(value, i32(width - 1)), i32(1));
  }

  /** Bit `n` (of the value's type) as 0 or 1, i32. */
  bit(value: Value, n: Value): Value {
    const { f } = this;
    return f.and(f.wrap(f.shrU(value, n)), i32(1));
  }

  /** Sign-extends `from` bits to `to` bits. */
  signExtend(value: Value, from: Width, to: Width): Value {
    const wide = signExtended(this.f, from, value);
    return to === 64 ? wide : this.mask(this.f.wrap(wide), to);
  }

  /** Zero-extends or cuts to `to` bits. */
  zeroExtend(value: Value, to: Width): Value {
    return to === 64 ? this.f.zeroExtend(value) : this.mask(this.f.wrap(value), to);
  }

  k(width: Width, value: number | bigint): Value {
    return this.f.constant(typeOf(width), value);
  }
}
