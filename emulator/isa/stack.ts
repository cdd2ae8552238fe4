import { i32, i64, type Value } from '../wasm/expression';
import { I32, I64 } from '../wasm/opcodes';
import { type Context, type Meaning, Register, SegmentUse } from './context';
import { row, type RowDefinition } from './row';

const push: Meaning = (x) => x.push(x.f.let(x.read(0)), x.width);

/** The stack pointer moves before a memory destination's address is computed, and before it is itself popped into. */
const pop: Meaning = (x) => {
  const { f, width } = x;
  const bytes = i64(width / 8);
  const value = f.let(x.top(width));
  if (x.isMemory(0)) x.displaceMemory(f.select(x.baseIsStackPointer(), bytes, i64(0)));
  x.releaseStack(bytes);
  x.write(0, value);
};

/** PUSHA: eight registers, the stack pointer as it was (SDM vol. 2, PUSHA). */
const pushAll: Meaning = (x) => {
  const { f } = x;
  const width = x.operandSize;
  const start = f.let(x.gpr(Register.SP));
  const slot = (n: number): Value => f.let(x.wrapOffset(f.sub(start, i64(((n + 1) * width) / 8)), x.stackSize));
  for (let n = 0; n < 8; n++) x.store(SegmentUse.SS, slot(n), width, x.register(n, width));
  x.setPointer(Register.SP, x.stackSize, slot(7));
};

const popAll: Meaning = (x) => {
  const { f } = x;
  const width = x.operandSize;
  const start = f.let(x.gpr(Register.SP));
  const slot = (n: number): Value => f.let(x.wrapOffset(f.add(start, i64((n * width) / 8)), x.stackSize));
  const values = Array.from({ length: 8 }, (_, n) => f.let(x.load(SegmentUse.SS, slot(n), width)));
  values.forEach((value, n) => {
    const register: Register = 7 - n;
    if (register !== Register.SP) x.setRegister(register, width, value);
  });
  x.releaseStack(i64(width));
};

/**
 * ENTER: saves the frame pointer, copies `level` - 1 enclosing frame pointers and the new one, then makes room.
 * The last address is probed, so that an overflow faults here (SDM vol. 2, ENTER).
 */
const enter: Meaning = (x) => {
  const { f } = x;
  const width = x.operandSize;
  const bytes = i64(width / 8);
  const size = f.let(f.zeroExtend(x.read(0)));
  const level = f.let(f.and(f.wrap(x.read(1)), i32(31)));
  const sp = f.temporary(I64);
  const bp = f.temporary(I64);
  const left = f.temporary(I32);
  const stackPointer = (): Value => x.wrapOffset(f.local(sp), x.stackSize);
  const pushNow = (value: Value): void => {
    f.set(sp, f.sub(f.local(sp), bytes));
    x.store(SegmentUse.SS, f.let(stackPointer()), width, value);
  };
  f.set(sp, x.gpr(Register.SP));
  pushNow(x.register(Register.BP, width));
  const frame = f.copy(f.local(sp));
  f.if(level);
  f.set(bp, x.gpr(Register.BP));
  f.set(left, f.sub(level, i32(1)));
  f.block();
  const again = f.loop();
  f.if(f.local(left));
  f.set(bp, f.sub(f.local(bp), bytes));
  pushNow(f.let(x.load(SegmentUse.SS, f.let(x.wrapOffset(f.local(bp), x.stackSize)), width)));
  f.set(left, f.sub(f.local(left), i32(1)));
  f.branch(again);
  f.end();
  f.end();
  f.end();
  pushNow(x.truncate(frame, width));
  f.end();
  const end = f.let(x.wrapOffset(f.sub(f.local(sp), size), x.stackSize));
  x.probeForWrite(SegmentUse.SS, end, width);
  x.setRegister(Register.BP, width, x.truncate(frame, width));
  x.setPointer(Register.SP, x.stackSize, end);
};

const leave: Meaning = (x) => {
  const { f } = x;
  const width = x.operandSize;
  const frame = f.let(x.pointer(Register.BP, x.stackSize));
  const saved = f.let(x.load(SegmentUse.SS, frame, width));
  x.setPointer(Register.SP, x.stackSize, f.let(x.wrapOffset(f.add(frame, i64(width / 8)), x.stackSize)));
  x.setRegister(Register.BP, width, saved);
};

const segmentPush = (opcode: string, segment: string, only?: 'legacy'): RowDefinition =>
  row('PUSH', opcode, segment, 'Pushes a segment selector', {
    helper: 'push_seg',
    size64: 'd64',
    ...(only && { only }),
  });
const segmentPop = (opcode: string, segment: string, only?: 'legacy'): RowDefinition =>
  row('POP', opcode, segment, 'Pops into a segment register', {
    helper: 'pop_seg',
    size64: 'd64',
    ...(only && { only }),
  });

const PUSH = { meaning: push, size64: 'd64' } as const;
const POP = { meaning: pop, size64: 'd64' } as const;
const all = (meaning: (x: Context) => void) => ({ meaning, only: 'legacy' }) as const;

export const stackRows: readonly RowDefinition[] = [
  row('PUSH', '50+r', 'Zv', 'Pushes', PUSH),
  row('PUSH', '68 iz', 'Iz', 'Pushes', PUSH),
  row('PUSH', '6A ib', 'sIb', 'Pushes', PUSH),
  row('PUSH', 'FF /6', 'Ev', 'Pushes', PUSH),
  row('POP', '58+r', 'Zv', 'Pops', POP),
  row('POP', '8F /0', 'Ev', 'Pops', POP),
  row('PUSHA/PUSHAD', '60', '', 'Pushes the eight general registers', all(pushAll)),
  row('POPA/POPAD', '61', '', 'Pops the general registers except the stack pointer', all(popAll)),
  row('ENTER', 'C8 iw ib', 'Iw,Ib', 'Makes a stack frame', { meaning: enter, size64: 'd64' }),
  row('LEAVE', 'C9', '', 'Releases the stack frame', { meaning: leave, size64: 'd64' }),
  row('PUSHF/PUSHFD/PUSHFQ', '9C', '', 'Pushes RFLAGS', { helper: 'pushf', size64: 'd64' }),
  row('POPF/POPFD/POPFQ', '9D', '', 'Pops RFLAGS', { helper: 'popf', size64: 'd64' }),
  segmentPush('06', 'ES', 'legacy'),
  segmentPop('07', 'ES', 'legacy'),
  segmentPush('0E', 'CS', 'legacy'),
  segmentPush('16', 'SS', 'legacy'),
  segmentPop('17', 'SS', 'legacy'),
  segmentPush('1E', 'DS', 'legacy'),
  segmentPop('1F', 'DS', 'legacy'),
  segmentPush('0F A0', 'FS'),
  segmentPop('0F A1', 'FS'),
  segmentPush('0F A8', 'GS'),
  segmentPop('0F A9', 'GS'),
];
