import { i32, i64, type Value } from '../wasm/expression';
import type { FunctionBuilder } from '../wasm/function-builder';
import { I64 } from '../wasm/opcodes';

/** 128-bit products and quotients from 64-bit operations. All values i64. */

const LOW = i64(0xffffffff);

/** High 64 bits of the product, from 32-bit halves; `signed` decides how the high halves are taken. */
export function multiplyHigh(f: FunctionBuilder, a: Value, b: Value, signed: boolean): Value {
  const shift = signed ? f.shrS : f.shrU;
  const thirtyTwo = i64(32);
  const aLow = f.let(f.and(a, LOW));
  const aHigh = f.let(shift(a, thirtyTwo));
  const bLow = f.let(f.and(b, LOW));
  const bHigh = f.let(shift(b, thirtyTwo));
  const middle = f.let(f.add(f.mul(aHigh, bLow), f.shrU(f.mul(aLow, bLow), thirtyTwo)));
  const other = f.let(f.add(f.mul(aLow, bHigh), f.and(middle, LOW)));
  return f.add(f.add(f.mul(aHigh, bHigh), shift(middle, thirtyTwo)), shift(other, thirtyTwo));
}

export interface Division {
  readonly quotient: Value;
  readonly remainder: Value;
}

/**
 * Unsigned high:low / divisor by shifting and subtracting. The quotient must fit 64 bits: high < divisor.
 * A high half of zero divides at once.
 */
export function divide128(f: FunctionBuilder, high: Value, low: Value, divisor: Value): Division {
  const d = f.copy(divisor);
  const remainder = f.temporary(I64);
  const quotient = f.temporary(I64);
  const top = f.temporary(I64);
  const count = f.temporary(I64);
  const sixtyThree = i64(63);
  f.set(quotient, low);
  f.set(remainder, high);
  f.if(f.isZero(f.local(remainder)));
  f.set(remainder, f.remU(f.local(quotient), d));
  f.set(quotient, f.divU(f.local(quotient), d));
  f.else();
  f.set(count, i64(64));
  const again = f.loop();
  f.set(top, f.shrU(f.local(remainder), sixtyThree));
  f.set(remainder, f.or(f.shl(f.local(remainder), i64(1)), f.shrU(f.local(quotient), sixtyThree)));
  f.set(quotient, f.shl(f.local(quotient), i64(1)));
  f.if(f.or(f.wrap(f.local(top)), f.geU(f.local(remainder), d)));
  f.set(remainder, f.sub(f.local(remainder), d));
  f.set(quotient, f.or(f.local(quotient), i64(1)));
  f.end();
  f.set(count, f.sub(f.local(count), i64(1)));
  f.branchIf(f.eq(f.isZero(f.local(count)), i32(0)), again);
  f.end();
  f.end();
  return { quotient: f.local(quotient), remainder: f.local(remainder) };
}
