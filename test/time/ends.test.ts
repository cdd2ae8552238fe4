import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { elfImage } from '../machine/elf-image';
import { TimeSession } from './session';

const AT = 0x10_0000;
/** mov ecx, 40000000h; 1: dec ecx; jnz 1b: a long time, and nothing stops in it */
const LONG = [0xb9, 0, 0, 0, 0x40, 0x49, 0x75, 0xfd];

describe('where a run ends, and what takes long', function () {
  this.timeout(300_000);
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-time-'));
  after(() => rmSync(folder, { recursive: true }));
  let session: TimeSession;
  beforeEach(() => (session = new TimeSession()));
  afterEach(() => session.dispose());

  function image(code: readonly number[]): string {
    const program = path.join(folder, 'code.elf');
    const segments = [{ vaddr: AT, paddr: AT, bytes: [...code], memsz: 0x2000 }];
    writeFileSync(program, elfImage({ entry: AT, pvh: AT, bits: 32, segments }));
    return program;
  }
  const output = () =>
    session.client.events
      .filter(({ event }) => event === 'output')
      .map(({ body }) => (body as DebugProtocol.OutputEvent['body']).output)
      .join('');
  const names = () => session.client.events.map(({ event }) => event);

  // nop; nop; ud2 without an IDT
  it('a triple fault is a stop that one can step back from, and come to again', async () => {
    const stop = await session.launch({ program: image([0x90, 0x90, 0x0f, 0x0b]) });
    assert.deepEqual([stop.reason, stop.description], ['exception', 'Triple fault']);
    assert.match(output(), /Triple fault: .* Step back from here, or restart\./);
    await session.go('stepBack', { granularity: 'instruction' });
    await session.go('stepBack', { granularity: 'instruction' });
    const again = await session.go('continue');
    assert.deepEqual([again.reason, again.description], ['exception', 'Triple fault']);
    assert.ok(!names().includes('terminated'));
    // Going on from the end without having gone back ends the session, as it did before.
    await session.client.request('continue', { threadId: 1 });
    await session.client.event('terminated');
  });

  // mov al, 3; out 0xf4, al
  it('a failure that the program tells is a stop too', async () => {
    const stop = await session.launch({ program: image([0xb0, 3, 0xe6, 0xf4]) });
    assert.deepEqual([stop.reason, stop.description], ['exception', 'The machine ended: failure']);
    await session.go('reverseContinue');
    assert.equal(session.machine.instructions, 0);
  });

  it('success ends the session, unless the launch says that it should stop first', async () => {
    const program = image([0xb0, 0, 0xe6, 0xf4]);
    await assert.rejects(session.launch({ program }), /the session ended/);
    session.dispose();
    session = new TimeSession();
    const stop = await session.launch({ program, stopAtEnd: true });
    assert.equal(stop.description, 'The machine ended: success');
    // The instruction that ends the machine is not completed.
    await session.go('stepBack', { granularity: 'instruction' });
    assert.equal(await session.value('(int)$rip'), String(AT));
  });

  async function inTheLongRun(): Promise<string> {
    await session.launch({ program: image([...LONG, 0xeb, 0xfe]), stopOnEntry: true });
    await session.client.request('setInstructionBreakpoints', {
      breakpoints: [{ instructionReference: `0x${AT.toString(16)}` }],
    });
    await session.client.request('continue', { threadId: 1 });
    while (session.machine.instructions < 120_000_000) await new Promise((resolve) => setImmediate(resolve));
    await session.client.request('pause', { threadId: 1 });
    await session.stopped();
    return session.machine.stateHash();
  }

  it('a search is cancelled by its progress or by pause, and the machine is where it was', async () => {
    const before = await inTheLongRun();
    await session.client.request('reverseContinue', { threadId: 1 });
    const progress = (await session.client.event('progressStart')) as DebugProtocol.ProgressStartEvent;
    const { progressId, title, cancellable } = progress.body;
    assert.deepEqual([title, cancellable], ['Reverse', true]);
    // Requests wait for the end of the search, those that end it do not.
    const waiting = session.client.request('threads', {});
    await session.client.request('cancel', { progressId });
    let stop = await session.stopped();
    assert.deepEqual([stop.reason, stop.description], ['pause', 'Reverse: cancelled']);
    await waiting;
    assert.ok(names().includes('progressEnd'));
    assert.equal(session.machine.stateHash(), before);
    await session.client.request('reverseContinue', { threadId: 1 });
    await session.client.request('pause', { threadId: 1 });
    stop = await session.stopped();
    assert.equal(stop.description, 'Reverse: cancelled');
    assert.equal(session.machine.stateHash(), before);
    stop = await session.go('reverseContinue');
    assert.equal(stop.reason, 'instruction breakpoint');
    assert.equal(session.machine.instructions, 0);
  });

  it('a request is cancelled by its number, and answers so', async () => {
    const before = await inTheLongRun();
    const { client } = session;
    await client.request('reverseContinue', { threadId: 1 });
    const waiting = client.response('undervisor/goTo', { instruction: 5 });
    await client.request('cancel', { requestId: client.lastSeq });
    const response = await waiting;
    assert.deepEqual([response.success, response.message], [false, 'cancelled']);
    await client.request('pause', { threadId: 1 });
    assert.equal((await session.stopped()).description, 'Reverse: cancelled');
    assert.equal(session.machine.stateHash(), before);
    assert.equal((await client.response('cancel', {})).success, false);
  });

  it('restart and disconnect end a search', async () => {
    await inTheLongRun();
    const { client } = session;
    await client.request('reverseContinue', { threadId: 1 });
    await client.request('restart', {});
    let stop = await session.stopped();
    while (stop.reason === 'pause') stop = await session.stopped();
    assert.equal(stop.reason, 'entry');
    assert.equal(session.machine.instructions, 0);
    await client.request('continue', { threadId: 1 });
    while (session.machine.instructions < 30_000_000) await new Promise((resolve) => setImmediate(resolve));
    await client.request('pause', { threadId: 1 });
    await session.stopped();
    await client.request('reverseContinue', { threadId: 1 });
    await client.request('disconnect', {});
  });
});
