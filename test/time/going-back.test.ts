import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { ExitRow, ExitsResponse, PagesResponse } from '../../debug-adapter/protocol/requests';
import { sample } from '../golden/sample';
import { TimeSession, type Stopped } from './session';

describe('going back', function () {
  this.timeout(300_000);
  let session: TimeSession;
  beforeEach(() => (session = new TimeSession()));
  afterEach(() => session.dispose());

  const state = async () => `${await session.place()} ${session.machine.stateHash()}`;
  const told = ({ reason, description, text, hitBreakpointIds }: Stopped) =>
    JSON.stringify({ reason, description, text, hitBreakpointIds });

  it('reverses a run from stop to stop, breakpoints with hit counts and exit filters alike', async () => {
    const stops: string[] = [];
    const note = async (stop: Stopped) => stops.push(`${told(stop)} ${await state()}`);
    await note(
      await session.launch({ program: sample() }, async () => {
        await session.breakAt('monitor!handle_vmm_exit % 7', 'vmm!vm_handle_exit');
        await session.breakOn('exit:EPT_VIOLATION', 'exit:CPUID');
      }),
    );
    for (let i = 0; i < 11; i++) await note(await session.go('continue'));
    const info = await session.client.response('exceptionInfo', { threadId: 1 });
    for (let i = 10; i >= 0; i--) {
      const stop = await session.go('reverseContinue');
      assert.equal(`${told(stop)} ${await state()}`, stops[i], `stop ${i}`);
      assert.equal(session.changed.past, true);
    }
    const start = await session.go('reverseContinue');
    assert.deepEqual([start.reason, start.description], ['entry', 'Start of history']);
    assert.equal(session.machine.instructions, 0);
    // Forward again: the same stops, with the same numbers of hits.
    for (const expected of stops) {
      const stop = await session.go('continue');
      assert.equal(`${told(stop)} ${await state()}`, expected);
    }
    assert.deepEqual((await session.client.response('exceptionInfo', { threadId: 1 })).body, info.body);
  });

  it('keeps the logs, marks what is ahead, and goes to an exit', async () => {
    await session.launch({ program: sample() }, () => session.breakOn('exit:EPT_VIOLATION'));
    for (let i = 0; i < 3; i++) await session.go('continue');
    const rows = async () =>
      (await session.client.request<ExitsResponse>('undervisor/exits', { start: 0, count: 1e4 })).rows;
    const pages = async () =>
      (await session.client.request<PagesResponse>('undervisor/pages', { start: 0, count: 1e4 })).rows;
    const [exits, decisions] = [await rows(), await pages()];
    const serial = () =>
      session.client.events.filter(
        ({ event, body }) => event === 'output' && (body as DebugProtocol.OutputEvent['body']).category === 'stdout',
      ).length;
    const lines = serial();
    const last = decisions.at(-1)?.moment ?? 0;
    const wanted = exits.findLast(({ moment }) => moment < last) as ExitRow;
    await session.goTo({ event: wanted.event });
    assert.equal(session.changed.moment, wanted.moment);
    const now = await rows();
    assert.equal(now.length, exits.length);
    assert.deepEqual(
      now.map(({ ahead }) => ahead ?? false),
      exits.map(({ moment }) => moment > wanted.moment),
    );
    const shown = await session.frames();
    assert.match(
      shown.find(({ presentationHint }) => presentationHint === 'label')?.name ?? '',
      new RegExp(`VM exit: ${wanted.name}`),
    );
    assert.equal((await pages()).length, decisions.length);
    assert.ok((await pages()).some(({ ahead }) => ahead));
    await session.breakOn();
    await session.goTo({ moment: session.changed.end });
    assert.deepEqual(await rows(), exits);
    assert.deepEqual(await pages(), decisions);
    assert.equal(serial(), lines);
    // Each exit can be gone to, and is there.
    for (const row of exits.filter((_, index) => index % 37 === 0)) {
      await session.goTo({ event: row.event });
      assert.equal(
        session.machine.contexts.some(
          ({ lastLeft }) => lastLeft?.kind === 'exit' && lastLeft.instruction === row.instruction,
        ),
        true,
      );
    }
  });

  it('goes to the previous exit and entry', async () => {
    await session.launch({ program: sample() }, () => session.breakAt('guest!report_processor'));
    await session.breakAt();
    const path: string[] = [];
    const order = ['Exit', 'Entry', 'Exit', 'Exit', 'Entry', 'Entry', 'Exit'];
    for (const kind of order) {
      await session.go(`undervisor/continueTo${kind}`);
      path.push(await state());
    }
    await session.go('stepIn', { granularity: 'instruction' });
    for (const [index, kind] of [...order.entries()].reverse()) {
      const stop = await session.go(`undervisor/backTo${kind}`);
      assert.deepEqual([stop.reason, stop.description], ['step', kind === 'Exit' ? 'VM exit' : 'VM entry']);
      assert.equal(await state(), path[index], `${index}: ${kind}`);
    }
  });

  it('goes to moments, instructions and bookmarks, and refuses others with the range', async () => {
    await session.launch({ program: sample() }, () => session.breakAt('guest!report_processor'));
    const { client } = session;
    await client.request('undervisor/setBookmark', { name: 'report' });
    const here = await state();
    const { end, instructions } = session.changed;
    await session.go('undervisor/continueToExit');
    for (const instruction of [0, 1, 12_345, instructions, instructions - 1]) {
      const stop = await session.goTo({ instruction });
      assert.equal(stop.reason, 'goto');
      assert.equal(session.machine.instructions, instruction);
    }
    await session.goTo({ moment: 1000 });
    assert.equal(session.machine.moment, 1000);
    assert.deepEqual(await session.bookmarks(), ['report (ahead)']);
    await client.request('undervisor/setBookmark', {});
    await session.goTo({ bookmark: 'report' });
    assert.equal(await state(), here);
    assert.deepEqual(await session.bookmarks(), ['bookmark 1', 'report']);
    const refused = async (where: object) => {
      const response = await client.response('undervisor/goTo', where);
      assert.equal(response.success, false);
      assert.equal(await state(), here);
      return response.message ?? '';
    };
    assert.match(
      await refused({ moment: 1e12 }),
      /moment 1000000000000 is not in the history, which goes from 0 to \d+/,
    );
    assert.match(await refused({ moment: -1 }), /goes from 0 to/);
    assert.match(await refused({ moment: 1.5 }), /goes from 0 to/);
    assert.match(await refused({ instruction: 1e12 }), /has not been executed: history ends at instruction \d+/);
    assert.match(await refused({ instruction: -3 }), /whole number/);
    assert.match(await refused({ event: 1e9 }), /there is no VM exit 1000000000: 0-based positions 0 to \d+/);
    assert.match(
      await refused({ bookmark: 'nowhere' }),
      /there is no bookmark "nowhere": there are "bookmark 1", "report"/,
    );
    assert.match(await refused({}), /needs one of/);
    assert.match(await refused({ moment: 1, instruction: 1 }), /needs one of/);
    await client.request('undervisor/removeBookmark', { name: 'bookmark 1' });
    assert.deepEqual(await session.bookmarks(), ['report']);
    assert.ok(end > 0);
  });

  it('begins a branch when the past is changed, and says so', async () => {
    await session.launch({ program: sample() }, () => session.breakOn('exit:EPT_VIOLATION'));
    await session.go('continue');
    const { client } = session;
    const exits = async () => (await client.request<ExitsResponse>('undervisor/exits', { start: 0, count: 0 })).total;
    const before = await exits();
    await client.request('undervisor/setBookmark', { name: 'lost' });
    await session.go('reverseContinue');
    const { moment, end } = session.changed;
    assert.ok(moment < end);
    const frameId = (await session.frames())[0]?.id;
    await client.request('evaluate', { expression: '$rax = 5', frameId, context: 'repl' });
    const body = (await client.event('undervisor/branched')).body as { moment: number; bookmarks: string[] };
    assert.deepEqual([body.moment, body.bookmarks], [moment, ['lost']]);
    assert.ok((await exits()) < before);
    assert.deepEqual(await session.bookmarks(), []);
    const said = client.events
      .filter(({ event }) => event === 'output')
      .map(({ body: output }) => (output as DebugProtocol.OutputEvent['body']).output);
    assert.ok(
      said.some((text) => /^Branch 1 begins at instruction \d+ .*Bookmarks that went with it: lost/.test(text)),
      said.join(''),
    );
    await session.go('next', { granularity: 'instruction' });
    assert.equal(session.changed.branch, 1);
    assert.equal(session.changed.past, false);
  });

  it('needs history', async () => {
    await session.launch({ program: sample(), history: false, stopOnEntry: true });
    const refused = await session.client.response('stepBack', { threadId: 1 });
    assert.match(refused.message ?? '', /needs history: launch with "history": true/);
    assert.ok(
      session.client.events.some(
        ({ event, body }) =>
          event === 'capabilities' &&
          (body as { capabilities: { supportsStepBack?: boolean } }).capabilities.supportsStepBack === false,
      ),
    );
  });
});
