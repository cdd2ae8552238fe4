import type { Readable, Writable } from 'node:stream';
import { frame, MessageReader } from '../protocol/framing';
import { DebugSession } from '../session/debug-session';
import type { Environment } from '../session/environment';

/** Runs one session over a pair of streams. Resolves when the client disconnected or the input ended. */
export function serve(input: Readable, output: Writable, environment: Environment): Promise<void> {
  return new Promise((resolve) => {
    const session = new DebugSession(environment, (message) => void output.write(frame(message)), resolve);
    const reader = new MessageReader({
      message: (value) => session.receive(value),
      malformed: (reason) => session.router.malformed(reason),
    });
    const end = () => {
      session.dispose();
      resolve();
    };
    input.on('data', (chunk: Uint8Array) => reader.push(chunk));
    input.on('end', end);
    input.on('error', end);
    // A client that closed its end while we write is gone, not an error.
    output.on('error', end);
  });
}
