import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { DebugSession } from '../../debug-adapter/session/debug-session';
import { elfImage } from '../machine/elf-image';
import { StillMachine } from './still-machine';

const AT = 0x10_0000;
const COUNT = 3000;

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

/** A session with a machine that stands at its first instruction and, when it is told to run, stays there. */
function launchedSession(): { session: DebugSession; sent: DebugProtocol.ProtocolMessage[] } {
  const image = elfImage({ entry: AT, segments: [{ vaddr: AT, paddr: AT, bytes: new Uint8Array(64).fill(0x90) }] });
  const sent: DebugProtocol.ProtocolMessage[] = [];
  const session = new DebugSession(
    {
      files: {
        read: () => Promise.resolve(image),
        kind: (path) => Promise.resolve(path.endsWith('.elf') ? 'file' : 'absent'),
        absolute: (path) => path,
      },
      createMachine: () => {
        const machine = new StillMachine([undefined]);
        machine.contexts[0]?.put(BigInt(AT), new Uint8Array(64).fill(0x90));
        machine.contexts[0]?.values.set('rip', BigInt(AT));
        machine.run = (limit) => {
          machine.instructions += limit;
          return { why: 'limit' };
        };
        return machine;
      },
    },
    (message) => sent.push(message),
  );
  return { session, sent };
}

describe('malformed requests', () => {
  const seed = Number(process.env.SEED ?? 20261123);

  it(`are each answered once and leave the session alive (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const { session, sent } = launchedSession();
    const commands = [...Object.keys(session.routes()), 'nonsense', '', '__proto__', 'toString'].filter(
      // Ends the session; has a test of its own.
      (command) => command !== 'disconnect',
    );
    const strings = [
      '',
      '0x',
      'linear@0:0x100000',
      '0xffffffffffffffff',
      'host-physical:0x0',
      '$rip',
      '{',
      '\u0000',
      'x'.repeat(9999),
    ];
    const numbers = [0, 1, -1, 1.5, 2 ** 31, -(2 ** 53), 1e308, 7];
    const value = (depth: number): unknown => {
      const kind = random(depth > 2 ? 5 : 7);
      if (kind === 0) return strings[random(strings.length)];
      if (kind === 1) return numbers[random(numbers.length)];
      if (kind === 2) return random(2) === 1;
      if (kind === 3) return null;
      if (kind === 4) return undefined;
      if (kind === 5) return Array.from({ length: random(3) }, () => value(depth + 1));
      return {
        [String(strings[random(strings.length)])]: value(depth + 1),
        line: value(depth + 1),
        name: value(depth + 1),
      };
    };

    session.receive({ seq: 1, type: 'request', command: 'launch', arguments: { program: 'a.elf', history: false } });
    let seq = 2;
    for (; seq < COUNT; seq++) {
      const command = commands[random(commands.length)] ?? '';
      const shape = session.routes()[command]?.shape ?? {};
      const args: Record<string, unknown> = {};
      for (const [name, kind] of Object.entries(shape)) {
        // Mostly of the right kind, so that the handlers see the nonsense.
        if (random(8) === 0) args[name] = value(0);
        else if (kind.startsWith('number')) args[name] = numbers[random(numbers.length)];
        else if (kind.startsWith('string')) args[name] = strings[random(strings.length)];
        else if (kind.startsWith('array')) args[name] = [value(0), value(0)];
        else if (kind.startsWith('object')) args[name] = { path: value(1), name: value(1) };
      }
      session.receive({ seq, type: 'request', command, arguments: args });
    }
    const alive = () =>
      sent.some((message) => message.type === 'response' && (message as DebugProtocol.Response).request_seq === seq);
    session.receive({ seq, type: 'request', command: 'threads' });
    while (!alive()) await new Promise<void>((done) => setImmediate(done));
    session.dispose();

    const answered = new Map<number, number>();
    for (const message of sent) {
      if (message.type !== 'response') continue;
      const response = message as DebugProtocol.Response;
      answered.set(response.request_seq, (answered.get(response.request_seq) ?? 0) + 1);
      const id = (response.body as { error?: { id: number } } | undefined)?.error?.id;
      assert.notEqual(id, 3000, `${response.command}: an error that nobody foresaw: ${response.message}`);
    }
    for (let n = 1; n <= seq; n++) assert.equal(answered.get(n), 1, `request ${n}`);
  });
});
