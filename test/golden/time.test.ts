import type { ExitsResponse } from '../../debug-adapter/protocol/requests';
import { story, type Story } from './story';

/** Requests of our own are told to the client as a continuation; the stop comes behind. */
const back = (session: Story, command: string, args: { granularity?: string } = {}) => session.run(command, args);

async function goTo(session: Story, what: string, where: object): Promise<void> {
  const response = await session.client.response('undervisor/goTo', where);
  if (response.success) await session.stopped(`go to ${what}`);
  else session.say(`go to ${what} -> refused: ${response.message?.replaceAll(/\d{4,}/g, 'N')}`);
}

describe('moving in time', () => {
  story('step back by line and by instruction', async (session) => {
    await session.launch(() => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    for (let step = 0; step < 4; step++) await session.run('next');
    for (let step = 0; step < 2; step++) await back(session, 'stepBack');
    for (let step = 0; step < 2; step++) await back(session, 'stepBack', { granularity: 'instruction' });
    await back(session, 'undervisor/stepBackInto');
    await session.stack();
    await back(session, 'undervisor/stepBackOut');
    await session.scope('Locals');
    await session.run('next');
  });

  story('run backwards to breakpoints, exits and the start of history', async (session) => {
    await session.launch(async () => {
      await session.breakAt('vmm!vm_handle_exit', 'guest!report_processor');
      await session.breakOn('exit:EPT_VIOLATION');
    });
    await session.stopped('start');
    for (let stop = 0; stop < 4; stop++) await session.run('continue');
    for (let stop = 0; stop < 3; stop++) await back(session, 'reverseContinue');
    await session.breakAt();
    await session.breakOn();
    await back(session, 'reverseContinue');
    await back(session, 'stepBack');
    await session.breakAt('guest!report_processor');
    await session.run('continue');
  });

  story('to the previous VM exit and entry', async (session) => {
    await session.launch(() => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    for (const kind of ['Exit', 'Entry', 'Exit']) await session.run(`undervisor/continueTo${kind}`);
    for (const kind of ['Entry', 'Exit', 'Entry', 'Exit']) await back(session, `undervisor/backTo${kind}`);
    await session.stack();
  });

  story('to an exit, an instruction and a bookmark', async (session) => {
    await session.launch(() => session.breakOn('exit:CPUID'));
    await session.stopped('start');
    await session.request('undervisor/setBookmark', { name: 'first CPUID' });
    await session.breakOn();
    await session.run('undervisor/continueToEntry');
    const { rows } = (await session.request('undervisor/exits', { start: 0, count: 1 })) as ExitsResponse;
    await goTo(session, 'the first exit', { event: rows[0]?.event });
    await session.stack();
    await goTo(session, 'instruction 3', { instruction: 3 });
    await goTo(session, 'the bookmark', { bookmark: 'first CPUID' });
    await goTo(session, 'another bookmark', { bookmark: 'second' });
    await goTo(session, 'a moment that has not been', { moment: 10 ** 15 });
    await goTo(session, 'an exit that has not been', { event: 10 ** 9 });
    await goTo(session, 'nothing', {});
  });

  story('a changed past begins a branch', async (session) => {
    await session.launch(() => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    await session.run('next');
    await session.request('undervisor/setBookmark', { name: 'that will not be' });
    await back(session, 'stepBack');
    session.output();
    const frameId = (await session.frames())[0]?.id;
    await session.request('evaluate', { expression: '$rbx = 5', context: 'repl', frameId });
    session.output('important');
    session.say(`bookmarks: ${JSON.stringify(await session.request('undervisor/bookmarks', {}))}`);
    await session.run('stepIn');
  });
});
