import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { Machine } from '../../emulator/machine/api';
import { buildAssembly } from '../asm/build';
import { Client } from '../golden/client';

type Stopped = DebugProtocol.StoppedEvent['body'];

const SEED = Number(process.env.SEED ?? Math.floor(performance.timeOrigin) % 1_000_000);

/** A small generator: the same sequence for the same seed */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 12) % below;
  };
}

/** test/asm/processors.S on four processors: each is a thread. */
describe('several processors in the debugger', function () {
  this.timeout(120_000);
  let program = '';
  let client: Client;

  before(async () => {
    program = await buildAssembly('processors');
  });

  beforeEach(() => {
    client = new Client(nodeEnvironment);
  });
  afterEach(() => client.dispose());

  async function launch(quantum: number, ...functions: string[]): Promise<Stopped> {
    await client.request('initialize', {});
    await client.request('launch', { program, processors: 4, quantum, stopOnEntry: functions.length === 0 });
    await breakAt(...functions);
    await client.request('configurationDone');
    return stopped();
  }

  const breakAt = (...functions: string[]) =>
    client.request('setFunctionBreakpoints', { breakpoints: functions.map((name) => ({ name })) });

  const stopped = async (): Promise<Stopped> => (await client.event('stopped')).body as Stopped;

  async function go(command: string, threadId: number, more: object = {}): Promise<Stopped> {
    await client.request(command, { threadId, ...more });
    return stopped();
  }

  async function top(threadId: number): Promise<DebugProtocol.StackFrame> {
    const body = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId });
    const [frame] = body.stackFrames;
    assert.ok(frame);
    return frame;
  }

  async function value(threadId: number, expression: string): Promise<string> {
    const frameId = (await top(threadId)).id;
    const body = await client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', { expression, frameId });
    return body.result;
  }

  const threads = async (): Promise<DebugProtocol.Thread[]> =>
    (await client.request<DebugProtocol.ThreadsResponse['body']>('threads', {})).threads;

  it('tells of an exception to the thread that it was of', async () => {
    await client.request('initialize', {});
    const vmx = await buildAssembly('vmx-processors');
    await client.request('launch', { program: vmx, processors: 2, quantum: 100, stopOnEntry: 'exit:any' });
    await client.request('configurationDone');
    const threadId = (await stopped()).threadId ?? 0;
    const info = await client.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', { threadId });
    assert.match(info.exceptionId, /^exit:/);
    await assert.rejects(client.request('exceptionInfo', { threadId: 3 - threadId }), /thread \d that stopped/);
  });

  it('has a thread for each, and says which wait to be started', async () => {
    const stop = await launch(1000);
    assert.deepEqual([stop.reason, stop.threadId, stop.allThreadsStopped], ['entry', 1, true]);
    assert.deepEqual(
      (await threads()).map(({ id, name }) => `${id} ${name}`),
      [
        '1 vcpu0 (processors)',
        '2 vcpu1 (vcpu1 root, waiting for SIPI)',
        '3 vcpu2 (vcpu2 root, waiting for SIPI)',
        '4 vcpu3 (vcpu3 root, waiting for SIPI)',
      ],
    );
  });

  it('stops each thread at the breakpoint that it hits, with its own stack and registers', async () => {
    const order = [(await launch(1000, 'identify')).threadId];
    const stacks = new Set<string>();
    for (;;) {
      const thread = order.at(-1)!;
      assert.match((await top(thread)).name, /!identify$/);
      stacks.add(await value(thread, '$rsp'));
      // Where a request names no frame, the thread that stopped is meant.
      const unnamed = await client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', { expression: '$rsp' });
      assert.equal(unnamed.result, await value(thread, '$rsp'));
      if (order.length === 4) break;
      order.push((await go('continue', thread)).threadId);
    }
    assert.equal(order[0], 1, 'the bootstrap processor calls it first');
    assert.deepEqual([...order].sort(), [1, 2, 3, 4]);
    assert.equal(stacks.size, 4);
  });

  it('steps one thread while the others run, and says when another one hits a breakpoint', async () => {
    await launch(1, 'identify');
    const { threadId } = await go('continue', 1);
    assert.ok(threadId);
    const line = (await top(threadId)).line;
    let stop = await go('next', threadId);
    // With turns of one instruction the others are right behind.
    for (; stop.reason === 'step'; stop = await go('next', threadId)) assert.equal(stop.threadId, threadId);
    assert.equal(stop.reason, 'function breakpoint');
    assert.notEqual(stop.threadId, threadId);
    assert.equal(
      stop.description,
      `Breakpoint on vcpu${stop.threadId! - 1}, while vcpu${threadId - 1} was being stepped`,
    );
    await breakAt();
    // The step goes on with its thread, from where it had come to.
    const before = (await top(threadId)).line;
    assert.ok(before >= line);
    const waits = (await top(1)).name;
    for (let i = 1; i <= 3; i++) {
      stop = await go('next', threadId);
      assert.deepEqual([stop.reason, stop.threadId], ['step', threadId]);
    }
    assert.ok((await top(threadId)).line > before);
    assert.equal((await top(1)).name, waits, 'the first still waits for the others');
    stop = await go('stepIn', stop.threadId!, { granularity: 'instruction' });
    assert.deepEqual([stop.reason, stop.threadId], ['step', threadId]);
    stop = await go('stepOut', threadId);
    assert.equal(stop.threadId, threadId);
    assert.match((await top(threadId)).name, /!wait_for_task|!start64/);
  });

  it('counts an arrival once, however turns are cut', async () => {
    for (const quantum of [1, 7, 1000]) {
      const stops = [(await launch(quantum, 'on_nmi')).threadId];
      for (let i = 0; i < 3; i++) stops.push((await go('continue', 1)).threadId);
      assert.deepEqual([stops[0], ...stops.slice(1).sort()], [3, 2, 3, 4], `turns of ${quantum}`);
      await client.request('continue', { threadId: 1 });
      assert.equal((await client.event('exited')).event, 'exited');
      client.dispose();
      client = new Client(nodeEnvironment);
    }
  });

  it('shows the thread that the pause was asked for, and runs to the same end', async () => {
    await launch(100);
    await client.request('continue', { threadId: 1 });
    await client.request('pause', { threadId: 3 });
    const stop = await stopped();
    assert.deepEqual([stop.reason, stop.threadId], ['pause', 3]);
    await client.request('continue', { threadId: 3 });
    const end = await client.event('exited');
    assert.deepEqual(end.body, { exitCode: 0 });
  });

  it(`ends in the state of a run without debugger, whatever is stepped (SEED=${SEED})`, async () => {
    let machine: Machine | undefined;
    const session = async (steps: number): Promise<string> => {
      client.dispose();
      client = new Client({
        ...nodeEnvironment,
        createMachine: async (configuration) => (machine = await nodeEnvironment.createMachine(configuration)),
      });
      await launch(50);
      const random = randomOf(SEED);
      for (let i = 0; i < steps; i++) {
        if (random(8) === 0) await breakAt(...['identify', 'on_token', 'read_window'].slice(random(4)));
        const command = ['next', 'stepIn', 'next', 'stepOut'][random(4)] ?? 'next';
        const thread = 1 + random(4);
        const more = random(2) ? { granularity: 'instruction' } : {};
        const response = await client.response(command, { threadId: thread, ...more });
        // A thread that waits may wait for ever: the others run on, until somebody asks for a pause.
        if (!response.success) continue;
        await new Promise((resolve) => setTimeout(resolve, random(20)));
        await client.response('pause', { threadId: thread });
        const { event } = await client.event('stopped', 'terminated');
        if (event === 'terminated') break;
        await client.request('stackTrace', { threadId: 1 + random(4) });
      }
      if (!client.events.some(({ event }) => event === 'terminated')) {
        await breakAt();
        await client.request('continue', { threadId: 1 });
        await client.event('terminated');
      }
      return `${machine?.instructions} ${machine?.stateHash()}`;
    };
    const alone = await session(0);
    assert.equal(await session(120), alone);
  });

  it('refuses a thread that is not there', async () => {
    await launch(1000);
    await assert.rejects(client.request('continue', { threadId: 5 }), /there is no thread 5/);
    await assert.rejects(client.request('stackTrace', { threadId: 0 }), /there is no thread 0/);
  });

  it('refuses a number of processors and a quantum that cannot be', async () => {
    await client.request('initialize', {});
    const refused = async (more: object): Promise<string> => {
      const response = await client.response('launch', { program, ...more });
      assert.equal(response.success, false);
      return response.message ?? '';
    };
    assert.match(await refused({ processors: 9 }), /processors must be a whole number from 1 to 8/);
    assert.match(await refused({ processors: 'two' }), /processors must be a whole number from 1 to 8/);
    assert.match(await refused({ quantum: 0 }), /quantum must be a whole number from 1 to 1000000000/);
  });
});
