import { i64, type Value } from '../wasm/expression';
import { CONDITIONS } from './conditions';
import { type Context, type Meaning, Register } from './context';
import { row, type RowDefinition } from './row';

const jump: Meaning = (x) => x.jump();

const jumpIndirect: Meaning = (x) => x.jumpTo(x.f.let(x.read(0)));

/** Pushes what `nextRip` gives; a 16-bit operand size pushes IP. */
const pushReturn = (x: Context): void => x.push(x.truncate(x.nextRip(), x.operandSize), x.operandSize);

const call: Meaning = (x) => {
  pushReturn(x);
  x.jump();
};

const callIndirect: Meaning = (x) => {
  const target = x.f.let(x.read(0));
  x.checkTarget(target);
  pushReturn(x);
  x.jumpTo(target);
};

const returnNear: Meaning = (x) => {
  const { f } = x;
  const width = x.operandSize;
  const target = f.let(x.top(width));
  x.checkTarget(target);
  const released: Value = x.row.operands.length ? f.zeroExtend(x.read(0)) : i64(0);
  x.releaseStack(f.add(i64(width / 8), released));
  x.jumpTo(target);
};

const jumpIf =
  (code: number): Meaning =>
  (x) =>
    x.branch(x.condition(code));

const conditionalJumps = CONDITIONS.map((_, code) => jumpIf(code));

/** LOOP, LOOPE, LOOPNE: the counter's width is the address size. */
const loop =
  (condition: number | undefined): Meaning =>
  (x) => {
    const { f } = x;
    const count = f.let(x.wrapOffset(f.sub(x.gpr(Register.C), i64(1)), x.addressSize));
    const more = f.ne(count, i64(0));
    const taken = f.let(condition === undefined ? more : f.and(more, x.condition(condition)));
    x.setPointer(Register.C, x.addressSize, count);
    x.branch(taken);
  };

const jumpIfCounterZero: Meaning = (x) => x.branch(x.f.let(x.f.isZero(x.pointer(Register.C))));

const bound: Meaning = (x) => {
  const { f, width } = x;
  const index = f.let(x.signExtend(x.read(0), width, 64));
  const lower = f.let(x.signExtend(x.read(1), width, 64));
  x.displaceMemory(i64(width / 8));
  const upper = f.let(x.signExtend(x.read(1), width, 64));
  x.raiseIf(f.or(f.ltS(index, lower), f.gtS(index, upper)), 5);
};

const nop: Meaning = () => undefined;
const NEAR = { size64: 'f64' } as const;
const COUNTED = 'Decrements the counter and jumps when it is not zero';

export const controlFlowRows: readonly RowDefinition[] = [
  row('JMP', 'EB cb', 'Jb', 'Jumps', { ...NEAR, meaning: jump }),
  row('JMP', 'E9 cd', 'Jz', 'Jumps', { ...NEAR, meaning: jump }),
  row('JMP', 'FF /4', 'Ev', 'Jumps to an address', { ...NEAR, meaning: jumpIndirect }),
  row('JMP', 'FF /5', 'Mp', 'Jumps to another code segment', { helper: 'jmp_far' }),
  row('JMP', 'EA cp', 'Ap', 'Jumps to another code segment', { helper: 'jmp_far', only: 'legacy' }),
  row('CALL', 'E8 cd', 'Jz', 'Calls', { ...NEAR, meaning: call }),
  row('CALL', 'FF /2', 'Ev', 'Calls an address', { ...NEAR, meaning: callIndirect }),
  row('CALL', 'FF /3', 'Mp', 'Calls into another code segment', { helper: 'call_far' }),
  row('CALL', '9A cp', 'Ap', 'Calls into another code segment', { helper: 'call_far', only: 'legacy' }),
  row('RET', 'C3', '', 'Returns', { ...NEAR, meaning: returnNear }),
  row('RET', 'C2 iw', 'Iw', 'Returns and releases stack', { ...NEAR, meaning: returnNear }),
  row('RETF', 'CB', '', 'Returns to another code segment', { helper: 'ret_far' }),
  row('RETF', 'CA iw', 'Iw', 'Returns to another code segment and releases stack', { helper: 'ret_far' }),
  row('IRET/IRETD/IRETQ', 'CF', '', 'Returns from an interrupt', { helper: 'iret' }),
  row('INT3', 'CC', '', 'Breakpoint exception', { helper: 'int3' }),
  row('INT', 'CD ib', 'Ib', 'Software interrupt', { helper: 'int_n' }),
  row('INTO', 'CE', '', 'Overflow exception when OF is set', { helper: 'into', only: 'legacy' }),
  row('INT1', 'F1', '', 'Debug exception', { helper: 'int1' }),
  ...CONDITIONS.map((name, code) =>
    row(`J${name}`, `${(0x70 + code).toString(16)} cb`, 'Jb', 'Jumps when the condition holds', {
      ...NEAR,
      meaning: conditionalJumps[code] ?? jumpIf(code),
    }),
  ),
  ...CONDITIONS.map((name, code) =>
    row(`J${name}`, `0F ${(0x80 + code).toString(16)} cd`, 'Jz', 'Jumps when the condition holds', {
      ...NEAR,
      meaning: conditionalJumps[code] ?? jumpIf(code),
    }),
  ),
  row('LOOPNE', 'E0 cb', 'Jb', COUNTED, { ...NEAR, meaning: loop(5) }),
  row('LOOPE', 'E1 cb', 'Jb', COUNTED, { ...NEAR, meaning: loop(4) }),
  row('LOOP', 'E2 cb', 'Jb', COUNTED, { ...NEAR, meaning: loop(undefined) }),
  row('JCXZ/JECXZ/JRCXZ', 'E3 cb', 'Jb', 'Jumps when the counter is zero', { ...NEAR, meaning: jumpIfCounterZero }),
  row('BOUND', '62 /r', 'Gv,M', 'Raises #BR when an index is out of bounds', { meaning: bound, only: 'legacy' }),
  row('NOP', 'REX.B=0 + 90', '', 'Does nothing', { meaning: nop }),
  row('PAUSE', 'F3 90', '', 'Hints at a spin loop', { helper: 'pause', exit: 'PAUSE' }),
  row('NOP', '0F 1F /0', 'Ev', 'Does nothing', { meaning: nop }),
  row('ENDBR64', 'F3 0F 1E FA', '', 'Marks a branch target', { meaning: nop }),
  row('ENDBR32', 'F3 0F 1E FB', '', 'Marks a branch target', { meaning: nop }),
  ...['0D', '18', '19', '1A', '1B', '1C', '1D', '1E', '1F'].map((opcode) =>
    row('NOP', `0F ${opcode} /r`, 'Ev,Gv', 'Reserved hint', { meaning: nop }),
  ),
  row('PREFETCHNTA', '0F 18 /0', 'Mb', 'Prefetch hint', { meaning: nop }),
  row('PREFETCHT0', '0F 18 /1', 'Mb', 'Prefetch hint', { meaning: nop }),
  row('PREFETCHT1', '0F 18 /2', 'Mb', 'Prefetch hint', { meaning: nop }),
  row('PREFETCHT2', '0F 18 /3', 'Mb', 'Prefetch hint', { meaning: nop }),
  row('PREFETCHW', '0F 0D /1', 'Mb', 'Prefetch hint', { meaning: nop }),
  row('UD2', '0F 0B', '', 'Raises #UD', { helper: 'ud' }),
  row('UD1', '0F B9 /r', 'Gv,Ev', 'Raises #UD', { helper: 'ud' }),
  row('UD0', '0F FF /r', 'Gv,Ev', 'Raises #UD', { helper: 'ud' }),
];
