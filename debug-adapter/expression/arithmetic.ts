import type { BuiltinTypes } from '../symbols/builtin-types';
import { type FloatType, type IntegerType, type Type, bare, sizeOf } from '../symbols/types';
import { ExpressionError } from './api';
import type { BinaryOperator } from './syntax';

/** A number with its C type, after promotion. */
export type Scalar =
  { readonly type: IntegerType; readonly value: bigint } | { readonly type: FloatType; readonly value: number };

/** Conversion rank among types of one size (C17, 6.3.1.1) */
const RANK: Readonly<Record<string, number>> = { 'long long': 3, 'unsigned long long': 3, long: 2, 'unsigned long': 2 };

/** Integer promotion (C17, 6.3.1.1): what is narrower than int, and a bit field that fits, becomes int. */
export function promote(type: IntegerType, builtin: BuiltinTypes, bitSize?: number): IntegerType {
  if (bitSize !== undefined) {
    if (bitSize < 32 || (bitSize === 32 && type.signed)) return builtin.int;
    if (bitSize === 32) return builtin.unsignedInt;
    return type;
  }
  return type.size < 4 ? builtin.int : type.shown === 'number' ? type : builtin.ofSize(type.size, type.signed);
}

/** The usual arithmetic conversions (C17, 6.3.1.8) of two promoted types */
export function commonType(a: Scalar['type'], b: Scalar['type'], builtin: BuiltinTypes): Scalar['type'] {
  if (a.kind === 'float') return b.kind === 'float' && b.size > a.size ? b : a;
  if (b.kind === 'float') return b;
  if (a.size !== b.size) return a.size > b.size ? a : b;
  const rank = (t: IntegerType) => RANK[t.name] ?? 0;
  const wider = rank(b) > rank(a) ? b : a;
  if (a.signed === b.signed) return wider;
  const unsigned = a.signed ? b : a;
  if (rank(unsigned) >= rank(wider)) return unsigned;
  // The higher rank is signed but no wider: its unsigned counterpart.
  return rank(wider) === 3 ? builtin.unsignedLongLong : builtin.ofSize(wider.size, false);
}

/** Converts a number to an arithmetic type: modulo 2^n, toward zero from floating point, any non-zero to true */
export function convert(scalar: Scalar, type: Scalar['type']): Scalar {
  if (type.kind === 'float') {
    const value = Number(scalar.value);
    return { type, value: type.size === 4 ? Math.fround(value) : value };
  }
  if (type.shown === 'boolean') return { type, value: Number(scalar.value) !== 0 ? 1n : 0n };
  const whole = typeof scalar.value === 'bigint' ? scalar.value : truncate(scalar.value);
  return { type, value: wrap(type, whole) };
}

const truncate = (value: number) => (Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n);

export const wrap = (type: IntegerType, value: bigint): bigint =>
  type.signed ? BigInt.asIntN(type.size * 8, value) : BigInt.asUintN(type.size * 8, value);

export const isTrue = (scalar: Scalar): boolean => Number(scalar.value) !== 0;

/** A binary operator on two promoted numbers; && and || are the caller's. */
export function compute(operator: BinaryOperator, a: Scalar, b: Scalar, builtin: BuiltinTypes, at: number): Scalar {
  if (operator === '<<' || operator === '>>') return shift(operator, a, b, at);
  const type = commonType(a.type, b.type, builtin);
  const x = convert(a, type);
  const y = convert(b, type);
  const truth = (value: boolean): Scalar => ({ type: builtin.int, value: value ? 1n : 0n });
  switch (operator) {
    case '==':
      return truth(x.value === y.value);
    case '!=':
      return truth(x.value !== y.value);
    case '<':
      return truth(x.value < y.value);
    case '>':
      return truth(x.value > y.value);
    case '<=':
      return truth(x.value <= y.value);
    case '>=':
      return truth(x.value >= y.value);
    default:
      break;
  }
  if (type.kind === 'float') return floating(operator, type, Number(x.value), Number(y.value), at);
  return { type, value: wrap(type, integral(operator, x.value as bigint, y.value as bigint, at)) };
}

function integral(operator: BinaryOperator, x: bigint, y: bigint, at: number): bigint {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
    case '%':
      if (y === 0n) throw new ExpressionError('Division by zero.', at);
      return operator === '/' ? x / y : x % y;
    case '&':
      return x & y;
    case '|':
      return x | y;
    case '^':
      return x ^ y;
    default:
      throw new ExpressionError(`"${operator}" does not apply to integers.`, at);
  }
}

function floating(operator: BinaryOperator, type: FloatType, x: number, y: number, at: number): Scalar {
  const round = (value: number): Scalar => ({ type, value: type.size === 4 ? Math.fround(value) : value });
  switch (operator) {
    case '+':
      return round(x + y);
    case '-':
      return round(x - y);
    case '*':
      return round(x * y);
    case '/':
      return round(x / y);
    default:
      throw new ExpressionError(`"${operator}" does not apply to floating-point numbers.`, at);
  }
}

/** Each operand keeps its own type (C17, 6.5.7). A count that C leaves undefined gives 0, or -1 for a negative number. */
function shift(operator: '<<' | '>>', a: Scalar, b: Scalar, at: number): Scalar {
  if (a.type.kind === 'float' || b.type.kind === 'float') {
    throw new ExpressionError(`"${operator}" does not apply to floating-point numbers.`, at);
  }
  const value = a.value as bigint;
  const count = b.value as bigint;
  const bits = BigInt(a.type.size * 8);
  if (count < 0n || count >= bits) return { type: a.type, value: operator === '>>' && value < 0n ? -1n : 0n };
  return { type: a.type, value: wrap(a.type, operator === '<<' ? value << count : value >> count) };
}

/** The type as an integer type when it counts as one: integers, enumerations (as their storage) */
export function asInteger(type: Type, builtin: BuiltinTypes): IntegerType | undefined {
  const t = bare(type);
  if (t.kind === 'integer') return t;
  if (t.kind === 'enumeration') return builtin.ofSize(sizeOf(t), t.signed);
  return undefined;
}

/** The type of an integer literal: the first that holds the value (C17, 6.4.4.1) */
export function literalType(value: bigint, suffix: string, decimal: boolean, builtin: BuiltinTypes): IntegerType {
  const unsigned = suffix.includes('u');
  const longs = suffix.replace('u', '').length;
  const candidates = [
    [builtin.int, builtin.unsignedInt],
    [builtin.long, builtin.unsignedLong],
    [builtin.longLong, builtin.unsignedLongLong],
  ] as const;
  for (const [signedType, unsignedType] of candidates.slice(longs)) {
    if (!unsigned && value === BigInt.asIntN(signedType.size * 8, value)) return signedType;
    if ((unsigned || !decimal) && value === BigInt.asUintN(unsignedType.size * 8, value)) return unsignedType;
  }
  return builtin.ofSize(value === BigInt.asUintN(64, value) ? 8 : 16, false);
}
