import { carryWord, conditionValue, FlagKind, signExtended, type NormalFlags } from '../../isa/flag-arithmetic';
import type { Width } from '../../isa/context';
import { i32, i64, type Value } from '../../wasm/expression';
import type { FunctionBuilder } from '../../wasm/function-builder';

/**
 * Arithmetic flags kept unevaluated as (kind, a, b) in locals, and in State.LAZY_* between regions:
 * - Normal: a = result, b = aux word, zero-extended
 * - Add, Subtract: the operands, zero-extended; kind carries the width
 * - Logic: a = sign-extended result
 */
export interface LazyFlags {
  readonly kind: Value;
  readonly a: Value;
  readonly b: Value;
}

/** What is known while translating about the last producer of flags. */
export interface FlagProducer {
  readonly kind: FlagKind;
  readonly width: Width;
}

export const lazyKind = (kind: FlagKind, width: Width): number => kind | (width << 4);

const narrow = (f: FunctionBuilder, width: Width, value: Value): Value => (width === 64 ? value : f.wrap(value));

/** The normal form of flags whose producer is known. */
export function normalOf(f: FunctionBuilder, flags: LazyFlags, producer: FlagProducer): NormalFlags {
  const { kind, width } = producer;
  if (kind === FlagKind.Normal) return { result: flags.a, aux: f.wrap(flags.b) };
  if (kind === FlagKind.Logic) return { result: flags.a, aux: i32(0) };
  const a = f.let(narrow(f, width, flags.a));
  const b = f.let(narrow(f, width, flags.b));
  const full = kind === FlagKind.Add ? f.add(a, b) : f.sub(a, b);
  const r = f.let(width < 32 ? f.and(full, i32(width === 8 ? 0xff : 0xffff)) : full);
  return { result: f.let(signExtended(f, width, r)), aux: f.let(carryWord(f, kind, width, a, b, r)) };
}

/** A condition code; common pairs of producer and code become one comparison. */
export function conditionOf(f: FunctionBuilder, code: number, flags: LazyFlags, producer: FlagProducer): Value {
  return shortCondition(f, code, flags, producer) ?? conditionValue(f, code, normalOf(f, flags, producer));
}

function shortCondition(
  f: FunctionBuilder,
  code: number,
  { a, b }: LazyFlags,
  { kind, width }: FlagProducer,
): Value | undefined {
  const negated = (code & 1) === 1;
  const even = code & ~1;
  const either = (value: Value): Value => (negated ? f.isZero(value) : value);
  if (kind === FlagKind.Logic) {
    // CF and OF are clear; a is sign-extended to 64 bits.
    if (even === 0 || even === 2) return i32(negated ? 1 : 0);
    if (even === 4 || even === 6) return negated ? f.ne(a, i64(0)) : f.isZero(a);
    if (even === 8 || even === 12) return either(f.ltS(a, i64(0)));
    if (even === 14) return either(f.leS(a, i64(0)));
    return undefined;
  }
  if (kind === FlagKind.Subtract) {
    const [x, y] = [narrow(f, width, a), narrow(f, width, b)];
    if (even === 2) return negated ? f.geU(x, y) : f.ltU(x, y);
    if (even === 4) return negated ? f.ne(x, y) : f.eq(x, y);
    if (even === 6) return negated ? f.gtU(x, y) : f.leU(x, y);
    const [s, t] = [signed(f, width, a), signed(f, width, b)];
    if (even === 12) return negated ? f.geS(s, t) : f.ltS(s, t);
    if (even === 14) return negated ? f.gtS(s, t) : f.leS(s, t);
    return undefined;
  }
  if (kind === FlagKind.Add && width >= 32) {
    const x = narrow(f, width, a);
    const r = f.add(x, narrow(f, width, b));
    if (even === 2) return either(f.ltU(r, x));
    if (even === 4) return either(f.isZero(r));
    if (even === 8) return either(f.ltS(r, f.constant(r.type, 0)));
  }
  return undefined;
}

/** The operand as a value whose signed comparison is that of `width` bits. */
function signed(f: FunctionBuilder, width: Width, value: Value): Value {
  const v = narrow(f, width, value);
  return width >= 32 ? v : f.shl(v, i32(32 - width));
}
