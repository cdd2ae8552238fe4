import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { frame, MessageReader } from '../../debug-adapter/protocol/framing';
import { readChunks } from '../../emulator/timeline/recording/chunks';
import { buildAssembly } from '../asm/build';
import { buildKernel32 } from '../machine/kernels';
import { patterned } from './bench';
import { changedSeed } from './forge';
import { readTrace } from './trace';

const CLI = path.join(__dirname, '../../debug-adapter/edge/cli.js');
const SAMPLE = path.resolve('samples/cloudvisor');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function run(...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

type Row = Record<string, unknown>;
const rowsOf = (text: string): Row[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const last = (text: string): Row => rowsOf(text).at(-1) ?? {};

describe('recordings on the command line', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-recording-'));
  after(() => rmSync(folder, { recursive: true }));
  const at = (name: string) => path.join(folder, name);

  it('of the sample opens elsewhere, where neither images nor disk are', async () => {
    const copy = at('sample');
    mkdirSync(copy);
    for (const part of ['undervisor.json', 'build'])
      cpSync(path.join(SAMPLE, part), path.join(copy, part), { recursive: true });
    const recorded = await run('run', copy, '--record', at('sample.uvrec'), '--json');
    assert.equal(recorded.code, 0, recorded.err);
    rmSync(copy, { recursive: true });
    const rows = rowsOf(recorded.out);
    const { stateHash, instructions } = rows.at(-1) ?? {};
    assert.ok(rows.some(({ kind }) => kind === 'recorded'));

    const verified = await run('replay', at('sample.uvrec'), '--verify', '--json');
    assert.equal(verified.code, 0, verified.err);
    const verdict = last(verified.out);
    assert.equal(rowsOf(verified.out).length, 1);
    assert.equal(verdict.diverged, false);
    assert.equal(verdict.stateHash, stateHash);
    assert.equal(verdict.instructions, instructions);
    assert.equal(verdict.moment, verdict.recordedEnd);
    assert.ok(Number(verdict.checkpoints) >= 1 && Number(verdict.hashes) >= 1);

    // The same rows, in the same order.
    const again = rowsOf((await run('replay', at('sample.uvrec'), '--json')).out);
    const told = (list: readonly Row[]) =>
      list.filter(({ kind }) => !['recorded', 'replay', 'end'].includes(String(kind)));
    assert.deepEqual(told(again), told(rows));

    const { out } = await run('info', at('sample.uvrec'), '--json');
    const info = JSON.parse(out) as Row;
    assert.equal(info.complete, true);
    assert.equal(info.outcome, 'exit-port');
    assert.equal(info.instructions, instructions);
    assert.deepEqual(
      (info.layers as Row[]).map(({ layer }) => layer),
      ['vmm', 'monitor', 'guest'],
    );
    assert.match((await run('info', at('sample.uvrec'))).out, /^layer {7}monitor: .*monitor\.elf$/m);

    const half = Math.floor(Number(verdict.moment) / 2);
    const until = await run('replay', at('sample.uvrec'), '--until', String(half), '--verify', '--json');
    assert.equal(last(until.out).moment, half);
    const beyond = await run('replay', at('sample.uvrec'), '--until', '99999999999');
    assert.equal(beyond.code, 2);
    assert.match(beyond.err, /ends at moment \d+, before 99999999999/);

    const exported = await run('export', at('sample.uvrec'), '--out', at('trace.json'));
    assert.equal(exported.code, 0, exported.err);
    const { slices } = readTrace(readFileSync(at('trace.json'), 'utf8'));
    assert.equal(
      slices.filter(({ category }) => category === 'exit').length,
      rows.filter(({ kind }) => kind === 'exit').length,
    );
    const lines = await run('export', at('sample.uvrec'), '--format', 'jsonl', '--from', String(half));
    assert.ok(rowsOf(lines.out).every(({ moment }) => Number(moment) >= half));
  });

  it('of several processors gives the same machine', async () => {
    const program = await buildAssembly('processors');
    const recorded = await run(
      'run',
      program,
      '--processors',
      '4',
      '--quantum',
      '100',
      '--record',
      at('smp.uvrec'),
      '--json',
    );
    assert.equal(recorded.code, 0, recorded.err);
    const verified = await run('replay', at('smp.uvrec'), '--verify', '--json');
    assert.equal(verified.code, 0, verified.err);
    assert.equal(last(verified.out).stateHash, last(recorded.out).stateHash);
  });

  it('brings the contents of disks, and the seed', async () => {
    writeFileSync(at('disk.img'), patterned(64));
    const program = await buildKernel32('listener');
    const options = ['--append', 'd', '--disk', at('disk.img'), '--random-seed', '5', '--max-instructions', '6000000'];
    const recorded = await run('run', program, ...options, '--record', at('disk.uvrec'), '--json');
    rmSync(at('disk.img'));
    const verified = await run('replay', at('disk.uvrec'), '--verify', '--json');
    assert.equal(verified.code, 0, verified.err);
    assert.equal(last(verified.out).stateHash, last(recorded.out).stateHash);
    const info = JSON.parse((await run('info', at('disk.uvrec'), '--json')).out) as Row;
    assert.equal(info.randomSeed, 5);
    assert.ok(Number((info.disks as Row[])[0]?.blocks) > 3);
  });

  it('loses nothing of what was told to be written when the process is killed', async () => {
    const program = await buildKernel32('listener');
    for (const tellings of [1, 2, 4]) {
      const file = at(`killed-${tellings}.uvrec`);
      const args = [CLI, 'run', program, '--record', file, '--json'];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const told: number[] = [];
      let text = '';
      child.stdout.on('data', (piece) => {
        text += String(piece);
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) {
          const row = JSON.parse(line) as { kind: string; moment: number };
          if (row.kind === 'recorded') told.push(row.moment);
        }
        if (told.length >= tellings) child.kill('SIGKILL');
      });
      await new Promise((resolve) => child.on('close', resolve));
      assert.equal(child.signalCode, 'SIGKILL');
      const info = JSON.parse((await run('info', file, '--json')).out) as Row;
      assert.equal(info.complete, false);
      assert.match(String(info.loss), /cut short/);
      assert.ok(Number(info.end) >= (told.at(-1) ?? Infinity), `${String(info.end)} of ${told.join(', ')}`);
      const verified = await run('replay', file, '--verify', '--json');
      assert.equal(verified.code, 0, verified.err);
      assert.match(verified.err, /cut short/);
      assert.equal(last(verified.out).moment, info.end);
    }
  });

  it('loses nothing of what was told to be written when the debug adapter is killed', async () => {
    const program = await buildKernel32('listener');
    const file = at('adapter.uvrec');
    const child = spawn(process.execPath, [CLI, 'dap'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const told: number[] = [];
    const reader = new MessageReader({
      message: (message) => {
        const { event, body } = message as { event?: string; body?: { recorded?: number } };
        if (event === 'undervisor/changed' && (body?.recorded ?? 0) > 0) told.push(body?.recorded ?? 0);
        if (new Set(told).size >= 3) child.kill('SIGKILL');
      },
      malformed: (reason) => assert.fail(reason),
    });
    child.stdout.on('data', (piece: Uint8Array) => reader.push(piece));
    const requests = [
      ['initialize', {}],
      ['launch', { program, record: file }],
      ['configurationDone', {}],
    ] as const;
    requests.forEach(([command, args], index) =>
      child.stdin.write(frame({ seq: index + 1, type: 'request', command, arguments: args })),
    );
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(child.signalCode, 'SIGKILL');
    const info = JSON.parse((await run('info', file, '--json')).out) as Row;
    assert.equal(info.complete, false);
    assert.ok(Number(info.end) >= Math.max(...told), `${String(info.end)} of ${told.join(', ')}`);
    const verified = await run('replay', file, '--verify', '--json');
    assert.equal(verified.code, 0, verified.err);
    assert.equal(last(verified.out).moment, info.end);
  });

  it('is closed as it should be on Ctrl+C', async () => {
    const program = await buildKernel32('listener');
    const child = spawn(process.execPath, [CLI, 'run', program, '--record', at('int.uvrec'), '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (piece) => String(piece).includes('"recorded"') && child.kill('SIGINT'));
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(child.exitCode, 130);
    const info = JSON.parse((await run('info', at('int.uvrec'), '--json')).out) as Row;
    assert.equal(info.complete, true);
    assert.ok(Number(info.hashes) >= 1);
  });

  it('says where a run is not the recorded one, and ends with 1', async () => {
    // A recording of another machine: its header's seed is changed, and the checksums are right again.
    writeFileSync(at('forged.uvrec'), changedSeed(readFileSync(at('disk.uvrec')), 6));
    const { code, out } = await run('replay', at('forged.uvrec'), '--json');
    assert.equal(code, 1);
    const verdict = last(out);
    assert.equal(verdict.diverged, true);
    assert.match(String(verdict.description), /not as it was recorded: at moment \d+, .*Up to moment \d+ it was/);
    const exported = await run('export', at('forged.uvrec'), '--out', at('forged.json'));
    assert.equal(exported.code, 1);
    assert.match(exported.err, /not as it was recorded/);
    readTrace(readFileSync(at('forged.json'), 'utf8'));
  });

  it('refuses what is no recording, and does not write over it', async () => {
    const program = await buildKernel32('listener');
    writeFileSync(at('notes.txt'), 'precious');
    writeFileSync(at('half.uvrec'), readFileSync(at('disk.uvrec')).subarray(0, 300));
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [['replay'], /no recording given/],
      [['replay', 'a', 'b'], /"b"/],
      [['replay', 'a', '--fast'], /unknown option "--fast"/],
      [['replay', at('none.uvrec')], /none\.uvrec: there is no such file/],
      [['replay', at('notes.txt')], /notes\.txt is not a recording/],
      [['replay', program], /is not a recording/],
      [['replay', at('half.uvrec')], /half\.uvrec ends before the images of the machine are whole/],
      [['info'], /no recording given/],
      [['info', folder], /it is a folder/],
      [['info', at('notes.txt')], /is not a recording/],
      [['export'], /export: no program given/],
      [['export', at('disk.uvrec'), '--format', 'pprof'], /unknown format "pprof": perfetto, jsonl/],
      [['export', at('disk.uvrec'), '--memory', '5'], /"--memory" has no meaning for a recording/],
      [['export', program, '--json'], /"--json" has no meaning here/],
      [['export', at('disk.uvrec'), '--from', '9', '--to', '3'], /the range begins at moment 9 and ends before/],
      [['export', at('disk.uvrec'), '--out', folder], /cannot write/],
      [['export', at('disk.uvrec'), '--out', at('disk.uvrec')], /disk\.uvrec: it is there already, and is no export/],
      [['export', program, '--out', at('notes.txt')], /notes\.txt: it is there already, and is no export/],
      [['run', at('disk.uvrec')], /is a recording: use "undervisor replay"/],
      [['run', program, '--record', at('notes.txt')], /notes\.txt: it is there already, and is no recording/],
      [['run', program, '--record', path.join(folder, 'no/where.uvrec')], /there is no such file/],
      [['run', program, '--record', folder], /it is a folder/],
      [['run', program, '--random-seed', 'x'], /--random-seed needs a whole number/],
    ];
    for (const [args, message] of wrong) {
      const { code, err } = await run(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, message);
    }
    assert.equal(readFileSync(at('notes.txt'), 'utf8'), 'precious');
    // An older recording there is replaced by the new one.
    const before = statSync(at('disk.uvrec')).size;
    await run('run', program, '--max-instructions', '1000', '--record', at('disk.uvrec'));
    assert.ok(statSync(at('disk.uvrec')).size < before);
    assert.equal(readChunks(readFileSync(at('disk.uvrec'))).flaw, undefined);
  });
});
