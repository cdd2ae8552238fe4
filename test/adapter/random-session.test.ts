import assert from 'node:assert/strict';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { exceptionFilters } from '../../debug-adapter/breakpoints/exceptions';
import type { Machine } from '../../emulator/machine/api';
import { Client } from '../golden/client';

const program = path.resolve('samples/cloudvisor');
const OPERATIONS = 200;

/** xorshift32: the same sequence for the same seed */
function randomOf(seed: number): (below: number) => number {
  let state = seed || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Looking at a machine and stepping it must not change what it does: it ends in the state of a run without debugger. */
describe('a random session', () => {
  const seed = Number(process.env.SEED ?? Math.floor(performance.timeOrigin) % 1_000_000);

  async function session(tell: (client: Client) => Promise<void>): Promise<string> {
    let machine: Machine | undefined;
    const client = new Client({
      ...nodeEnvironment,
      createMachine: async (configuration) => (machine = await nodeEnvironment.createMachine(configuration)),
    });
    try {
      await client.request('initialize', {});
      await client.request('launch', { program, stopOnEntry: true });
      await client.request('configurationDone');
      await client.event('stopped');
      await tell(client);
      await client.request('setFunctionBreakpoints', { breakpoints: [] });
      await client.request('setExceptionBreakpoints', { filters: [] });
      if (!client.events.some(({ event }) => event === 'terminated')) {
        await client.request('continue', { threadId: 1 });
        await client.event('terminated');
      }
      return `${machine?.instructions} ${machine?.stateHash()}`;
    } finally {
      client.dispose();
    }
  }

  it(`leaves the machine as it would be without it (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const functions = ['vmm!vm_handle_exit', 'monitor!handle_exit', 'guest!secret_digest', 'monitor!page_set_owner'];
    const verbs = ['next', 'stepIn', 'stepOut', 'continue', 'undervisor/continueToExit', 'undervisor/continueToEntry'];

    const look = async (client: Client) => {
      const stack = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 });
      const frame = pick(stack.stackFrames);
      const { scopes } = await client.request<DebugProtocol.ScopesResponse['body']>('scopes', { frameId: frame.id });
      for (const { variablesReference } of scopes) await client.request('variables', { variablesReference, count: 20 });
      const memoryReference = frame.instructionPointerReference ?? '0x100000';
      await client.request('disassemble', { memoryReference, instructionOffset: -5, instructionCount: 10 });
      await client.request('readMemory', { memoryReference, offset: -random(5000), count: random(9000) });
      await client.request('undervisor/translate', { address: memoryReference });
      await client.response('evaluate', { expression: pick(['$rsp', 'vm', '*vm', 'round + 1']), frameId: frame.id });
    };

    const undisturbed = await session(() => Promise.resolve());
    const disturbed = await session(async (client) => {
      for (let count = 0; count < OPERATIONS; count++) {
        if (random(6) === 0) {
          const breakpoints = random(3) === 0 ? [] : [{ name: pick(functions), hitCondition: `${1 + random(20)}` }];
          await client.request('setFunctionBreakpoints', { breakpoints });
          const filters = random(2) === 0 ? [pick(exceptionFilters).filter] : [];
          await client.request('setExceptionBreakpoints', { filters });
        }
        if (random(3) === 0) await look(client);
        const granularity = pick(['instruction', 'line']);
        const verb = pick(verbs);
        const response = await client.response(verb, { threadId: 1, granularity });
        if (!response.success) {
          assert.match(response.message ?? '', /no caller/);
          continue;
        }
        // What may run to the end is paused, so that the session gets somewhere.
        if (verb === 'continue' || verb === 'stepOut') await client.request('pause', { threadId: 1 });
        if ((await client.event('stopped', 'terminated')).event === 'terminated') return;
      }
    });
    assert.equal(disturbed, undisturbed);
  }).timeout(300_000);
});
