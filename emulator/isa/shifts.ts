import { i32, i64, type Value } from '../wasm/expression';
import { type Context, type Meaning, typeOf, type Width } from './context';
import { carryFlag, type NormalFlags, overflowFlag, signExtended } from './flag-arithmetic';
import { row, type RowDefinition } from './row';

/**
 * Shifts and rotates. The count is masked to 5 bits (6 for 64-bit operands); a masked count of zero changes nothing,
 * flags included (SDM vol. 2, SAL/SAR/SHL/SHR and RCL/RCR/ROL/ROR).
 */

const isConstantZero = (v: Value): boolean => v.kind === 'constant' && v.value === 0n;

/** The masked count, in the operand's type. */
function maskedCount(x: Context, operand: number, width: Width): Value {
  const { f } = x;
  return f.let(f.convert(typeOf(width), f.and(f.wrap(x.read(operand)), i32(width === 64 ? 63 : 31))));
}

/** Sets the flags unless the count is zero. */
function setFlagsForCount(x: Context, count: Value, flags: NormalFlags): void {
  if (isConstantZero(count)) return;
  if (count.kind === 'constant') {
    x.setNormalFlags(flags);
    return;
  }
  const { f } = x;
  const old = x.flags();
  const unchanged = f.let(f.isZero(count));
  x.setNormalFlags({
    result: f.select(unchanged, old.result, flags.result),
    aux: f.select(unchanged, old.aux, flags.aux),
  });
}

const resultFlags = (x: Context, width: Width, r: Value, carry: Value, carryXorOverflow: Value): NormalFlags => ({
  result: signExtended(x.f, width, r),
  aux: x.f.or(x.f.shl(carry, i32(31)), x.f.shl(carryXorOverflow, i32(30))),
});

const shiftLeft: Meaning = (x) => {
  const { f, width } = x;
  const count = maskedCount(x, 1, width);
  const a = f.let(x.readForWrite(0));
  const r = f.let(x.mask(f.shl(a, count)));
  x.write(0, r);
  if (!x.flagsLive) return;
  const carry = width >= 32 ? x.bit(a, f.sub(x.k(width, width), count)) : x.bit(f.shl(a, count), i32(width));
  // OF (defined for a count of 1) = top bit of the result xor CF
  setFlagsForCount(x, count, resultFlags(x, width, r, carry, x.topBit(r)));
};

const shiftRight: Meaning = (x) => {
  const { f, width } = x;
  const count = maskedCount(x, 1, width);
  const a = f.let(x.readForWrite(0));
  const r = f.let(f.shrU(a, count));
  x.write(0, r);
  if (!x.flagsLive) return;
  const carry = f.let(x.bit(a, f.sub(count, x.k(width, 1))));
  setFlagsForCount(x, count, resultFlags(x, width, r, carry, f.xor(carry, x.topBit(a))));
};

const shiftArithmetic: Meaning = (x) => {
  const { f, width } = x;
  const count = maskedCount(x, 1, width);
  const original = x.readForWrite(0);
  const a = f.let(width < 32 ? f.wrap(signExtended(f, width, original)) : original);
  const r = f.let(x.mask(f.shrS(a, count)));
  x.write(0, r);
  if (!x.flagsLive) return;
  const carry = f.let(x.bit(a, f.sub(count, x.k(width, 1))));
  setFlagsForCount(x, count, resultFlags(x, width, r, carry, carry));
};

/** CF and OF change, the others stay; nothing changes for a count of zero. */
function setRotateFlags(x: Context, count: Value, carry: () => Value, overflow: (carry: Value) => Value): void {
  if (!x.flagsLive || isConstantZero(count)) return;
  const { f } = x;
  const old = x.flags();
  if (count.kind === 'constant') {
    const c = f.let(carry());
    x.setCarryOverflow(c, overflow(c), old);
    return;
  }
  const unchanged = f.let(f.isZero(count));
  const c = f.let(f.select(unchanged, carryFlag(f, old), carry()));
  x.setCarryOverflow(c, f.let(f.select(unchanged, overflowFlag(f, old), overflow(c))), old);
}

const rotate =
  (left: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const count = maskedCount(x, 1, width);
    const a = f.let(x.readForWrite(0));
    let r: Value;
    if (width >= 32) r = f.let(left ? f.rotl(a, count) : f.rotr(a, count));
    else {
      const steps = f.let(f.and(count, i32(width - 1)));
      const rest = f.let(f.and(f.sub(i32(width), steps), i32(width - 1)));
      r = f.let(left ? x.mask(f.or(f.shl(a, steps), f.shrU(a, rest))) : x.mask(f.or(f.shrU(a, steps), f.shl(a, rest))));
    }
    x.write(0, r);
    const low = (): Value => x.bit(r, x.k(width, 0));
    const second = (): Value => x.bit(r, x.k(width, width - 2));
    if (left) setRotateFlags(x, count, low, (carry) => f.xor(x.topBit(r), carry));
    else
      setRotateFlags(
        x,
        count,
        () => x.topBit(r),
        (carry) => f.xor(carry, second()),
      );
  };

/** Rotates width + 1 bits, CF above the top bit. `count` is already reduced; below 64 bits the work is done in an i64. */
function rotateThroughCarry(
  x: Context,
  left: boolean,
  a: Value,
  carry: Value,
  count: Value,
): { r: Value; carry: Value } {
  const { f, width } = x;
  const one = i64(1);
  const steps = f.let(f.zeroExtend(count));
  const carryIn = f.let(f.zeroExtend(carry));
  if (width === 64) {
    const rest = f.let(f.sub(i64(64), steps));
    const shifted = left
      ? f.or(f.or(f.shl(a, steps), f.shl(carryIn, f.sub(steps, one))), f.shrU(f.shrU(a, one), rest))
      : f.or(f.or(f.shrU(a, steps), f.shl(carryIn, rest)), f.shl(f.shl(a, one), rest));
    const out = left ? x.bit(a, rest) : x.bit(a, f.sub(steps, one));
    const none = f.let(f.isZero(steps));
    return { r: f.let(f.select(none, a, shifted)), carry: f.let(f.select(none, carry, out)) };
  }
  const whole = f.let(f.or(f.zeroExtend(a), f.shl(carryIn, i64(width))));
  const up = left ? steps : f.let(f.sub(i64(width + 1), steps));
  const down = left ? f.sub(i64(width + 1), steps) : steps;
  const turned = f.let(f.or(f.shl(whole, up), f.shrU(whole, down)));
  return { r: f.let(x.truncate(turned, width)), carry: f.let(x.bit(turned, i64(width))) };
}

const rotateCarry =
  (left: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const masked = maskedCount(x, 1, width);
    const count = width < 32 ? f.let(f.remU(masked, i32(width + 1))) : masked;
    const a = f.let(x.readForWrite(0));
    const old = x.flags();
    const oldCarry = f.let(carryFlag(f, old));
    const { r, carry } = rotateThroughCarry(x, left, a, oldCarry, count);
    x.write(0, r);
    if (!x.flagsLive) return;
    const overflow = left ? f.xor(x.topBit(r), carry) : f.xor(x.topBit(r), x.bit(r, x.k(width, width - 2)));
    const unchanged = f.let(f.isZero(count));
    x.setCarryOverflow(carry, f.let(f.select(unchanged, overflowFlag(f, old), overflow)), old);
  };

/** SHLD and SHRD: the bits that enter come from the second operand. */
const shiftDouble =
  (left: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const count = maskedCount(x, 2, width);
    const a = f.let(x.readForWrite(0));
    const b = f.let(x.read(1));
    let r: Value;
    if (width === 16) {
      const pair = left ? f.or(f.shl(a, i32(16)), b) : f.or(f.shl(b, i32(16)), a);
      r = f.let(left ? f.shrU(f.shl(pair, count), i32(16)) : x.mask(f.shrU(pair, count)));
    } else {
      const rest = f.sub(x.k(width, width), count);
      const shifted = left ? f.or(f.shl(a, count), f.shrU(b, rest)) : f.or(f.shrU(a, count), f.shl(b, rest));
      r = f.let(f.select(f.isZero(count), a, shifted));
    }
    x.write(0, r);
    if (!x.flagsLive) return;
    const out = left ? f.sub(x.k(width, width), count) : f.sub(count, x.k(width, 1));
    const carry = f.let(x.bit(a, out));
    const overflow = f.xor(x.topBit(a), x.topBit(r));
    setFlagsForCount(x, count, resultFlags(x, width, r, carry, f.xor(carry, overflow)));
  };

/** The six forms of a shift by immediate, by 1 and by CL. */
function shiftForms(
  mnemonic: string,
  digit: number,
  summary: string,
  meaning: Meaning,
  undefinedFlags: string,
): RowDefinition[] {
  const options = { meaning, undefinedFlags };
  return [
    row(mnemonic, `C0 /${digit} ib`, 'Eb,Ib', summary, options),
    row(mnemonic, `C1 /${digit} ib`, 'Ev,Ib', summary, options),
    row(mnemonic, `D0 /${digit}`, 'Eb,1', summary, options),
    row(mnemonic, `D1 /${digit}`, 'Ev,1', summary, options),
    row(mnemonic, `D2 /${digit}`, 'Eb,CL', summary, options),
    row(mnemonic, `D3 /${digit}`, 'Ev,CL', summary, options),
  ];
}

const DOUBLE = { undefinedFlags: 'AO' } as const;

export const shiftRows: readonly RowDefinition[] = [
  ...shiftForms('ROL', 0, 'Rotates left', rotate(true), 'O'),
  ...shiftForms('ROR', 1, 'Rotates right', rotate(false), 'O'),
  ...shiftForms('RCL', 2, 'Rotates left through CF', rotateCarry(true), 'O'),
  ...shiftForms('RCR', 3, 'Rotates right through CF', rotateCarry(false), 'O'),
  ...shiftForms('SHL', 4, 'Shifts left', shiftLeft, 'AO'),
  ...shiftForms('SHR', 5, 'Shifts right, unsigned', shiftRight, 'AO'),
  ...shiftForms('SHL', 6, 'Shifts left', shiftLeft, 'AO'),
  ...shiftForms('SAR', 7, 'Shifts right, signed', shiftArithmetic, 'AO'),
  row('SHLD', '0F A4 /r ib', 'Ev,Gv,Ib', 'Shifts left, bits of the source enter', {
    ...DOUBLE,
    meaning: shiftDouble(true),
  }),
  row('SHLD', '0F A5 /r', 'Ev,Gv,CL', 'Shifts left, bits of the source enter', {
    ...DOUBLE,
    meaning: shiftDouble(true),
  }),
  row('SHRD', '0F AC /r ib', 'Ev,Gv,Ib', 'Shifts right, bits of the source enter', {
    ...DOUBLE,
    meaning: shiftDouble(false),
  }),
  row('SHRD', '0F AD /r', 'Ev,Gv,CL', 'Shifts right, bits of the source enter', {
    ...DOUBLE,
    meaning: shiftDouble(false),
  }),
];
