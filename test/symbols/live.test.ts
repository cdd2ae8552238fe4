import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { Evaluator } from '../../debug-adapter/expression/evaluator';
import { unwind } from '../../debug-adapter/stack/unwind';
import type { Frame, MemoryReader } from '../../debug-adapter/symbols/api';
import { ProgramSet } from '../../debug-adapter/symbols/program-set';
import { registersByNumber } from '../../debug-adapter/symbols/register-numbers';
import { type Compiled, compile, variants, PATIENCE } from './compiled';
import { imageMemory, memoryOf } from './image-memory';

interface GdbFrame {
  name: string | null;
  pc: string;
  inlined: boolean;
  line: number;
  cfa: string;
  registers: Record<string, string>;
  locals: [string, string][];
  arguments: [string, string][];
}
interface Stop {
  registers: Record<string, string>;
  memory: [string, string][];
  frames: GdbFrame[];
}

/** Lets gdb run the program on this machine and tell what it sees at every few instructions. */
function stopsOf(file: string, stops: number, stride: number): Stop[] {
  const script = path.resolve('test/symbols/live.py');
  const out = execFileSync('gdb', ['-batch', '-nx', '-x', script, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 29,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', DEBUGINFOD_URLS: '', STOPS: String(stops), STRIDE: String(stride) },
  });
  const json = out.split('\n').find((line) => line.startsWith('JSON'));
  assert(json, `gdb could not run the program: ${out.slice(0, 500)}`);
  return JSON.parse(json.slice(4)) as Stop[];
}

const NUMBERS: Readonly<Record<string, number>> = {
  rbx: 3,
  rbp: 6,
  rsp: 7,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
  rip: 16,
};

/** gdb says nothing of why a value is not there. */
const plain = (text: string) =>
  text.replace(/<optimized out[^>]*>/g, '<optimized out>').replace(/^\([^"{}]*[*)]\)? (?=0x)/, '');

function compareFrame(ours: Frame, theirs: GdbFrame, evaluator: Evaluator, where: string, wrong: string[]): void {
  const check = (what: string, a: unknown, b: unknown) => {
    if (a !== b) wrong.push(`${where} ${theirs.name}: ${what}: ours ${String(a)}, gdb ${String(b)}`);
  };
  // Of symbols at one address (__libc_start_main and its _impl) each may be shown.
  const alias =
    ours.scope === undefined && theirs.name !== null && ours.image?.program.elfSymbols.named(theirs.name)[0];
  const same = alias && ours.image?.functionAt(ours.lookup)?.entry === alias.value;
  if (!same) check('name', ours.name, theirs.name ?? undefined);
  check('pc', ours.pc, BigInt(theirs.pc));
  check('inlined', ours.inlined, theirs.inlined);
  check('line', ours.place?.line ?? 0, theirs.line);
  // gdb gives no address for the outermost frame, nor for an inlined one.
  if (BigInt(theirs.cfa || 0) !== 0n && !theirs.inlined) check('cfa', ours.cfa, BigInt(theirs.cfa));
  for (const [name, number] of Object.entries(NUMBERS))
    check(name, ours.registers.get(number), BigInt(theirs.registers[name]!));
  compareVariables('arguments', evaluator.arguments(), theirs.arguments, check);
  compareVariables('locals', evaluator.locals(), theirs.locals, check);
}

/** gdb also lists what an inlined call has lost altogether; those we leave out of the list. */
function compareVariables(
  what: string,
  ours: readonly { name: string; value: { text: string; completeText?: string } }[],
  theirs: readonly [string, string][],
  check: (what: string, a: unknown, b: unknown) => void,
): void {
  const mine = ours.map((v) => `${v.name} = ${plain(v.value.completeText ?? v.value.text)}`).sort();
  const others = theirs.map(([name, value]) => `${name} = ${plain(value)}`).sort();
  const listed = [...mine];
  const extra = others.filter((o) => {
    const index = listed.indexOf(o);
    if (index >= 0) listed.splice(index, 1);
    return index < 0;
  });
  if (extra.every((e) => e.endsWith('= <optimized out>')) && listed.length === 0) return;
  check(what, mine.join('\n'), others.join('\n'));
}

/** Memory and registers of a stop; what the program cannot write comes from its file. */
function stateOf(stop: Stop, code: MemoryReader) {
  const parts = stop.memory.map(([start, hex]) => ({
    start: BigInt(start),
    bytes: new Uint8Array(Buffer.from(hex, 'hex')),
  }));
  const live = memoryOf(parts);
  const memory: MemoryReader = (address, length) => {
    const bytes = live(address, length);
    return bytes.length > 0 ? bytes : code(address, length);
  };
  const registers = (name: string) => (stop.registers[name] === undefined ? undefined : BigInt(stop.registers[name]));
  return { memory, registers };
}

function compare(compiled: Compiled, stops: readonly Stop[]): { frames: number; inlined: number } {
  const set = new ProgramSet();
  set.add(compiled.program);
  const code = imageMemory(compiled.program);
  const wrong: string[] = [];
  let frames = 0;
  let inlined = 0;
  for (const [n, stop] of stops.entries()) {
    const { memory, registers } = stateOf(stop, code);
    const stack = unwind(set, registersByNumber(registers), memory);
    const where = `stop ${n} at 0x${BigInt(stop.registers['rip']!).toString(16)}`;
    if (stack.length !== stop.frames.length) {
      const names = (list: readonly { name: string | null | undefined }[]) => list.map((f) => f.name).join(' < ');
      wrong.push(`${where}: ours ${names(stack)} (${stack.at(-1)?.unwoundBy}), gdb ${names(stop.frames)}`);
      continue;
    }
    stack.forEach((frame, i) => {
      const evaluator = new Evaluator(set, { memory, registers, frame });
      compareFrame(frame, stop.frames[i]!, evaluator, where, wrong);
      frames++;
      if (frame.inlined) inlined++;
    });
  }
  assert.equal(wrong.length, 0, `${wrong.length} differences\n${wrong.slice(0, 12).join('\n')}`);
  return { frames, inlined };
}

describe('stacks, arguments and locals of a running program equal gdb', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => {
      const compiled = compile(['shapes.c'], flags);
      const { frames, inlined } = compare(compiled, stopsOf(compiled.file, 60, 3));
      assert(frames > 200, `only ${frames} frames were compared`);
      if (!flags.includes('-O0')) assert(inlined > 0, 'no inlined frame was met');
    });
  }
});

describe('stacks without call frame information', function () {
  this.timeout(PATIENCE);
  const plainCode = [
    '-static',
    '-fno-pie',
    '-fno-asynchronous-unwind-tables',
    '-fno-unwind-tables',
    '-fcf-protection=none',
  ];

  /** Callers by frame pointers up to main, whose own caller has call frame information again */
  function checkNames(compiled: Compiled, stops: readonly Stop[]): void {
    const set = new ProgramSet();
    set.add(compiled.program);
    const code = imageMemory(compiled.program);
    for (const stop of stops) {
      const { memory, registers } = stateOf(stop, code);
      const ours = unwind(set, registersByNumber(registers), memory);
      const names = (list: readonly { name?: string | null | undefined; pc: bigint | string }[]) =>
        list.map((f) => `${f.name} 0x${BigInt(f.pc).toString(16)}`);
      const end = stop.frames.findIndex((f) => f.name === 'main') + 1;
      assert(end > 0, 'gdb lost main');
      assert.deepEqual(names(ours).slice(0, end), names(stop.frames).slice(0, end));
      assert(ours.slice(0, end).some((f) => f.unwoundBy === 'frame pointer'));
    }
  }

  it('frame pointers lead to main from every instruction, also in a prologue', () => {
    const compiled = compile(['shapes.c'], ['-O0', ...plainCode]);
    assert.equal(compiled.program.hasDebugInformation, false);
    checkNames(compiled, stopsOf(compiled.file, 150, 1));
  });
});
