import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Tpm } from '../../emulator/devices/tpm/tpm';

/** Commands of the TCP protocol of Microsoft's TPM simulator, which tpm2-tools speak with TCTI "mssim". */
const SEND_COMMAND = 8;
const SESSION_END = 20;
const POWER_ON = 1;
const POWER_OFF = 2;
const RESET = 17;

/** Puts a TPM behind two ports: commands on `port`, the platform's signals on the next one. */
export class SimulatorServer {
  private readonly servers: Server[] = [];
  port = 0;
  private powered = false;

  constructor(private readonly tpm: Tpm) {}

  async start(): Promise<void> {
    // Two neighbouring ports: the system picks the first, the second may be taken.
    for (let tries = 0; tries < 50; tries++) {
      const first = await this.listen(0, (socket) => this.commands(socket));
      const { port } = first.address() as AddressInfo;
      try {
        const second = await this.listen(port + 1, (socket) => this.platform(socket));
        this.servers.push(first, second);
        this.port = port;
        return;
      } catch {
        first.close();
      }
    }
    throw new Error('no two neighbouring TCP ports are free');
  }

  stop(): void {
    for (const server of this.servers) server.close();
  }

  private listen(port: number, onConnection: (socket: Socket) => void): Promise<Server> {
    return new Promise((resolve, reject) => {
      const server = createServer(onConnection);
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => resolve(server));
    });
  }

  private commands(socket: Socket): void {
    this.serve(socket, (bytes) => {
      if (bytes.length < 4) return 0;
      const code = bytes.readUInt32BE(0);
      if (code === SESSION_END) return this.end(socket, 4);
      if (code !== SEND_COMMAND) return this.end(socket, bytes.length);
      if (bytes.length < 9) return 0;
      const size = bytes.readUInt32BE(5);
      if (bytes.length < 9 + size) return 0;
      const response = this.tpm.execute(new Uint8Array(bytes.subarray(9, 9 + size)), bytes[4] ?? 0);
      const header = Buffer.alloc(4);
      header.writeUInt32BE(response.length);
      socket.write(Buffer.concat([header, response, Buffer.alloc(4)]));
      return 9 + size;
    });
  }

  private platform(socket: Socket): void {
    this.serve(socket, (bytes) => {
      if (bytes.length < 4) return 0;
      const code = bytes.readUInt32BE(0);
      if (code === SESSION_END) return this.end(socket, 4);
      // Every connection of tpm2-tools switches the power on: only the first time is a reset.
      if (code === RESET || (code === POWER_ON && !this.powered)) this.tpm.reset();
      this.powered = code === POWER_ON || (this.powered && code !== POWER_OFF);
      socket.write(Buffer.alloc(4));
      return 4;
    });
  }

  private end(socket: Socket, used: number): number {
    socket.end();
    return used;
  }

  /** Calls `take` while it uses bytes of what has arrived. */
  private serve(socket: Socket, take: (bytes: Buffer) => number): void {
    let waiting = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      for (let used = take(waiting); used > 0; used = take(waiting)) waiting = waiting.subarray(used);
    });
  }
}
