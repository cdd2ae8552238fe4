import { i32, i64, type Value } from '../wasm/expression';
import { type Context, type Meaning, Register, type Width } from './context';
import { row, type RowDefinition } from './row';
import { divide128, multiplyHigh } from './wide-arithmetic';

const DIVIDE_ERROR = 0;

/** CF = OF = "the product does not fit the destination". */
const setOverflow = (x: Context, width: Width, low: Value, overflow: Value): void => {
  const bit = x.f.let(overflow);
  x.setResultFlags(width, low, bit, bit);
};

/** The accumulator times the operand into rDX:rAX (AX for bytes). */
const multiplyAccumulator =
  (signed: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const b = f.let(x.read(0));
    const a = f.let(x.register(Register.A, width));
    if (width === 64) {
      const high = f.let(multiplyHigh(f, a, b, signed));
      const low = f.let(f.mul(a, b));
      x.setGpr(Register.A, low);
      x.setGpr(Register.D, high);
      setOverflow(x, 64, low, f.ne(high, signed ? f.shrS(low, i64(63)) : i64(0)));
      return;
    }
    const wide = (v: Value): Value => (signed ? x.signExtend(v, width, 64) : f.zeroExtend(v));
    const product = f.let(f.mul(wide(a), wide(b)));
    const low = f.let(x.truncate(product, width));
    if (width === 8) x.setRegister(Register.A, 16, x.truncate(product, 16));
    else {
      x.setRegister(Register.A, width, low);
      x.setRegister(Register.D, width, f.let(x.truncate(f.shrU(product, i64(width)), width)));
    }
    setOverflow(x, width, low, f.ne(product, wide(low)));
  };

/** IMUL with a destination operand: operands a and b give the low half of the signed product. */
const multiplyInto =
  (first: number, second: number): Meaning =>
  (x) => {
    const { f, width } = x;
    const a = f.let(x.read(first));
    const b = f.let(x.read(second));
    const low = f.let(x.mask(f.mul(a, b)));
    x.write(0, low);
    if (!x.flagsLive) return;
    if (width === 64) setOverflow(x, 64, low, f.ne(multiplyHigh(f, a, b, true), f.shrS(low, i64(63))));
    else {
      const product = f.mul(x.signExtend(a, width, 64), x.signExtend(b, width, 64));
      setOverflow(x, width, low, f.ne(product, x.signExtend(low, width, 64)));
    }
  };

/** Quotient to the low, remainder to the high half: AL and AH, or rAX and rDX. */
function writeDivision(x: Context, width: Width, quotient: Value, remainder: Value): void {
  const { f } = x;
  if (width === 8) {
    const value = f.or(f.and(f.wrap(quotient), i32(0xff)), f.shl(f.and(f.wrap(remainder), i32(0xff)), i32(8)));
    x.setRegister(Register.A, 16, value);
  } else {
    x.setRegister(Register.A, width, f.let(x.truncate(quotient, width)));
    x.setRegister(Register.D, width, f.let(x.truncate(remainder, width)));
  }
}

/** The double-width dividend of an operand of 8, 16 or 32 bits as an i64, zero-extended. */
function dividend(x: Context, width: Width): Value {
  const { f } = x;
  if (width === 8) return f.zeroExtend(x.register(Register.A, 16));
  const low = f.zeroExtend(x.register(Register.A, width));
  return f.or(low, f.shl(f.zeroExtend(x.register(Register.D, width)), i64(width)));
}

const divideUnsigned: Meaning = (x) => {
  const { f, width } = x;
  const divisor = f.let(f.zeroExtend(x.read(0)));
  if (width === 64) {
    const high = f.let(x.gpr(Register.D));
    // Also true for a divisor of zero.
    x.raiseIf(f.geU(high, divisor), DIVIDE_ERROR);
    const { quotient, remainder } = divide128(f, high, x.gpr(Register.A), divisor);
    writeDivision(x, 64, quotient, remainder);
    return;
  }
  x.raiseIf(f.isZero(divisor), DIVIDE_ERROR);
  const n = f.let(dividend(x, width));
  const quotient = f.let(f.divU(n, divisor));
  x.raiseIf(f.gtU(quotient, i64((1n << BigInt(width)) - 1n)), DIVIDE_ERROR);
  writeDivision(x, width, quotient, f.let(f.remU(n, divisor)));
};

const MINIMUM = i64(-(1n << 63n));

const divideSigned: Meaning = (x) => {
  const { f, width } = x;
  if (width === 64) {
    divideSigned64(x);
    return;
  }
  const divisor = f.let(x.signExtend(x.read(0), width, 64));
  x.raiseIf(f.isZero(divisor), DIVIDE_ERROR);
  const raw = dividend(x, width);
  const n = f.let(width === 32 ? raw : f.signExtend(x.signExtend(f.wrap(raw), (width * 2) as Width, 32)));
  if (width === 32) x.raiseIf(f.and(f.eq(n, MINIMUM), f.eq(divisor, i64(-1))), DIVIDE_ERROR);
  const quotient = f.let(f.divS(n, divisor));
  const limit = 1n << BigInt(width - 1);
  x.raiseIf(f.or(f.gtS(quotient, i64(limit - 1n)), f.ltS(quotient, i64(-limit))), DIVIDE_ERROR);
  writeDivision(x, width, quotient, f.let(f.remS(n, divisor)));
};

/** On magnitudes: the remainder takes the dividend's sign, the quotient is negative when the signs differ. */
function divideSigned64(x: Context): void {
  const { f } = x;
  const divisor = f.let(x.read(0));
  const low = f.let(x.gpr(Register.A));
  const high = f.let(x.gpr(Register.D));
  const negativeDividend = f.let(f.ltS(high, i64(0)));
  const negativeQuotient = f.let(f.ltS(f.xor(high, divisor), i64(0)));
  const negated = (v: Value): Value => f.sub(i64(0), v);
  const magnitude = f.let(f.select(f.ltS(divisor, i64(0)), negated(divisor), divisor));
  const lowMagnitude = f.let(f.select(negativeDividend, negated(low), low));
  const highNegated = f.sub(f.not(high), f.sub(f.zeroExtend(f.ne(low, i64(0))), i64(1)));
  const highMagnitude = f.let(f.select(negativeDividend, highNegated, high));
  x.raiseIf(f.geU(highMagnitude, magnitude), DIVIDE_ERROR);
  const { quotient, remainder } = divide128(f, highMagnitude, lowMagnitude, magnitude);
  const limit = f.sub(MINIMUM, f.zeroExtend(f.isZero(negativeQuotient)));
  x.raiseIf(f.gtU(quotient, limit), DIVIDE_ERROR);
  const q = f.let(f.select(negativeQuotient, negated(quotient), quotient));
  const r = f.let(f.select(negativeDividend, negated(remainder), remainder));
  writeDivision(x, 64, q, r);
}

const MUL = { undefinedFlags: 'SZAP' } as const;
const DIV = { undefinedFlags: 'OSZAPC' } as const;

export const multiplyDivideRows: readonly RowDefinition[] = [
  row('MUL', 'F6 /4', 'Eb', 'AX = AL times the operand, unsigned', { ...MUL, meaning: multiplyAccumulator(false) }),
  row('MUL', 'F7 /4', 'Ev', 'rDX:rAX = rAX times the operand, unsigned', {
    ...MUL,
    meaning: multiplyAccumulator(false),
  }),
  row('IMUL', 'F6 /5', 'Eb', 'AX = AL times the operand, signed', { ...MUL, meaning: multiplyAccumulator(true) }),
  row('IMUL', 'F7 /5', 'Ev', 'rDX:rAX = rAX times the operand, signed', { ...MUL, meaning: multiplyAccumulator(true) }),
  row('IMUL', '0F AF /r', 'Gv,Ev', 'Multiplies the destination, signed', { ...MUL, meaning: multiplyInto(0, 1) }),
  row('IMUL', '69 /r iz', 'Gv,Ev,Iz', 'Multiplies two sources, signed', { ...MUL, meaning: multiplyInto(1, 2) }),
  row('IMUL', '6B /r ib', 'Gv,Ev,sIb', 'Multiplies two sources, signed', { ...MUL, meaning: multiplyInto(1, 2) }),
  row('DIV', 'F6 /6', 'Eb', 'AL, AH = AX divided by the operand, unsigned', { ...DIV, meaning: divideUnsigned }),
  row('DIV', 'F7 /6', 'Ev', 'rAX, rDX = rDX:rAX divided by the operand, unsigned', { ...DIV, meaning: divideUnsigned }),
  row('IDIV', 'F6 /7', 'Eb', 'AL, AH = AX divided by the operand, signed', { ...DIV, meaning: divideSigned }),
  row('IDIV', 'F7 /7', 'Ev', 'rAX, rDX = rDX:rAX divided by the operand, signed', { ...DIV, meaning: divideSigned }),
];
