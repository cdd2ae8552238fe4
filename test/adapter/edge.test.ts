import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import { serve } from '../../debug-adapter/edge/serve';
import { listen } from '../../debug-adapter/edge/tcp';
import { frame, MessageReader } from '../../debug-adapter/protocol/framing';

/** Waits for the n-th message that comes out of a stream. */
function responses(stream: NodeJS.ReadableStream): (count: number) => Promise<DebugProtocol.Response[]> {
  const got: DebugProtocol.Response[] = [];
  let check: () => void = () => undefined;
  const reader = new MessageReader({
    message: (message) => {
      got.push(message as DebugProtocol.Response);
      check();
    },
    malformed: (reason) => assert.fail(reason),
  });
  stream.on('data', (chunk: Uint8Array) => reader.push(chunk));
  return (count) =>
    new Promise((resolve) => {
      check = () => {
        if (got.length >= count) resolve(got);
      };
      check();
    });
}

const request = (seq: number, command: string, args?: unknown) =>
  frame({ seq, type: 'request', command, arguments: args });

describe('streams', () => {
  it('carry a session, over garbage, until the client disconnects', async () => {
    const input = new PassThrough();
    const output = new PassThrough();
    const ended = serve(input, output, nodeEnvironment);
    const answers = responses(output);
    input.write(request(1, 'initialize', {}));
    input.write('Content-Length: 3\r\n\r\n{{{');
    input.write('Rubbish: 1\r\n\r\n');
    input.write(request(2, 'launch', { program: '/nowhere/at/all.elf' }));
    input.write(request(3, 'threads'));
    input.write(request(4, 'disconnect'));
    const got = await answers(6);
    await ended;
    assert.deepEqual(got.map(({ request_seq, success }) => [request_seq, success]).sort(), [
      [0, false],
      [0, false],
      [1, true],
      [2, false],
      [3, false],
      [4, true],
    ]);
    const launch = got.find(({ request_seq }) => request_seq === 2);
    assert.equal(launch?.message, 'cannot read /nowhere/at/all.elf: there is no such file');
  });

  it('end the session when the input ends', async () => {
    const input = new PassThrough();
    const ended = serve(input, new PassThrough(), nodeEnvironment);
    input.end();
    await ended;
  });

  it('serve several clients over TCP, each with a session of its own', async () => {
    const server = await listen(0, nodeEnvironment);
    const sockets: Duplex[] = [];
    try {
      for (let client = 0; client < 3; client++) {
        const socket = connect(server.port, '127.0.0.1');
        sockets.push(socket);
        const answers = responses(socket);
        socket.write(request(client + 10, 'initialize', {}));
        const [first] = await answers(1);
        assert.equal(first?.request_seq, client + 10);
        assert.equal(first?.success, true);
      }
    } finally {
      for (const socket of sockets) socket.destroy();
      server.close();
    }
  });
});
