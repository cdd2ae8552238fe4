import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { ExitsBetweenResponse, QuestionAnswer } from '../../debug-adapter/protocol/requests';
import { story, type Story } from './story';

type Info = DebugProtocol.DataBreakpointInfoResponse['body'];

async function info(session: Story, args: Partial<DebugProtocol.DataBreakpointInfoArguments>): Promise<Info> {
  const body = (await session.request('dataBreakpointInfo', args)) as Info;
  session.say(`data breakpoint on ${args.name}: ${body.description}${body.dataId === null ? ': cannot be set' : ''}`);
  return body;
}

async function watch(session: Story, breakpoints: DebugProtocol.DataBreakpoint[]): Promise<void> {
  const body = (await session.request('setDataBreakpoints', {
    breakpoints,
  })) as DebugProtocol.SetDataBreakpointsResponse['body'];
  session.say(
    `${body.breakpoints.map(({ verified, message }) => `${verified ? 'set' : 'not set'}: ${message}`).join('; ') || 'none'}`,
  );
}

/** What the console answers, without moments: they change with the compiler. */
async function ask(session: Story, line: string, layer = ''): Promise<string> {
  const frames = (await session.frames()).filter(({ name }) => name.startsWith(layer));
  const response = await session.client.response('evaluate', {
    expression: line,
    context: 'repl',
    frameId: frames[0]?.id,
  });
  const { result } = (response.body ?? {}) as { result?: string };
  const text = (response.success ? result : `error: ${response.message}`) ?? '';
  session.say(`${line}\n  ${text.replaceAll(/moment \d+/g, 'moment N').replaceAll('\n', '\n  ')}`);
  return text;
}

const frameId = async (session: Story): Promise<number> => (await session.frames())[0]?.id ?? 0;

describe('data breakpoints', () => {
  story('on a variable of the guest, with its value before and after', async (session) => {
    await session.launch(() => session.breakAt('guest!interrupts_init'));
    await session.stopped('start');
    await session.breakAt();
    const ticks = await info(session, { name: 'timer_ticks', frameId: await frameId(session) });
    await watch(session, [{ dataId: ticks.dataId ?? '', accessType: 'write' }]);
    await session.run('continue');
    await session.run('continue');
    await session.stack();
    await session.run('reverseContinue');
    await watch(session, [{ dataId: ticks.dataId ?? '', accessType: 'write', condition: 'timer_ticks == 4' }]);
    await session.run('continue');
    await watch(session, [{ dataId: ticks.dataId ?? '', accessType: 'read', hitCondition: '3' }]);
    await session.run('continue');
  });

  story('on the stack pointer of a VMCS, on a register, and on nothing', async (session) => {
    await session.launch(() => session.breakAt('guest!report_processor'));
    await session.stopped('start');
    await session.breakAt();
    const { scopes } = (await session.request('scopes', {
      frameId: await frameId(session),
    })) as DebugProtocol.ScopesResponse['body'];
    const vmcs = scopes.find(({ name }) => name.startsWith('VMCS'));
    const groups = await session.children(vmcs?.variablesReference ?? 0);
    const guest = groups.find(({ name }) => name === 'Guest state')?.variablesReference ?? 0;
    const field = (await session.children(guest)).find(({ type }) => type?.startsWith('GUEST_RSP:'));
    const rsp = await info(session, { variablesReference: guest, name: field?.name ?? '' });
    const registers = scopes.find(({ name }) => name === 'Registers')?.variablesReference ?? 0;
    await info(session, { variablesReference: registers, name: 'rax' });
    await info(session, { name: '1 + 2', frameId: await frameId(session) });
    await info(session, { name: 'host-physical:0x5000', asAddress: true, bytes: 16 });
    await info(session, { name: '0x5000', asAddress: true, bytes: 0 });
    await watch(session, [{ dataId: rsp.dataId ?? '', accessType: 'write' }, { dataId: 'nonsense' }]);
    await session.run('continue');
    await session.stack();
  });
});

describe('questions', () => {
  story('who last wrote', async (session) => {
    await session.launch(() => session.breakAt('guest!wait_for_tick'));
    await session.stopped('start');
    await session.breakAt();
    await session.breakOn('exit:HLT');
    await session.run('continue');
    await session.run('continue');
    await ask(session, '.who timer_ticks', 'guest!');
    await ask(session, '.who rsp');
    await ask(session, '.who $cr3');
    await ask(session, '.who pte 0xffffffffc0000000', 'guest!');
    await ask(session, '.who ept 0x0', 'guest!');
    await ask(session, '.who vmcs GUEST_RIP');
    await ask(session, '.who vmcs EXIT_REASON');
    await ask(session, '.who vmcs HOST_RIP');
    await ask(session, '.who idt[0]', 'monitor!');
    await ask(session, '.who host-physical:0x0 1');
    await ask(session, '.who');
    await ask(session, '.who nobody');
    await ask(session, '.what');
    await ask(session, '.help');
  });

  story('when a condition was last true, and there again', async (session) => {
    await session.launch(() => session.breakAt('guest!wait_for_tick'));
    await session.stopped('start');
    await session.breakAt();
    await ask(session, '.when timer_ticks > 3');
    const answer = await ask(session, '.when timer_ticks == 1');
    await ask(session, '.when timer_ticks == 77');
    await ask(session, '.when timer_ticks ==');
    const moment = /moment (\d+)/.exec(answer)?.[1];
    assert.ok(moment);
    const stopped = session.client.event('stopped');
    const here = (await session.request('evaluate', { expression: `.goto ${moment}`, context: 'repl' })) as {
      result: string;
    };
    await stopped;
    session.say(here.result.replace(/\d+/, 'N'));
    await session.evaluate('timer_ticks');
    const back = (await session.request('undervisor/lastTrue', {
      condition: 'timer_ticks == 0',
      frameId: await frameId(session),
    })) as QuestionAnswer;
    session.say(back.text.replaceAll(/moment \d+/g, 'moment N'));
    const { rows, total } = (await session.request('undervisor/exitsBetween', {
      from: back.moment,
      to: Number(moment),
    })) as ExitsBetweenResponse;
    assert.equal(rows.length, total);
    session.say(
      `VM exits between: ${[...new Set(rows.map(({ layer, name }) => `${layer}: ${name}`))].sort().join(', ')}`,
    );
    await ask(session, '.owner 0x0');
    await ask(session, '.exits 5 4');
  });
});
