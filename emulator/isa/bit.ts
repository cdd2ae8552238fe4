import { i32, i64, type Value } from '../wasm/expression';
import { type Context, type Meaning, type Width } from './context';
import { row, type RowDefinition } from './row';

/** Bit test, bit scan, population count, byte swap. */

/**
 * BT, BTS, BTR, BTC. With a register index and a memory operand the index reaches outside the operand: it is signed and
 * counts bits from the operand's address (SDM vol. 2, BT).
 */
const bitTest =
  (change: ((x: Context, value: Value, bit: Value) => Value) | undefined): Meaning =>
  (x) => {
    const { f, width } = x;
    const index = f.let(f.convert(x.k(width, 0).type, x.read(1)));
    const reachesOutside = x.row.operands[1] === 'Gv' && x.isMemory(0);
    if (reachesOutside) {
      const words = f.shrS(x.signExtend(index, width, 64), i64(width === 64 ? 6 : width === 32 ? 5 : 4));
      x.displaceMemory(f.let(f.mul(words, i64(width / 8))));
    }
    const position = f.let(f.and(index, x.k(width, width - 1)));
    const value = f.let(change ? x.readForWrite(0) : x.read(0));
    if (change) x.write(0, f.let(change(x, value, f.shl(x.k(width, 1), position))));
    x.setCarry(x.bit(value, position));
  };

const bitForms = (
  mnemonic: string,
  opcode: string,
  digit: number,
  summary: string,
  change?: (x: Context, value: Value, bit: Value) => Value,
): RowDefinition[] => {
  const options = { meaning: bitTest(change), lockable: change !== undefined, undefinedFlags: 'OSAP' };
  return [
    row(mnemonic, `0F ${opcode} /r`, 'Ev,Gv', summary, options),
    row(mnemonic, `0F BA /${digit} ib`, 'Ev,Ib', summary, options),
  ];
};

/** BSF and BSR: a source of zero sets ZF and leaves the destination, all of it, as processors do. */
const bitScan =
  (forward: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const source = f.let(x.read(1));
    const found = forward
      ? f.countTrailingZeros(source)
      : f.sub(x.k(width, width === 64 ? 63 : 31), f.countLeadingZeros(source));
    x.writeIf(0, f.let(f.ne(source, x.k(width, 0))), f.let(found), x.read(0));
    x.setResultFlags(width, source, i32(0), i32(0));
  };

/** TZCNT and LZCNT: a source of zero counts the width and sets CF. */
const zeroCount =
  (trailing: boolean): Meaning =>
  (x) => {
    const { f, width } = x;
    const source = f.let(x.read(1));
    const zero = f.let(f.isZero(source));
    const counted = trailing
      ? f.countTrailingZeros(width === 16 ? f.or(source, i32(0x10000)) : source)
      : f.sub(f.countLeadingZeros(source), x.k(width, width === 16 ? 16 : 0));
    const r = f.let(counted);
    x.write(0, r);
    x.setResultFlags(width, r, zero, i32(0));
  };

/** ZF by the source; OF, SF, AF, CF and PF clear (the aux word makes the parity odd). */
const populationCount: Meaning = (x) => {
  const { f } = x;
  const r = f.let(f.populationCount(x.read(1)));
  x.write(0, r);
  if (!x.flagsLive) return;
  const low = f.wrap(r);
  x.setNormalFlags({ result: f.zeroExtend(r), aux: f.shl(f.and(f.xor(low, i32(1)), i32(0xff)), i32(8)) });
};

/** Reverses the bytes of a value of 16, 32 or 64 bits. */
export function swapBytes(x: Context, width: Width, value: Value): Value {
  const { f } = x;
  if (width === 16) return x.mask(f.or(f.shl(value, i32(8)), f.shrU(value, i32(8))), 16);
  if (width === 32)
    return f.or(f.and(f.rotl(value, i32(8)), i32(0x00ff00ff)), f.and(f.rotl(value, i32(24)), i32(0xff00ff00)));
  const low = f.let(swapBytes(x, 32, f.let(f.wrap(value))));
  const high = f.let(swapBytes(x, 32, f.let(f.wrap(f.shrU(value, i64(32))))));
  return f.or(f.shl(f.zeroExtend(low), i64(32)), f.zeroExtend(high));
}

/** BSWAP of a 16-bit register is undefined; processors store zero. */
const byteSwap: Meaning = (x) => {
  const { f, width } = x;
  x.write(0, width === 16 ? i32(0) : f.let(swapBytes(x, width, f.let(x.read(0)))));
};

const moveSwapped: Meaning = (x) => {
  x.write(0, x.f.let(swapBytes(x, x.width, x.f.let(x.read(1)))));
};

const COUNT = 'OSAP';

export const bitRows: readonly RowDefinition[] = [
  ...bitForms('BT', 'A3', 4, 'Copies a bit to CF'),
  ...bitForms('BTS', 'AB', 5, 'Copies a bit to CF and sets it', (x, value, bit) => x.f.or(value, bit)),
  ...bitForms('BTR', 'B3', 6, 'Copies a bit to CF and clears it', (x, value, bit) => x.f.and(value, x.f.not(bit))),
  ...bitForms('BTC', 'BB', 7, 'Copies a bit to CF and inverts it', (x, value, bit) => x.f.xor(value, bit)),
  row('TZCNT', 'F3 0F BC /r', 'Gv,Ev', 'Counts trailing zero bits', {
    meaning: zeroCount(true),
    undefinedFlags: COUNT,
  }),
  row('LZCNT', 'F3 0F BD /r', 'Gv,Ev', 'Counts leading zero bits', {
    meaning: zeroCount(false),
    undefinedFlags: COUNT,
  }),
  row('BSF', '0F BC /r', 'Gv,Ev', 'Finds the lowest set bit', { meaning: bitScan(true), undefinedFlags: 'OSAPC' }),
  row('BSR', '0F BD /r', 'Gv,Ev', 'Finds the highest set bit', { meaning: bitScan(false), undefinedFlags: 'OSAPC' }),
  row('POPCNT', 'F3 0F B8 /r', 'Gv,Ev', 'Counts set bits', { meaning: populationCount }),
  row('BSWAP', '0F C8+r', 'Zv', 'Reverses the order of bytes', { meaning: byteSwap }),
  row('MOVBE', 'NP/66 0F 38 F0 /r', 'Gv,Mv', 'Loads with the bytes reversed', { meaning: moveSwapped }),
  row('MOVBE', 'NP/66 0F 38 F1 /r', 'Mv,Gv', 'Stores with the bytes reversed', { meaning: moveSwapped }),
];
