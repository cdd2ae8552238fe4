// npm run bench [kernels | time-travel | isolation] [--json FILE] [--check]: speed in guest MIPS beside QEMU's translator and Debian's Bochs, on the same image
// and in one run, so that the ratios say something on any machine. Rows: name, value, unit, versus, ratio, bar, goal,
// holds; the last four where something is promised. With --check a missed bar is exit code 1.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { buildSample } from './samples.mjs';
import { pickToolchain } from './toolchain.mjs';
import { bochsMissing, runBochs } from '../test/samples/bochs.mjs';
import { isolationRows } from './bench/isolation.mjs';
import { timeTravelRows } from './bench/time-travel.mjs';
import { which } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');
const sample = path.join(root, 'samples/bench');
const out = path.join(root, '.cache/bench');
/** Repetitions of the kernels: slow engines get fewer. Instruction counts are taken at both. */
const FEW = 60;
const MANY = 300;
const ROUNDS = 3;
const SLICE = 1_000_000;
const VM_EXIT = 'vmexit';
/** Only with it, or with no name at all */
const TIME_TRAVEL = 'time-travel';
const ISOLATION = 'isolation';
const KERNELS = ['alu', 'copy', 'recursion', 'sha256', 'quicksort', 'bytecode', 'matrix', VM_EXIT];
/**
 * What is promised, as a ratio of two engines in one run. `guest` and `bochs-guest` run the kernels in VMX non-root operation
 * under EPT, which QEMU's translator cannot. Of the kernels the geometric mean counts; `vmexit` is a round trip by VMCALL.
 */
const PROMISES = [
  { name: 'guest under EPT', engine: 'guest', versus: 'qemu', bar: 1.0, goal: 1.5 },
  { name: 'guest under EPT', engine: 'guest', versus: 'bochs-guest', bar: 18, goal: 25 },
  { name: 'interpreter', engine: 'interpreter', versus: 'bochs', bar: 5, goal: 6 },
  { name: 'VM exit', engine: 'guest', kernel: VM_EXIT, versus: 'bochs-guest', bar: 5, goal: 20 },
];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** Collects "begin NAME" and "end NAME CHECKSUM" lines with what a clock says when they are complete. */
class Marks {
  kernels = new Map();
  done = false;
  #rest = '';
  #begun = {};

  constructor(clocks) {
    this.clocks = clocks;
  }

  add(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.trim().split(' '));
  }

  #line([what, name, checksum]) {
    if (what === 'begin') this.#begun = this.clocks();
    if (what === 'done') this.done = true;
    if (what !== 'end') return;
    const now = this.clocks();
    const spent = Object.fromEntries(Object.keys(now).map((clock) => [clock, now[clock] - this.#begun[clock]]));
    this.kernels.set(name, { ...spent, checksum });
  }
}

const wallClock = () => ({ milliseconds: performance.now() });
const commandLine = (repeat, words) => [`repeat=${repeat}`, ...words].join(' ');

/** This machine: exact instruction counts, and times when the translator or interpreter ran them. */
function runHere(createMachine, elf, repeat, names, translator) {
  const kernel = { name: 'bench.elf', bytes: new Uint8Array(readFileSync(elf)) };
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: [],
    commandLine: commandLine(repeat, names),
    translator,
  });
  const marks = new Marks(() => ({ ...wallClock(), instructions: machine.instructions }));
  machine.onSerial((byte) => marks.add(String.fromCharCode(byte)));
  for (;;) {
    const result = machine.run(SLICE);
    if (result.why === 'limit') continue;
    if (result.why === 'ended' && result.outcome.kind === 'exit-port' && marks.done) return marks.kernels;
    throw new Error(`the benchmark image ended early: ${JSON.stringify(result)}`);
  }
}

function runQemu(elf, repeat, names) {
  const marks = new Marks(wallClock);
  const args = ['-accel', 'tcg', '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot', '-serial', 'stdio'];
  args.push('-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', elf, '-append', commandLine(repeat, names));
  return new Promise((resolve, reject) => {
    const child = spawn('qemu-system-x86_64', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.setEncoding('latin1').on('data', (text) => marks.add(text));
    child.on('error', reject);
    child.on('close', () => (marks.done ? resolve(marks.kernels) : reject(new Error('QEMU ended early'))));
  });
}

async function runInBochs(elf, repeat, names) {
  const marks = new Marks(wallClock);
  let seen = 0;
  const { finished, log } = await runBochs({
    program: elf,
    commandLine: commandLine(repeat, names),
    until: /^done/m,
    seconds: 300,
    onSerial: (text) => {
      marks.add(text.slice(seen));
      seen = text.length;
    },
  });
  if (!finished) throw new Error(`Bochs did not finish:\n${log.slice(-2000)}`);
  return marks.kernels;
}

async function loadMachine() {
  mkdirSync(out, { recursive: true });
  const outfile = path.join(out, 'machine.cjs');
  const entryPoints = [path.join(root, 'emulator/machine/machine.ts')];
  await build({ entryPoints, outfile, bundle: true, platform: 'node', format: 'cjs', logLevel: 'warning' });
  return import(pathToFileURL(outfile));
}

/** Every engine's rounds: { engine: [{ kernel: figure }] }: MIPS, or thousand VM exits a second. Checksums must agree. */
async function measure(elf, names, log) {
  const { createMachine } = await loadMachine();
  const guest = ['ept', ...names];
  const here = (repeat, words, translator) => ({
    repeat,
    words,
    run: () => runHere(createMachine, elf, repeat, words, translator),
  });
  const engines = {
    interpreter: here(MANY, names, false),
    translator: here(MANY, names, true),
    guest: here(MANY, guest, true),
  };
  const absent = [which('qemu-system-x86_64') ? undefined : 'not installed: qemu-system-x86_64', bochsMissing()];
  for (const missing of absent.filter(Boolean)) log(`without a comparison (${missing})`);
  if (!absent[0]) {
    engines.qemu = { repeat: MANY, words: names, run: () => runQemu(elf, MANY, names) };
  }
  if (!absent[1]) {
    engines.bochs = { repeat: FEW, words: names, run: () => runInBochs(elf, FEW, names) };
    engines['bochs-guest'] = { repeat: FEW, words: guest, run: () => runInBochs(elf, FEW, guest) };
  }
  const counts = {};
  for (const repeat of [FEW, MANY]) counts[repeat] = runHere(createMachine, elf, repeat, guest, true);
  const rounds = {};
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, { repeat, run }] of Object.entries(engines)) {
      log(`round ${round} of ${ROUNDS}: ${name}`);
      const figures = {};
      for (const [kernel, { milliseconds, checksum }] of await run()) {
        const counted = counts[repeat].get(kernel);
        if (checksum !== counted.checksum) {
          throw new Error(`${kernel}: ${name} computes ${checksum}, this machine ${counted.checksum}`);
        }
        figures[kernel] = (kernel === VM_EXIT ? repeat * 1000 : counted.instructions / 1000) / milliseconds;
      }
      (rounds[name] ??= []).push(figures);
    }
  }
  return rounds;
}

const kernelsOf = (rounds) => Object.keys(rounds[0]).filter((name) => name !== VM_EXIT);
/** A round's figure: of one kernel, or the geometric mean of all. Vm exits: thousand a second (the kernel does 1000). */
const figure = (rounds, kernel) => (index) =>
  kernel ? rounds[index][kernel] : geometricMean(kernelsOf(rounds).map((name) => rounds[index][name]));
const rounded = (value) => Number(value.toPrecision(3));

/** Medians over the rounds; a ratio is the median of the rounds' own ratios. */
function rowsOf(rounds) {
  const rows = [];
  for (const { name, engine, kernel, versus, bar, goal } of PROMISES) {
    if (!rounds[versus] || (kernel && rounds[engine][0][kernel] === undefined)) continue;
    if (!kernel && kernelsOf(rounds[engine]).length === 0) continue;
    const [own, other] = [figure(rounds[engine], kernel), figure(rounds[versus], kernel)];
    const indexes = rounds[engine].map((_, index) => index);
    const ratio = rounded(median(indexes.map((index) => own(index) / other(index))));
    const unit = kernel ? 'thousand/s' : 'MIPS';
    const value = rounded(median(indexes.map(own)));
    rows.push({ name, value, unit, versus, ratio, bar, goal, holds: ratio >= bar });
  }
  for (const [engine, figures] of Object.entries(rounds)) {
    for (const kernel of Object.keys(figures[0])) {
      const value = rounded(median(figures.map((_, index) => figure(figures, kernel)(index))));
      rows.push({ name: `${engine}/${kernel}`, value, unit: kernel === VM_EXIT ? 'thousand/s' : 'MIPS' });
    }
  }
  return rows;
}

function print(rows) {
  const columns = ['name', 'value', 'unit', 'versus', 'ratio', 'bar', 'goal', 'holds'];
  const table = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_, index) => Math.max(...table.map((line) => line[index].length)));
  for (const line of table)
    console.log(
      line
        .map((cell, index) => cell.padEnd(widths[index]))
        .join('  ')
        .trimEnd(),
    );
}

const words = process.argv.slice(2).filter((word) => word !== '--check');
const check = process.argv.includes('--check');
const at = words.indexOf('--json');
const json = at >= 0 ? words.splice(at, 2)[1] : undefined;
if (at >= 0 && !json) throw new Error('--json needs a file name');
for (const word of words) {
  if (![...KERNELS, TIME_TRAVEL, ISOLATION].includes(word))
    throw new Error(`no kernel "${word}". There are: ${KERNELS.join(', ')}; and ${TIME_TRAVEL}, ${ISOLATION}`);
}
const [elf] = buildSample(sample, pickToolchain());
if (!existsSync(elf)) throw new Error(`${elf} was not built`);
const log = (text) => console.error(text);
const kernels = words.filter((word) => ![TIME_TRAVEL, ISOLATION].includes(word));
const rows = words.length > 0 && kernels.length === 0 ? [] : rowsOf(await measure(elf, kernels, log));
if (words.length === 0 || words.includes(TIME_TRAVEL)) rows.push(...(await timeTravelRows(elf, log)));
if (words.length === 0 || words.includes(ISOLATION)) rows.push(...(await isolationRows(log)));
print(rows);
if (json) writeFileSync(json, `${JSON.stringify(rows, undefined, 1)}\n`);
if (check && rows.some((row) => row.holds === false)) process.exitCode = 1;
