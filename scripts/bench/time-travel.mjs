// Time travel: what recording costs, how long steps back and questions take at the end of a history of a billion instructions,
// what it takes of memory; beside QEMU's record and replay on the same ELF. And how long the debugger takes to its first stop.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { ensure } from '../oracles.mjs';
import { qemuReplay } from './qemu-replay.mjs';

const root = path.resolve(import.meta.dirname, '../..');
const out = path.join(root, '.cache/bench');
const HOT = ['alu', 'copy', 'recursion', 'sha256', 'quicksort', 'bytecode', 'matrix'];
const LENGTH = 1e9;
const ROUNDS = 5;
const STEPS = 100;
const VM_EXITS = 1000;
const LIMIT = 256 << 20;
const SMALL_LIMIT = 16 << 20;
const BARS = { cost: 15, costGoal: 5, median: 50, p99: 200, query: 5000 };

const sorted = (values) => values.toSorted((a, b) => a - b);
const quantile = (values, part) => sorted(values)[Math.min(values.length - 1, Math.floor(values.length * part))];
const median = (values) => quantile(values, 0.5);
const rounded = (value) => Number(value.toPrecision(3));
/** A row that has a bar from above */
const below = (name, value, unit, bar, goal) => ({ name, value: rounded(value), unit, bar, goal, holds: value <= bar });

function* random(seed) {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

async function load() {
  mkdirSync(out, { recursive: true });
  const outfile = path.join(out, 'time-travel.cjs');
  const modules = [
    'emulator/machine/machine.ts',
    'emulator/timeline/api.ts',
    'emulator/timeline/timeline.ts',
    'emulator/timeline/queries/last-write.ts',
    'debug-adapter/edge/environment.ts',
    'test/golden/client.ts',
  ];
  const contents = modules.map((file) => `export * from './${file}';`).join('\n');
  const stdin = { contents, resolveDir: root, loader: 'ts' };
  await build({ stdin, outfile, bundle: true, platform: 'node', format: 'cjs', logLevel: 'warning' });
  return import(pathToFileURL(outfile));
}

const image = (file) => ({ name: path.basename(file), bytes: new Uint8Array(readFileSync(file)) });
const benchmark = (elf, words) => ({
  memory: 64,
  kernel: image(elf),
  modules: [],
  commandLine: words.join(' '),
  translator: true,
});

function stack() {
  const built = (name) => path.join(root, 'samples/cloudvisor/build', `${name}.elf`);
  for (const name of ['vmm', 'guest', 'monitor'])
    if (!existsSync(built(name))) throw new Error(`${built(name)} was not built: npm run samples`);
  const modules = ['guest', 'monitor'].map((name) => ({ ...image(built(name)), commandLine: name }));
  return { memory: 64, kernel: image(built('vmm')), modules, commandLine: '', translator: true };
}

function addressOf(elf, symbol) {
  const { stdout } = spawnSync('nm', [elf], { encoding: 'utf8' });
  const found = new RegExp(`^([0-9a-f]+) \\w ${symbol}$`, 'm').exec(stdout ?? '');
  if (!found) throw new Error(`${elf}: no symbol "${symbol}"`);
  return BigInt(`0x${found[1]}`);
}

/** Processor time of all threads, in milliseconds: what else the computer does counts less than by the clock. */
const processorTime = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

class TimeTravel {
  constructor(platform, log) {
    this.platform = platform;
    this.log = log;
  }

  /** Runs to its end. @returns the timeline, which stands there, and the time that it took */
  run(configuration, options) {
    const { createMachine, createTimeline } = this.platform;
    const machine = createMachine(configuration);
    const began = processorTime();
    const timeline = createTimeline(machine, options);
    for (;;) {
      const result = timeline.run(1_000_000_000);
      if (result.why === 'limit') continue;
      if (result.why !== 'ended' || result.outcome.kind !== 'exit-port' || result.outcome.code !== 0)
        throw new Error(`a program ended early: ${JSON.stringify(result)}`);
      return { machine, timeline, time: processorTime() - began };
    }
  }

  /** How often the kernels are to run for a history of `LENGTH` */
  repeat(elf, words) {
    const { machine } = this.run(benchmark(elf, ['repeat=20', ...words]), { recording: false });
    return Math.ceil((LENGTH / machine.instructions) * 20);
  }

  costRow(name, configuration) {
    const times = { false: [], true: [] };
    for (let round = 0; round <= ROUNDS; round++) {
      this.log(`recording, ${name}: round ${round} of ${ROUNDS}`);
      for (const recording of round % 2 ? [true, false] : [false, true]) {
        const { time } = this.run(configuration, { recording, memoryLimit: LIMIT });
        // The first round is for V8.
        if (round > 0) times[recording].push(time);
      }
    }
    const cost = (median(times.true) / median(times.false) - 1) * 100;
    return below(`recording: ${name}`, cost, '% slower', BARS.cost, BARS.costGoal);
  }

  /** One instruction back, again and again, and at random places */
  stepRows({ timeline }, name) {
    const { finish } = this.platform;
    const seek = (moment) => {
      const began = performance.now();
      finish(timeline.seek(moment));
      return performance.now() - began;
    };
    const { end } = timeline;
    const atEnd = Array.from({ length: STEPS }, () => seek(timeline.now - 1));
    const numbers = random(1);
    const places = Array.from({ length: STEPS }, () => 1 + Math.floor(numbers.next().value * (end - 1)));
    const goTo = [];
    const atPlaces = places.map((moment) => {
      goTo.push(seek(moment));
      return seek(moment - 1);
    });
    seek(end);
    const rows = [];
    for (const [what, times] of Object.entries({
      'step back, at the end': atEnd,
      'step back, anywhere': atPlaces,
      'go anywhere': goTo,
    })) {
      rows.push(below(`${what}: median (${name})`, median(times), 'ms', BARS.median));
      rows.push(below(`${what}: p99 (${name})`, quantile(times, 0.99), 'ms', BARS.p99));
    }
    return { rows, atEnd };
  }

  /**
   * Both were written at the beginning, and not again: a word of an array, whose page one kernel writes now and then; and the
   * place where `main` returns to, in a page of the stack that is written all the time.
   */
  queryRows({ machine, timeline }, elf) {
    const { registers } = machine.vcpus[0];
    return [
      this.queryRow(machine, timeline, 'a word of an array', addressOf(elf, 'from') + 40n),
      this.queryRow(machine, timeline, 'a word of the stack', registers.read('rbp') + 8n),
    ];
  }

  queryRow(machine, timeline, name, linear) {
    const { finish, lastWrite } = this.platform;
    const { hostPhysical } = machine.walk(machine.running(0).space, linear);
    this.log(`who wrote last: ${name}`);
    const began = performance.now();
    const found = finish(lastWrite(timeline, [{ address: Number(hostPhysical), length: 8 }]));
    const time = performance.now() - began;
    if (!found) throw new Error(`nobody wrote ${name}`);
    finish(timeline.seek(timeline.end));
    return below(`who wrote last: ${name}`, time, 'ms', BARS.query);
  }

  memoryRow({ timeline }, limit) {
    const mib = (bytes) => bytes / (1 << 20);
    if (timeline.memoryLimit !== limit) throw new Error('the limit was not taken');
    return below(`memory for history, of ${mib(limit)} MiB`, mib(timeline.memoryUsed), 'MiB', mib(limit));
  }

  /** In a session as an editor has it: from the request to launch to the stop at the VMM's main function, and steps by line from there */
  async sessionRows() {
    const { Client, nodeEnvironment } = this.platform;
    const built = path.join(root, 'samples/cloudvisor/build');
    const launch = {
      program: path.join(built, 'vmm.elf'),
      modules: ['guest', 'monitor'].map((name) => ({ file: path.join(built, `${name}.elf`), commandLine: name })),
    };
    const [first, steps] = [[], []];
    for (let round = 0; round <= ROUNDS; round++) {
      this.log(`a session: round ${round} of ${ROUNDS}`);
      const client = new Client(nodeEnvironment);
      const stop = async () => {
        const { event } = await client.event('stopped', 'terminated');
        if (event !== 'stopped') throw new Error('the session ended where it was to stop');
      };
      const began = performance.now();
      await client.request('initialize', {});
      await client.request('launch', launch);
      await client.request('setFunctionBreakpoints', { breakpoints: [{ name: 'vmm_main' }] });
      await client.request('configurationDone');
      await stop();
      if (round > 0) first.push(performance.now() - began);
      for (let i = 0; i < 20; i++) {
        const at = performance.now();
        await client.request('stepIn', { threadId: 1 });
        await stop();
        if (round > 0) steps.push(performance.now() - at);
      }
      client.dispose();
    }
    return [
      { name: 'first stop after launch', value: rounded(median(first)), unit: 'ms' },
      { name: 'step by a line: median', value: rounded(median(steps)), unit: 'ms' },
      { name: 'step by a line: p99', value: rounded(quantile(steps, 0.99)), unit: 'ms' },
    ];
  }

  async qemuRows(elf) {
    const words = [`repeat=${this.repeat(elf, HOT)}`, ...HOT];
    const own = this.run(benchmark(elf, words), { recording: true, memoryLimit: LIMIT });
    const { rows, atEnd } = this.stepRows(own, 'no guest');
    this.log(`QEMU records and replays ${own.machine.instructions} instructions: some minutes`);
    const { plain, recorded, steps } = await qemuReplay(elf, words.join(' '), path.join(out, 'replay'));
    const [ours, theirs] = [median(atEnd), median(steps)];
    return [
      ...rows,
      { name: 'qemu/recording', value: rounded((median(recorded) / median(plain) - 1) * 100), unit: '% slower' },
      { name: 'qemu/step back, at the end', value: rounded(theirs), unit: 'ms' },
      {
        ...below('step back, at the end', ours, 'ms', BARS.median),
        versus: 'qemu',
        ratio: rounded(theirs / ours),
      },
      { name: 'instructions of that history', value: own.machine.instructions, unit: '' },
    ];
  }
}

/** @throws Error when a program that we are compared with is missing, or did not run */
export async function timeTravelRows(elf, log) {
  ensure(['qemu-system-x86', 'gdb', 'binutils'], log);
  const travel = new TimeTravel(await load(), log);
  const guest = ['ept', ...HOT];
  const hot = benchmark(elf, [`repeat=${travel.repeat(elf, guest)}`, ...guest]);
  const rows = [];
  rows.push(travel.costRow('hot kernels under EPT', hot));
  rows.push(travel.costRow('VM exits', benchmark(elf, [`repeat=${VM_EXITS}`, 'ept', 'vmexit'])));
  rows.push(travel.costRow('the sample', stack()));
  const history = travel.run(hot, { recording: true, memoryLimit: LIMIT });
  rows.push(travel.memoryRow(history, LIMIT));
  rows.push(...travel.stepRows(history, 'guest').rows);
  rows.push(...travel.queryRows(history, elf));
  rows.push(travel.memoryRow(travel.run(hot, { recording: true, memoryLimit: SMALL_LIMIT }), SMALL_LIMIT));
  rows.push(...(await travel.sessionRows()));
  rows.push(...(await travel.qemuRows(elf)));
  return rows;
}
