import type { Value } from '../wasm/expression';
import { i32, i64 } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { I64 } from '../wasm/opcodes';
import type { Width } from './context';

/**
 * The normal form of the six arithmetic flags, two words (the state block's FLAGS_RESULT and FLAGS_AUX):
 * `result` i64, the sign-extended result; `aux` i32: bit 31 = CF, bit 30 = carry into the top bit (CF xor OF), bit 3 =
 * AF, bits 15:8 are xored into the result's low byte for PF, bit 0 into its sign for SF. ZF = result is zero.
 */
export interface NormalFlags {
  readonly result: Value;
  readonly aux: Value;
}

export const enum FlagKind {
  /** Already in normal form */
  Normal,
  Add,
  Subtract,
  Logic,
}

const CARRY_BITS = 0xc0000008 | 0;

/**
 * The aux word of an addition or subtraction (with or without carry in): the carry out of each bit position is
 * majority(a, b, ~r) for r = a + b, and of each borrow majority(~a, b, r) for r = a - b.
 * Operands below 32 bits are zero-extended i32.
 */
export function carryWord(
  f: FunctionBuilder,
  kind: FlagKind.Add | FlagKind.Subtract,
  width: Width,
  a: Value,
  b: Value,
  r: Value,
): Value {
  const carries =
    kind === FlagKind.Add
      ? f.or(f.and(a, b), f.and(f.or(a, b), f.not(r)))
      : f.or(f.and(f.not(a), b), f.and(f.not(f.xor(a, b)), r));
  if (width === 32) return f.and(carries, i32(CARRY_BITS));
  const c = f.let(carries);
  const top = width === 64 ? f.wrap(f.shrU(c, i64(32))) : f.shl(c, i32(32 - width));
  return f.or(f.and(top, i32(0xc0000000)), f.and(f.wrap(c), i32(8)));
}

export const carryFlag = (f: FunctionBuilder, flags: NormalFlags): Value => f.shrU(flags.aux, i32(31));
export const overflowFlag = (f: FunctionBuilder, flags: NormalFlags): Value =>
  f.shrU(f.xor(flags.aux, f.shl(flags.aux, i32(1))), i32(31));
export const zeroFlag = (f: FunctionBuilder, flags: NormalFlags): Value => f.isZero(flags.result);
export const signFlag = (f: FunctionBuilder, flags: NormalFlags): Value =>
  f.and(f.xor(f.wrap(f.shrU(flags.result, i64(63))), flags.aux), i32(1));
export const adjustFlag = (f: FunctionBuilder, flags: NormalFlags): Value => f.and(f.shrU(flags.aux, i32(3)), i32(1));
export const parityFlag = (f: FunctionBuilder, flags: NormalFlags): Value =>
  f.isZero(f.and(f.populationCount(f.and(f.xor(f.wrap(flags.result), f.shrU(flags.aux, i32(8))), i32(0xff))), i32(1)));

/** A condition code (SDM vol. 1, appendix B) as 0 or 1; odd codes negate the even ones. */
export function conditionValue(f: FunctionBuilder, code: number, flags: NormalFlags): Value {
  const value = ((): Value => {
    switch (code >> 1) {
      case 0:
        return overflowFlag(f, flags);
      case 1:
        return carryFlag(f, flags);
      case 2:
        return zeroFlag(f, flags);
      case 3:
        return f.or(carryFlag(f, flags), zeroFlag(f, flags));
      case 4:
        return signFlag(f, flags);
      case 5:
        return parityFlag(f, flags);
      case 6:
        return f.xor(signFlag(f, flags), overflowFlag(f, flags));
      default:
        return f.or(zeroFlag(f, flags), f.xor(signFlag(f, flags), overflowFlag(f, flags)));
    }
  })();
  return code & 1 ? f.isZero(value) : value;
}

/** Puts CF and OF (0 or 1, i32) at their places in an aux word. */
export function carryOverflowWord(f: FunctionBuilder, carry: Value, overflow: Value): Value {
  const c = f.let(carry);
  return f.or(f.shl(c, i32(31)), f.shl(f.xor(c, overflow), i32(30)));
}

/** Normal form from the flags at their RFLAGS places (CF 0, PF 2, AF 4, ZF 6, SF 7, OF 11), an i32. */
export function normalFromRflags(f: FunctionBuilder, rflags: Value): NormalFlags {
  const bit = (n: number): Value => f.and(f.shrU(rflags, i32(n)), i32(1));
  const zero = f.let(bit(6));
  // Result 0 has even parity, result 1 odd; both a clear sign. The aux word corrects PF and SF.
  const parityFix = f.xor(bit(2), zero);
  const aux = f.or(
    f.or(carryOverflowWord(f, bit(0), bit(11)), f.shl(bit(4), i32(3))),
    f.or(f.shl(parityFix, i32(8)), bit(7)),
  );
  return { result: f.zeroExtend(f.xor(zero, i32(1))), aux };
}

/** SF, ZF, AF, PF, CF at their RFLAGS places with bit 1 set, an i32: what LAHF stores. */
export function lowRflags(f: FunctionBuilder, flags: NormalFlags): Value {
  const at = (value: Value, n: number): Value => f.shl(value, i32(n));
  return f.or(
    f.or(f.or(carryFlag(f, flags), i32(2)), f.or(at(parityFlag(f, flags), 2), at(adjustFlag(f, flags), 4))),
    f.or(at(zeroFlag(f, flags), 6), at(signFlag(f, flags), 7)),
  );
}

/** The sign-extended i64 of a value of `width` bits. */
export function signExtended(f: FunctionBuilder, width: Width, value: Value): Value {
  if (value.type === I64) return value;
  return f.signExtend(width === 32 ? value : f.signExtendLow(width as 8 | 16, value));
}
