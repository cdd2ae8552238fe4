import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { readChunks } from '../../emulator/timeline/recording/chunks';
import { openRecording } from '../../emulator/timeline/recording/recording';
import { Client } from '../golden/client';
import { buildKernel32 } from '../machine/kernels';
import { follow, patterned } from './bench';
import { changedSeed } from './forge';
import { readTrace } from './trace';

const SAMPLE = path.resolve('samples/cloudvisor');
/** Where test/machine/kernels/listener.S has `order`, and its table */
const ORDER = '0x10000c';

/** Starts a session and waits for its first stop. */
async function started(client: Client, launch: object): Promise<DebugProtocol.StoppedEvent['body']> {
  await client.request('initialize', { adapterID: 'undervisor', supportsProgressReporting: true });
  await client.request('launch', launch);
  await client.request('configurationDone');
  return stop(client);
}

const stop = async (client: Client) => (await client.event('stopped')).body as DebugProtocol.StoppedEvent['body'];
const outputs = (client: Client): string =>
  client.events
    .flatMap(({ event, body }) => (event === 'output' ? [(body as { output: string }).output] : []))
    .join('');
const recordingOf = async (file: string) => openRecording(new Uint8Array(readFileSync(file)));

/** Runs on for a while: some slices of the adapter */
async function runAWhile(client: Client): Promise<void> {
  await client.request('continue', { threadId: 1 });
  await client.event('undervisor/changed');
  await client.request('pause', { threadId: 1 });
  await stop(client);
}

const write = (client: Client, byte: number) =>
  client.request('writeMemory', {
    memoryReference: `host-physical:${ORDER}`,
    data: Buffer.from([byte]).toString('base64'),
  });

describe('a debugging session and recordings', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-recording-'));
  after(() => rmSync(folder, { recursive: true }));
  const at = (name: string) => path.join(folder, name);
  const clients: Client[] = [];
  afterEach(() => clients.splice(0).forEach((client) => client.dispose()));
  const session = () => {
    const client = new Client(nodeEnvironment);
    clients.push(client);
    return client;
  };
  const listening = async () => {
    writeFileSync(at('disk.img'), patterned(64));
    return {
      program: await buildKernel32('listener'),
      commandLine: 'd',
      memory: 4,
      disks: [{ file: at('disk.img') }],
      stopOnEntry: true,
    };
  };

  it('is written down, with what the user changes, and opens', async () => {
    const client = session();
    await started(client, { ...(await listening()), record: at('one.uvrec') });
    await runAWhile(client);
    await write(client, 1);
    await runAWhile(client);
    await client.request('disconnect');
    const recording = await recordingOf(at('one.uvrec'));
    assert.equal(recording.complete, true);
    assert.deepEqual(
      recording.steps.flatMap((step) => (step.kind === 'input' ? [step.input.kind] : [])),
      ['memory'],
    );
    const { playback } = follow(recording);
    assert.equal(playback.divergence, undefined);
    assert.ok(playback.agreement.hashes >= 1);
  });

  it('forgets the future that a change of the past has ended', async () => {
    const client = session();
    await started(client, { ...(await listening()), record: at('branch.uvrec') });
    await runAWhile(client);
    await write(client, 1);
    await runAWhile(client);
    const far = (await recordingOf(at('branch.uvrec'))).end;
    await client.request('undervisor/goTo', { moment: Math.floor(far / 2) });
    await stop(client);
    await write(client, 2);
    await client.request('next', { threadId: 1, granularity: 'instruction' });
    await stop(client);
    await client.request('disconnect');
    const recording = await recordingOf(at('branch.uvrec'));
    assert.ok(recording.end < far, `${recording.end} and ${far}`);
    const values = recording.steps.flatMap((step) =>
      step.kind === 'input' && step.input.kind === 'memory' ? [step.input.ranges[0]?.bytes[0]] : [],
    );
    assert.equal(values.at(-1), 2);
    const { playback } = follow(recording);
    assert.equal(playback.divergence, undefined);
    assert.equal(recording.complete, true);
  });

  it('is debugged from a recording alone, stops once at its end, and goes on beyond', async () => {
    const first = session();
    await started(first, { ...(await listening()), record: at('two.uvrec') });
    await runAWhile(first);
    await write(first, 3);
    await runAWhile(first);
    await first.request('disconnect');
    const { end } = await recordingOf(at('two.uvrec'));

    const client = session();
    await started(client, { recording: at('two.uvrec'), stopOnEntry: true });
    assert.match(outputs(client), new RegExp(`A recording of \\d+ instructions, up to moment ${end}`));
    await client.request('continue', { threadId: 1 });
    const stopped = await stop(client);
    assert.equal(stopped.description, 'End of the recording');
    const memory = await client.request<{ data: string }>('readMemory', {
      memoryReference: `host-physical:${ORDER}`,
      count: 1,
    });
    assert.equal(Buffer.from(memory.data, 'base64')[0], 3);
    await runAWhile(client);
    await runAWhile(client);
  });

  it('leaves a recording when the user changes something, and says so', async () => {
    const client = session();
    await started(client, { recording: at('two.uvrec'), stopOnEntry: true, record: at('other.uvrec') });
    await write(client, 9);
    assert.match(outputs(client), /another than the recorded one/);
    await runAWhile(client);
    await client.request('disconnect');
    const { playback } = follow(await recordingOf(at('other.uvrec')));
    assert.equal(playback.divergence, undefined);
  });

  it('finds symbols, layers and breakpoints in the recording of the sample, as in the sample', async () => {
    const stacks: unknown[] = [];
    for (const launch of [{ program: SAMPLE, record: at('sample.uvrec') }, { recording: at('sample.uvrec') }]) {
      const client = session();
      await started(client, { ...launch, stopOnEntry: 'exit:CPUID' });
      const { stackFrames } = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
        threadId: 1,
      });
      stacks.push(stackFrames.map(({ name, line, source }) => [name, line, source?.path]));
      if ('program' in launch) {
        await client.request('continue', { threadId: 1 });
        await client.event('exited', 'stopped');
      }
      await client.request('disconnect');
    }
    assert.ok((stacks[0] as unknown[]).length > 1);
    assert.deepEqual(stacks[1], stacks[0]);
    // It is the run of a machine without a debugger, and without a translator, too.
    const recording = await recordingOf(at('sample.uvrec'));
    const configuration = { ...recording.machine.configuration, translator: false };
    const { playback } = follow({ ...recording, machine: { ...recording.machine, configuration } });
    assert.equal(playback.divergence, undefined);
    assert.ok(playback.agreement.hashes >= 1);
  });

  it('stops where the run is not the recorded one, and says where it was last', async () => {
    writeFileSync(at('forged.uvrec'), changedSeed(readFileSync(at('two.uvrec')), 99));
    const client = session();
    await started(client, { recording: at('forged.uvrec'), stopOnEntry: true });
    await client.request('continue', { threadId: 1 });
    const stopped = await stop(client);
    assert.equal(stopped.description, 'The run diverges from the recording');
    assert.match(outputs(client), /not as it was recorded: at moment \d+, .* Up to moment \d+ it was/);
    await runAWhile(client);
  });

  it('is exported while it goes on', async () => {
    const client = session();
    await started(client, { recording: at('sample.uvrec'), stopOnEntry: 'exit:CPUID' });
    const file = at('session.json');
    const { end } = await client.request<{ end: number }>('undervisor/export', { path: file });
    await client.request('next', { threadId: 1, granularity: 'instruction' });
    await stop(client);
    const { body } = (await client.event('undervisor/exported')) as unknown as { body: Record<string, unknown> };
    assert.equal(body.error, undefined);
    assert.equal(body.to, end);
    const { slices } = readTrace(readFileSync(file, 'utf8'));
    const exits = await client.request<{ total: number }>('undervisor/exits', { start: 0, count: 1 });
    assert.equal(slices.filter(({ category }) => category === 'exit').length, exits.total);
    await assert.rejects(client.request('undervisor/export', { path: file, format: 'csv' }), /"format" must be one of/);
    await assert.rejects(
      client.request('undervisor/export', { path: file, from: end * 9 }),
      /must be a moment of the run/,
    );
    await assert.rejects(client.request('undervisor/export', { path: folder }), /cannot write/);
    const recording = { path: at('sample.uvrec') };
    await assert.rejects(client.request('undervisor/export', recording), /it is there already, and is no export/);
    // One export may replace another.
    await client.request('undervisor/export', { path: file });
    const again = (await client.event('undervisor/exported')) as unknown as { body: Record<string, unknown> };
    assert.equal(again.body.error, undefined);
  });

  it('is exported to its end, with what was given to it, also where a disk was written through', async () => {
    const client = session();
    const launch = await listening();
    const disks = [{ file: at('disk.img'), write: 'through' }];
    await started(client, { ...launch, disks, record: at('through.uvrec') });
    await runAWhile(client);
    await write(client, 'w'.charCodeAt(0));
    const read = Buffer.from(patterned(64));
    while (readFileSync(at('disk.img')).equals(read)) await runAWhile(client);
    await write(client, 0);
    await runAWhile(client);
    const before = readFileSync(at('disk.img'));
    // Also from a place in the past
    await client.request('stepBack', { threadId: 1, granularity: 'instruction' });
    await stop(client);
    const file = at('through.jsonl');
    const { end } = await client.request<{ end: number }>('undervisor/export', { path: file, format: 'jsonl' });
    const { body } = (await client.event('undervisor/exported')) as unknown as { body: Record<string, unknown> };
    assert.deepEqual([body.error, body.to], [undefined, end]);
    assert.deepEqual(readFileSync(at('disk.img')), before, 'the export writes to no disk');
    await client.request('disconnect');
    const recording = await recordingOf(at('through.uvrec'));
    const { machine } = follow(recording);
    const last = JSON.parse(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
    assert.equal(last.kind, 'end');
    assert.equal(last.moment, recording.end);
    assert.equal(last.stateHash, machine.stateHash());
  });

  it('survives a recording that cannot be opened, and says why', async () => {
    const client = session();
    await client.request('initialize', { adapterID: 'undervisor' });
    writeFileSync(at('no.uvrec'), 'no');
    writeFileSync(at('cut.uvrec'), readFileSync(at('one.uvrec')).subarray(0, 500));
    const newer = Buffer.from(readFileSync(at('one.uvrec')));
    newer.writeUInt16LE(99, 10);
    writeFileSync(at('newer.uvrec'), newer);
    for (const [launch, message] of [
      [{ recording: at('no.uvrec') }, /no\.uvrec is not a recording/],
      [{ recording: at('cut.uvrec') }, /cut\.uvrec ends before the images/],
      [{ recording: at('newer.uvrec') }, /has format 99, and this version of Undervisor reads up to/],
      [{ recording: at('none.uvrec') }, /there is no such file/],
      [{ recording: at('one.uvrec'), memory: 4 }, /"recording" and "memory" exclude each other/],
      [{ recording: at('one.uvrec'), program: 'x' }, /"recording" and "program" exclude each other/],
      [{ recording: '' }, /recording must be a non-empty string/],
      [{ ...(await listening()), record: 5 }, /record must be true, false, or the path/],
      [{ ...(await listening()), record: at('no.uvrec/x.uvrec') }, /cannot record into/],
      [{ ...(await listening()), record: at('disk.img') }, /it is there already, and is no recording/],
      [{ ...(await listening()), randomSeed: -1 }, /randomSeed must be a whole number from 0/],
    ] as const)
      await assert.rejects(client.request('launch', launch), message);
    // One that is damaged behind its beginning opens.
    const damaged = Buffer.from(readFileSync(at('one.uvrec')));
    const inside = (readChunks(damaged).chunks.at(-2)?.at ?? 0) + 20;
    damaged[inside] = (damaged[inside] ?? 0) ^ 1;
    writeFileSync(at('damaged.uvrec'), damaged);
    await client.request('launch', { recording: at('damaged.uvrec'), stopOnEntry: true });
    await client.request('configurationDone');
    await stop(client);
    assert.match(outputs(client), /The file is damaged: .*It goes up to moment \d+/);
    // A running session loses nothing by a restart that fails.
    await assert.rejects(client.request('restart', { arguments: { recording: at('no.uvrec') } }), /is not a recording/);
    await runAWhile(client);
  });
});
