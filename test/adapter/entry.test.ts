import assert from 'node:assert/strict';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { Client } from '../golden/client';

const program = path.resolve('samples/cloudvisor');

describe('stopOnEntry', () => {
  async function entry(stopOnEntry: boolean | string, more: object = {}) {
    const client = new Client(nodeEnvironment);
    try {
      await client.request('initialize', {});
      await client.request('launch', { program, stopOnEntry, ...more });
      await client.request('configurationDone');
      const event = await client.event('stopped', 'terminated');
      const body = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
      const output = client.events
        .filter((sent) => sent.event === 'output')
        .map((sent) => (sent.body as DebugProtocol.OutputEvent['body']).output)
        .join('');
      const { reason } = (event.body ?? {}) as { reason?: string };
      return { reason, top: body.stackFrames[0], output };
    } finally {
      client.dispose();
    }
  }

  it('true: before the first instruction', async () => {
    const { reason, top } = await entry(true);
    assert.equal(reason, 'entry');
    assert.equal(top?.name, 'vmm!boot_entry');
    assert.equal(top?.source?.path, path.join(program, 'vmm/boot.S'));
  });

  it('a function: at its first arrival, in its layer', async () => {
    const { reason, top } = await entry('guest!guest_main');
    assert.equal(reason, 'entry');
    assert.match(top?.source?.path ?? '', /samples[/\\]cloudvisor[/\\]/);
    assert.match(top?.instructionPointerReference ?? '', /^linear@\d+:0xffffffffc/);
  }).timeout(60_000);

  it('a VM exit: at the first one of that reason', async () => {
    const any = await entry('exit:any');
    assert.equal(any.reason, 'exception');
    assert.match(any.top?.name ?? '', /^monitor!/);
    const violation = await entry('exit:EPT_VIOLATION', { noDebug: false });
    assert.equal(violation.reason, 'exception');
    assert.match(violation.top?.name ?? '', /^monitor!/);
  }).timeout(60_000);

  it('a VM exit that does not exist: says so, and stops at the first instruction', async () => {
    const { top, output } = await entry('exit:NOTHING');
    assert.equal(top?.name, 'vmm!boot_entry');
    assert.match(output, /no image has a function "exit:NOTHING"/);
  });

  it('a function that is not there: says so, and stops at the first instruction', async () => {
    const { reason, top, output } = await entry('no_such_function');
    assert.equal(reason, 'entry');
    assert.equal(top?.name, 'vmm!boot_entry');
    assert.match(output, /no image has a function "no_such_function"/);
  });

  it('false: runs to the end', async () => {
    assert.equal((await entry(false)).reason, undefined);
  }).timeout(60_000);

  it('does not stop a launch without debugging', async () => {
    const { reason, output } = await entry(true, { noDebug: true });
    assert.equal(reason, undefined);
    assert.match(output, /secret intact/);
  }).timeout(60_000);
});
