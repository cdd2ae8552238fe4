import { i32, i64, type Value } from '../wasm/expression';
import { type Context, type Meaning, Register } from './context';
import { adjustFlag, carryFlag, FlagKind } from './flag-arithmetic';
import { row, type RowDefinition, type RowOptions } from './row';

/** Addition and subtraction, and the decimal adjustments. */

const hex = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

/** The nine forms that ADD, OR, ADC, SBB, AND, SUB, XOR and CMP share; `digit` is their place in group 1. */
export function groupOneForms(
  mnemonic: string,
  digit: number,
  summary: string,
  meaning: Meaning,
  options: Partial<RowOptions>,
): RowDefinition[] {
  const form = (notation: string, operands: string, more: Partial<RowOptions> = {}): RowDefinition =>
    row(mnemonic, notation, operands, summary, { meaning, ...options, ...more });
  const base = digit * 8;
  return [
    form(`${hex(base)} /r`, 'Eb,Gb'),
    form(`${hex(base + 1)} /r`, 'Ev,Gv'),
    form(`${hex(base + 2)} /r`, 'Gb,Eb', { lockable: false }),
    form(`${hex(base + 3)} /r`, 'Gv,Ev', { lockable: false }),
    form(`${hex(base + 4)} ib`, 'AL,Ib', { lockable: false }),
    form(`${hex(base + 5)} iz`, 'rAX,Iz', { lockable: false }),
    form(`80 /${digit} ib`, 'Eb,Ib'),
    form(`81 /${digit} iz`, 'Ev,Iz'),
    form(`82 /${digit} ib`, 'Eb,Ib', { only: 'legacy' }),
    form(`83 /${digit} ib`, 'Ev,sIb'),
  ];
}

const add: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.readForWrite(0));
  const b = f.let(x.read(1));
  const r = f.let(x.mask(f.add(a, b)));
  x.write(0, r);
  x.setFlags(FlagKind.Add, width, a, b, r);
};

const subtract: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.readForWrite(0));
  const b = f.let(x.read(1));
  const r = f.let(x.mask(f.sub(a, b)));
  x.write(0, r);
  x.setFlags(FlagKind.Subtract, width, a, b, r);
};

const compare: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.read(0));
  const b = f.let(x.read(1));
  x.setFlags(FlagKind.Subtract, width, a, b, f.let(x.mask(f.sub(a, b))));
};

const withCarry =
  (kind: FlagKind.Add | FlagKind.Subtract): Meaning =>
  (x) => {
    const { f, width } = x;
    const a = f.let(x.readForWrite(0));
    const b = f.let(x.read(1));
    const carry = f.convert(a.type, x.carry());
    const r = f.let(x.mask(kind === FlagKind.Add ? f.add(f.add(a, b), carry) : f.sub(f.sub(a, b), carry)));
    x.write(0, r);
    x.setFlagsWithCarry(kind, width, a, b, r);
  };

const step =
  (kind: FlagKind.Add | FlagKind.Subtract): Meaning =>
  (x) => {
    const { f, width } = x;
    const a = f.let(x.readForWrite(0));
    const one = x.k(width, 1);
    const r = f.let(x.mask(kind === FlagKind.Add ? f.add(a, one) : f.sub(a, one)));
    x.write(0, r);
    x.setFlagsKeepCarry(kind, width, a, one, r);
  };

const negate: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.readForWrite(0));
  const zero = x.k(width, 0);
  const r = f.let(x.mask(f.sub(zero, a)));
  x.write(0, r);
  x.setFlags(FlagKind.Subtract, width, zero, a, r);
};

const exchangeAdd: Meaning = (x) => {
  const { f, width } = x;
  const a = f.let(x.readForWrite(0));
  const b = f.let(x.read(1));
  const r = f.let(x.mask(f.add(a, b)));
  x.write(1, a);
  x.write(0, r);
  x.setFlags(FlagKind.Add, width, a, b, r);
};

const compareExchange: Meaning = (x) => {
  const { f, width } = x;
  const old = f.let(x.readForWrite(0));
  const expected = f.let(x.register(Register.A, width));
  const equal = f.let(f.eq(old, expected));
  const r = f.let(x.mask(f.sub(expected, old)));
  const accumulator = f.let(x.gpr(Register.A));
  const loaded =
    width >= 32 ? f.zeroExtend(old) : f.or(f.and(accumulator, i64(width === 8 ? -256 : -65536)), f.zeroExtend(old));
  x.setGpr(Register.A, f.let(f.select(equal, accumulator, loaded)));
  // After the accumulator, which the destination may be.
  x.writeIf(0, equal, f.let(x.read(1)), old);
  x.setFlags(FlagKind.Subtract, width, expected, old, r);
};

/** EDX:EAX against 8 bytes of memory; only ZF changes. */
const compareExchange8: Meaning = (x) => {
  const { f } = x;
  const old = f.let(x.readForWrite(0));
  const pair = (high: number, low: number): Value =>
    f.or(f.shl(x.gpr(high), i64(32)), f.and(x.gpr(low), i64(0xffffffff)));
  const equal = f.let(f.eq(old, pair(Register.D, Register.A)));
  x.write(0, f.let(f.select(equal, pair(Register.C, Register.B), old)));
  x.setGpr(Register.A, f.let(f.select(equal, x.gpr(Register.A), f.and(old, i64(0xffffffff)))));
  x.setGpr(Register.D, f.let(f.select(equal, x.gpr(Register.D), f.shrU(old, i64(32)))));
  x.setZero(equal);
};

/** DAA and DAS (SDM vol. 2): both nibbles of AL are corrected by 6 when they left the decimal range. */
const decimalAdjust =
  (kind: FlagKind.Add | FlagKind.Subtract): Meaning =>
  (x) => {
    const { f } = x;
    const flags = x.flags();
    const oldCarry = f.let(carryFlag(f, flags));
    const al = f.let(x.register(Register.A, 8));
    const low = f.let(f.or(f.gtU(f.and(al, i32(15)), i32(9)), adjustFlag(f, flags)));
    const high = f.let(f.or(f.gtU(al, i32(0x99)), oldCarry));
    const correction = f.add(f.mul(low, i32(6)), f.mul(high, i32(0x60)));
    const r = f.let(f.and(kind === FlagKind.Add ? f.add(al, correction) : f.sub(al, correction), i32(0xff)));
    // DAS: borrowing 6 from an AL below 6 sets CF even when the high nibble needs no correction.
    const borrow = f.and(low, f.ltU(al, i32(6)));
    x.setRegister(Register.A, 8, r);
    x.setResultFlags(8, r, kind === FlagKind.Add ? high : f.or(high, borrow), i32(0), low);
  };

/** AAA and AAS: AL to one decimal digit, the carry to AH. */
const asciiAdjust =
  (kind: FlagKind.Add | FlagKind.Subtract): Meaning =>
  (x) => {
    const { f } = x;
    const ax = f.let(x.register(Register.A, 16));
    const adjust = f.let(f.or(f.gtU(f.and(ax, i32(15)), i32(9)), adjustFlag(f, x.flags())));
    const correction = f.mul(adjust, i32(0x106));
    const r = f.let(f.and(kind === FlagKind.Add ? f.add(ax, correction) : f.sub(ax, correction), i32(0xff0f)));
    x.setRegister(Register.A, 16, r);
    x.setResultFlags(8, f.and(r, i32(0xff)), adjust, i32(0), adjust);
  };

const asciiMultiply: Meaning = (x) => {
  const { f } = x;
  const base = f.let(x.read(0));
  x.raiseIf(f.isZero(base), 0);
  const al = f.let(x.register(Register.A, 8));
  const digit = f.let(f.remU(al, base));
  x.setRegister(Register.A, 16, f.or(f.shl(f.divU(al, base), i32(8)), digit));
  x.setResultFlags(8, digit, i32(0), i32(0));
};

const asciiDivide: Meaning = (x) => {
  const { f } = x;
  const ax = f.let(x.register(Register.A, 16));
  const r = f.let(f.and(f.add(f.and(ax, i32(0xff)), f.mul(f.shrU(ax, i32(8)), x.read(0))), i32(0xff)));
  x.setRegister(Register.A, 16, r);
  x.setResultFlags(8, r, i32(0), i32(0));
};

const both = (
  mnemonic: string,
  byteNotation: string,
  notation: string,
  operands: (letter: 'b' | 'v') => string,
  summary: string,
  options: RowOptions,
): RowDefinition[] => [
  row(mnemonic, byteNotation, operands('b'), summary, options),
  row(mnemonic, notation, operands('v'), summary, options),
];

const legacy = (meaning: (x: Context) => void, undefinedFlags: string): RowOptions => ({
  meaning,
  only: 'legacy',
  undefinedFlags,
});

export const arithmeticRows: readonly RowDefinition[] = [
  ...groupOneForms('ADD', 0, 'Adds the source to the destination', add, { lockable: true }),
  ...groupOneForms('ADC', 2, 'Adds the source and CF to the destination', withCarry(FlagKind.Add), { lockable: true }),
  ...groupOneForms('SBB', 3, 'Subtracts the source and CF from the destination', withCarry(FlagKind.Subtract), {
    lockable: true,
  }),
  ...groupOneForms('SUB', 5, 'Subtracts the source from the destination', subtract, { lockable: true }),
  ...groupOneForms('CMP', 7, 'Subtracts for the flags only', compare, {}),
  ...both('INC', 'FE /0', 'FF /0', (s) => `E${s}`, 'Adds 1, keeps CF', { meaning: step(FlagKind.Add), lockable: true }),
  ...both('DEC', 'FE /1', 'FF /1', (s) => `E${s}`, 'Subtracts 1, keeps CF', {
    meaning: step(FlagKind.Subtract),
    lockable: true,
  }),
  row('INC', '40+r', 'Zv', 'Adds 1, keeps CF', { meaning: step(FlagKind.Add), only: 'legacy' }),
  row('DEC', '48+r', 'Zv', 'Subtracts 1, keeps CF', { meaning: step(FlagKind.Subtract), only: 'legacy' }),
  ...both('NEG', 'F6 /3', 'F7 /3', (s) => `E${s}`, 'Subtracts the operand from 0', { meaning: negate, lockable: true }),
  ...both('XADD', '0F C0 /r', '0F C1 /r', (s) => `E${s},G${s}`, 'Exchanges, then stores the sum', {
    meaning: exchangeAdd,
    lockable: true,
  }),
  ...both(
    'CMPXCHG',
    '0F B0 /r',
    '0F B1 /r',
    (s) => `E${s},G${s}`,
    'Stores the source when the accumulator equals the destination, else loads the accumulator',
    { meaning: compareExchange, lockable: true },
  ),
  row('CMPXCHG8B', '0F C7 /1', 'Mq', 'Compares EDX:EAX with 8 bytes of memory and exchanges', {
    meaning: compareExchange8,
    lockable: true,
  }),
  row('CMPXCHG16B', 'REX.W + 0F C7 /1', 'M', 'Compares RDX:RAX with 16 bytes of memory and exchanges', {
    helper: 'cmpxchg16b',
    lockable: true,
    only: 'long',
  }),
  row('DAA', '27', '', 'Decimal-adjusts AL after addition', legacy(decimalAdjust(FlagKind.Add), 'O')),
  row('DAS', '2F', '', 'Decimal-adjusts AL after subtraction', legacy(decimalAdjust(FlagKind.Subtract), 'O')),
  row('AAA', '37', '', 'ASCII-adjusts AL after addition', legacy(asciiAdjust(FlagKind.Add), 'OSZP')),
  row('AAS', '3F', '', 'ASCII-adjusts AL after subtraction', legacy(asciiAdjust(FlagKind.Subtract), 'OSZP')),
  row('AAM', 'D4 ib', 'Ib', 'Splits AL into two digits', legacy(asciiMultiply, 'OAC')),
  row('AAD', 'D5 ib', 'Ib', 'Joins two digits in AX', legacy(asciiDivide, 'OAC')),
];
