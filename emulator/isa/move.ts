import { i64 } from '../wasm/expression';
import { CONDITIONS } from './conditions';
import { type Meaning, Register, SegmentUse } from './context';
import { row, type RowDefinition } from './row';

/** Moves, extensions, conditional moves and sets, address calculation, exchange. */

const move: Meaning = (x) => x.write(0, x.read(1));

const moveZeroExtended: Meaning = (x) => x.write(0, x.zeroExtend(x.read(1), x.width));

const moveSignExtended: Meaning = (x) => x.write(0, x.signExtend(x.read(1), x.widthOf(1), x.width));

const loadEffectiveAddress: Meaning = (x) => x.write(0, x.truncate(x.effectiveAddress(), x.width));

/** Atomic with a memory operand, with or without LOCK (SDM vol. 3, 9.1.2). */
const exchange: Meaning = (x) => {
  const { f } = x;
  const a = f.let(x.readForWrite(0));
  const b = f.let(x.read(1));
  x.write(0, b);
  x.write(1, a);
};

const moveIf =
  (code: number): Meaning =>
  (x) => {
    const { f } = x;
    // The source is read whether the condition holds or not.
    const source = f.let(x.read(1));
    x.write(0, f.let(f.select(x.condition(code), source, x.read(0))));
  };

const setIf =
  (code: number): Meaning =>
  (x) =>
    x.write(0, x.f.let(x.condition(code)));

/** CBW, CWDE, CDQE: the low half of the accumulator fills the whole. */
const extendAccumulator: Meaning = (x) => {
  const width = x.operandSize;
  const half = width === 64 ? 32 : width === 32 ? 16 : 8;
  x.setRegister(Register.A, width, x.f.let(x.signExtend(x.register(Register.A, half), half, width)));
};

/** CWD, CDQ, CQO: the accumulator's sign fills rDX. */
const extendToD: Meaning = (x) => {
  const width = x.operandSize;
  const wide = x.signExtend(x.register(Register.A, width), width, 64);
  x.setRegister(Register.D, width, x.f.let(x.truncate(x.f.shrS(wide, i64(63)), width)));
};

const translateByte: Meaning = (x) => {
  const { f } = x;
  const offset = x.wrapOffset(f.add(x.gpr(Register.B), f.zeroExtend(x.register(Register.A, 8))), x.addressSize);
  x.setRegister(Register.A, 8, x.load(SegmentUse.Operand, f.let(offset), 8));
};

const MOV = 'Copies the source';
const SEGMENT_MOVE = 'Moves from or to a segment register';

export const moveRows: readonly RowDefinition[] = [
  row('MOV', '88 /r', 'Eb,Gb', MOV, { meaning: move }),
  row('MOV', '89 /r', 'Ev,Gv', MOV, { meaning: move }),
  row('MOV', '8A /r', 'Gb,Eb', MOV, { meaning: move }),
  row('MOV', '8B /r', 'Gv,Ev', MOV, { meaning: move }),
  row('MOV', 'A0', 'AL,Ob', MOV, { meaning: move }),
  row('MOV', 'A1', 'rAX,Ov', MOV, { meaning: move }),
  row('MOV', 'A2', 'Ob,AL', MOV, { meaning: move }),
  row('MOV', 'A3', 'Ov,rAX', MOV, { meaning: move }),
  row('MOV', 'B0+r ib', 'Zb,Ib', MOV, { meaning: move }),
  row('MOV', 'B8+r iv', 'Zv,Iv', MOV, { meaning: move }),
  row('MOV', 'C6 /0 ib', 'Eb,Ib', MOV, { meaning: move }),
  row('MOV', 'C7 /0 iz', 'Ev,Iz', MOV, { meaning: move }),
  row('MOV', '8C /r', 'Ev,Sw', SEGMENT_MOVE, { helper: 'mov_from_seg' }),
  row('MOV', '8E /r', 'Sw,Ew', SEGMENT_MOVE, { helper: 'mov_to_seg' }),
  row('MOVZX', '0F B6 /r', 'Gv,Eb', 'Zero-extends the source', { meaning: moveZeroExtended }),
  row('MOVZX', '0F B7 /r', 'Gv,Ew', 'Zero-extends the source', { meaning: moveZeroExtended }),
  row('MOVSX', '0F BE /r', 'Gv,Eb', 'Sign-extends the source', { meaning: moveSignExtended }),
  row('MOVSX', '0F BF /r', 'Gv,Ew', 'Sign-extends the source', { meaning: moveSignExtended }),
  row('MOVSXD', 'REX.W + 63 /r', 'Gv,Ed', 'Sign-extends the source', { meaning: moveSignExtended, only: 'long' }),
  row('MOVSXD', '63 /r', 'Gv,Ez', 'Copies the source (without REX.W)', { meaning: move, only: 'long' }),
  row('MOVNTI', 'NP 0F C3 /r', 'My,Gy', 'Stores without caching', { meaning: move }),
  row('LEA', '8D /r', 'Gv,M', 'Stores the effective address', { meaning: loadEffectiveAddress }),
  row('XCHG', '86 /r', 'Eb,Gb', 'Exchanges', { meaning: exchange, lockable: true }),
  row('XCHG', '87 /r', 'Ev,Gv', 'Exchanges', { meaning: exchange, lockable: true }),
  row('XCHG', '90+r', 'Zv,rAX', 'Exchanges', { meaning: exchange }),
  row('CBW/CWDE/CDQE', '98', '', 'Sign-extends the accumulator', { meaning: extendAccumulator }),
  row('CWD/CDQ/CQO', '99', '', 'Sign-extends the accumulator into rDX', { meaning: extendToD }),
  row('XLATB', 'D7', '', 'Loads AL from a table at rBX', { meaning: translateByte }),
  ...CONDITIONS.map((name, code) =>
    row(`CMOV${name}`, `0F ${(0x40 + code).toString(16)} /r`, 'Gv,Ev', 'Copies the source when the condition holds', {
      meaning: moveIf(code),
    }),
  ),
  ...CONDITIONS.map((name, code) =>
    row(`SET${name}`, `0F ${(0x90 + code).toString(16)} /r`, 'Eb', 'Stores 1 when the condition holds, else 0', {
      meaning: setIf(code),
    }),
  ),
];
