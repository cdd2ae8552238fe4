import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Environment } from '../session/environment';
import { serve } from './serve';

/** Serves a session to each client on 127.0.0.1. Resolves with the port (0 = any was asked for) once it listens. */
export function listen(port: number, environment: Environment): Promise<{ port: number; close: () => void }> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.setNoDelay(true);
      void serve(socket, socket, environment).then(() => socket.end());
    });
    server.on('error', reject);
    server.listen(port, '127.0.0.1', () => {
      resolve({ port: (server.address() as AddressInfo).port, close: () => server.close() });
    });
  });
}
