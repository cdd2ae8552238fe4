import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { PagesResponse } from '../../debug-adapter/protocol/requests';
import { Client } from '../golden/client';
import { KEEL_SOURCES, keelImage, type KeelVariant } from './keel-images';

type Frames = DebugProtocol.StackFrame[];
type Stop = DebugProtocol.StoppedEvent['body'];

const sourceOf = (file: string): string => path.join(KEEL_SOURCES, file);

function lineOf(file: string, text: string): number {
  const lines = readFileSync(sourceOf(file), 'utf8').split('\n');
  const line = lines.findIndex((content) => content.includes(text)) + 1;
  assert.ok(line > 0, `${file} has no "${text}"`);
  return line;
}

/** A session on a hypervisor that the debugger was not made with: no description file, no frame information in assembly. */
class KeelSession {
  readonly client = new Client(nodeEnvironment);

  async launch(variant: KeelVariant, prepare: () => Promise<unknown>, more: object = {}): Promise<void> {
    await this.client.request('initialize', { adapterID: 'undervisor' });
    await this.client.request('launch', { program: await keelImage(variant), ...more });
    await this.client.event('initialized');
    await prepare();
    await this.client.request('configurationDone');
  }

  filters = (...filters: string[]) => this.client.request('setExceptionBreakpoints', { filters });

  async functions(...breakpoints: { name: string; condition?: string }[]): Promise<void> {
    const body = await this.client.request<DebugProtocol.SetFunctionBreakpointsResponse['body']>(
      'setFunctionBreakpoints',
      { breakpoints },
    );
    assert.ok(
      body.breakpoints.every(({ verified }) => verified),
      JSON.stringify(body),
    );
  }

  async stopped(): Promise<Stop> {
    const event = await this.client.event('stopped', 'terminated');
    assert.equal(event.event, 'stopped');
    return event.body as Stop;
  }

  async go(command: string, more: object = {}): Promise<Stop> {
    await this.client.request(command, { threadId: 1, ...more });
    return await this.stopped();
  }

  async frames(): Promise<Frames> {
    const body = await this.client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
    return body.stackFrames;
  }

  /** Function names, and labels as "---" */
  async names(): Promise<string[]> {
    return (await this.frames()).map(({ name, presentationHint }) =>
      presentationHint === 'label' ? '---' : name.replace(/^.*!/, ''),
    );
  }

  async evaluate(expression: string): Promise<string> {
    const frameId = (await this.frames())[0]?.id;
    const body = await this.client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', { expression, frameId });
    return body.result;
  }

  async top(): Promise<DebugProtocol.StackFrame> {
    const [top] = await this.frames();
    assert.ok(top);
    return top;
  }
}

describe('a hypervisor of another make: the debugger', function () {
  this.timeout(60_000);
  let session: KeelSession;
  beforeEach(() => (session = new KeelSession()));
  afterEach(() => session.client.dispose());

  it('names the rule, field and value of each refused VM entry', async () => {
    await session.launch('low', () => session.filters('entry:failed'));
    const said: string[] = [];
    for (let i = 0; i < 12; i++) {
      const { text } = await session.stopped();
      const info = await session.client.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', {
        threadId: 1,
      });
      assert.match(info.description ?? '', /\b2[5-8]\.\d/, 'the section of the manual is missing');
      said.push(text ?? '');
      await session.client.request('continue', { threadId: 1 });
    }
    assert.match(said[0] ?? '', /GUEST_RFLAGS = 0x0/);
    assert.match(said[1] ?? '', /GUEST_CS_ACCESS_RIGHTS = 0xa01b/);
    assert.match(said[4] ?? '', /GUEST_CR4 = 0xa0/);
    assert.match(said[6] ?? '', /VMCS_LINK_POINTER = 0x1234/);
  });

  for (const variant of ['low', 'high'] as const) {
    it(`shows the whole stack of ${variant} at a VM exit, through assembly without frame information`, async () => {
      await session.launch(variant, async () => {
        await session.filters();
        await session.functions({ name: 'repair' });
      });
      await session.stopped();
      const frames = await session.frames();
      const label = frames.findIndex(({ presentationHint }) => presentationHint === 'label');
      assert.match(frames[label]?.name ?? '', /EPT violation \(48\).*read of 0x3001000/);
      assert.ok(frames.slice(label).some(({ name }) => name.endsWith('!yard')));
      assert.equal(await session.evaluate('g->kind'), 'GUEST_LONG');
      assert.equal(await session.evaluate('g->ept->yard[2] & 7'), '1');
      assert.match(await session.evaluate('g->name'), /"long"$/);

      const { description } = await session.go('undervisor/continueToExit');
      assert.equal(description, 'VM exit');
      const names = await session.names();
      assert.deepEqual(names.slice(0, 3), ['vt_go', 'guest_run', 'keel_main']);
      assert.ok(names.indexOf('---') > 2 && names.includes('long_guest'));

      await session.functions();
      await session.go('stepOut');
      assert.equal((await session.names())[0], 'guest_run');
      await session.go('undervisor/continueToEntry');
      const entered = await session.names();
      assert.ok(entered.includes('long_guest'));
      assert.deepEqual(entered.slice(entered.indexOf('---') + 1).slice(0, 3), ['vt_go', 'guest_run', 'keel_main']);
    });
  }

  it('shows callers and steps out in an image without symbols and debug information', async () => {
    await session.launch('bare', () => session.filters(), { stopOnEntry: true });
    assert.equal((await session.stopped()).reason, 'entry');
    await session.go('undervisor/continueToExit');
    const before = await session.frames();
    const host = before.findIndex(({ presentationHint }) => presentationHint === 'label');
    assert.ok(host >= 2, 'no caller is known');
    await session.go('stepOut');
    const after = await session.top();
    assert.equal(after.instructionPointerReference, before[1]?.instructionPointerReference);
  });

  it('stops at lines with conditions, and at lines set while it runs', async () => {
    await session.launch('plain', async () => {
      await session.filters();
      await session.client.request('setBreakpoints', {
        source: { path: sourceOf('exits.c') },
        breakpoints: [{ line: lineOf('exits.c', 'word reason = (word)vmcs_get(0x4402);'), condition: 'g->kind == 2' }],
      });
    });
    await session.stopped();
    assert.match(await session.evaluate('g->name'), /"prot"$/);
    await session.client.request('setBreakpoints', { source: { path: sourceOf('exits.c') }, breakpoints: [] });
    await session.client.request('continue', { threadId: 1 });
    const changed = await session.client.request<DebugProtocol.SetBreakpointsResponse['body']>('setBreakpoints', {
      source: { path: sourceOf('print.c') },
      breakpoints: [{ line: lineOf('print.c', 'machine ends with status') }],
    });
    assert.equal(changed.breakpoints[0]?.verified, true);
    assert.equal((await session.stopped()).reason, 'breakpoint');
    assert.equal((await session.top()).source?.name, 'print.c');
  });

  it('reads and disassembles where the guest runs, exactly as many rows as asked for', async () => {
    await session.launch('high', async () => {
      await session.filters();
      await session.functions({ name: 'long_guest' });
    });
    await session.stopped();
    const { instructionPointerReference: reference } = await session.top();
    assert.match(reference ?? '', /0xffffffff80/);
    const body = await session.client.request<DebugProtocol.DisassembleResponse['body']>('disassemble', {
      memoryReference: reference,
      instructionOffset: -7,
      instructionCount: 20,
    });
    const instructions = body?.instructions ?? [];
    assert.equal(instructions.length, 20);
    const bytes = (instructions[7]?.instructionBytes ?? '').replaceAll(' ', '');
    const memory = await session.client.request<DebugProtocol.ReadMemoryResponse['body']>('readMemory', {
      memoryReference: reference,
      count: bytes.length / 2,
    });
    assert.equal(Buffer.from(memory?.data ?? '', 'base64').toString('hex'), bytes);
  });

  it("shows what the hypervisor's own probe announces", async () => {
    await session.launch('low', async () => {
      await session.filters();
      await session.functions({ name: 'control_register' }, { name: 'guest_prepare', condition: 'g->kind == 1' });
    });
    while (!/"real"$/.test(await session.stopped().then(() => session.evaluate('guests[0].finished ? "real" : ""')))) {
      await session.client.request('continue', { threadId: 1 });
    }
    const pages = await session.client.request<PagesResponse>('undervisor/pages', { start: 0, count: 10 });
    const places = pages.rows.map(({ decision, hpa }) => `${decision} ${hpa}`);
    assert.deepEqual(places, [
      'owner 0x3001000',
      'owner 0x3002000',
      'owner 0x3003000',
      'owner 0x3004000',
      'owner 0x3005000',
    ]);
  });
});
