// npm run bench [names] [--json FILE]: speed in guest MIPS beside QEMU's translator and Debian's Bochs, on the same image
// and in one run, so that the ratios say something on any machine. Rows: name, value, unit, versus, ratio, bar, goal,
// holds; `holds` is undefined where nothing is promised. Exit code 1 when a bar is missed.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { buildSample } from './samples.mjs';
import { pickToolchain } from './toolchain.mjs';
import { bochsMissing, runBochs } from '../test/samples/bochs.mjs';
import { which } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');
const sample = path.join(root, 'samples/bench');
const out = path.join(root, '.cache/bench');
/** Repetitions of the kernels: slow engines get fewer. Instruction counts are taken at both. */
const FEW = 60;
const MANY = 300;
const ROUNDS = 3;
const SLICE = 1_000_000;
/** Bars and goals of DESIGN's promises that these figures keep, on the geometric mean */
const PROMISES = {
  interpreter: { versus: 'bochs', bar: 5, goal: 6 },
  translator: { versus: 'qemu', bar: 1.0, goal: 1.5 },
};

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
const commandLine = (repeat, names) => [`repeat=${repeat}`, ...names].join(' ');

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

/** Every engine's rounds: { engine: [{ kernel: mips }] }. Checksums must agree everywhere. */
async function measure(elf, names, log) {
  const { createMachine } = await loadMachine();
  const engines = {
    interpreter: { repeat: FEW, run: () => runHere(createMachine, elf, FEW, names, false) },
    translator: { repeat: MANY, run: () => runHere(createMachine, elf, MANY, names, true) },
  };
  if (which('qemu-system-x86_64')) engines.qemu = { repeat: MANY, run: () => runQemu(elf, MANY, names) };
  if (!bochsMissing()) engines.bochs = { repeat: FEW, run: () => runInBochs(elf, FEW, names) };
  const counts = {};
  for (const repeat of [FEW, MANY]) counts[repeat] = runHere(createMachine, elf, repeat, names, true);
  const rounds = {};
  for (let round = 1; round <= ROUNDS; round++) {
    for (const [name, { repeat, run }] of Object.entries(engines)) {
      log(`round ${round} of ${ROUNDS}: ${name}`);
      const kernels = await run();
      const speeds = {};
      for (const [kernel, { milliseconds, checksum }] of kernels) {
        const counted = counts[repeat].get(kernel);
        if (checksum !== counted.checksum) {
          throw new Error(`${kernel}: ${name} computes ${checksum}, this machine ${counted.checksum}`);
        }
        speeds[kernel] = counted.instructions / 1000 / milliseconds;
      }
      (rounds[name] ??= []).push(speeds);
    }
  }
  return rounds;
}

/** Medians over the rounds; the ratio is the median of the rounds' own ratios. */
function rowsOf(rounds) {
  const rows = [];
  const kernels = Object.keys(rounds.interpreter[0]);
  const speed = (engine, kernel) => (round) =>
    kernel ? rounds[engine][round][kernel] : geometricMean(kernels.map((name) => rounds[engine][round][name]));
  for (const engine of Object.keys(rounds)) {
    for (const kernel of [...kernels, undefined]) {
      const indexes = rounds[engine].map((_, index) => index);
      const value = median(indexes.map(speed(engine, kernel)));
      const row = { name: kernel ? `${engine}/${kernel}` : engine, value: Math.round(value), unit: 'MIPS' };
      const promise = PROMISES[engine];
      if (promise && rounds[promise.versus]) {
        const other = speed(promise.versus, kernel);
        row.versus = promise.versus;
        row.ratio = Number(median(indexes.map((i) => speed(engine, kernel)(i) / other(i))).toFixed(2));
        if (!kernel) Object.assign(row, { bar: promise.bar, goal: promise.goal, holds: row.ratio >= promise.bar });
      }
      rows.push(row);
    }
  }
  return rows;
}

function print(rows) {
  const columns = ['name', 'value', 'unit', 'versus', 'ratio', 'bar', 'goal', 'holds'];
  const table = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? '')))];
  const widths = columns.map((_, index) => Math.max(...table.map((line) => line[index].length)));
  for (const line of table) console.log(line.map((cell, index) => cell.padEnd(widths[index])).join('  ').trimEnd());
}

const words = process.argv.slice(2);
const at = words.indexOf('--json');
const json = at >= 0 ? words.splice(at, 2)[1] : undefined;
if (at >= 0 && !json) throw new Error('--json needs a file name');
const [elf] = buildSample(sample, pickToolchain());
if (!existsSync(elf)) throw new Error(`${elf} was not built`);
const rows = rowsOf(await measure(elf, words, (text) => console.error(text)));
print(rows);
if (json) writeFileSync(json, `${JSON.stringify(rows, undefined, 1)}\n`);
process.exitCode = rows.some((row) => row.holds === false) ? 1 : 0;
