import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export async function appears(file: string): Promise<void> {
  for (let tries = 0; tries < 400 && !existsSync(file); tries++) await new Promise((done) => setTimeout(done, 25));
  if (!existsSync(file)) throw new Error(`${file} did not appear`);
}

const RETRY = 0x922;

/** Debian's swtpm with fresh state; commands go to it as plain bytes. */
export class SwTpm {
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'undervisor-swtpm-'));
  private child: ChildProcess | undefined;
  private socket: Socket | undefined;
  private received = Buffer.alloc(0);
  private waiting: (() => void) | undefined;

  async start(): Promise<this> {
    const data = path.join(this.folder, 'data');
    const control = path.join(this.folder, 'control');
    const ends = ['--server', `type=unixio,path=${data}`, '--ctrl', `type=unixio,path=${control}`];
    const state = ['--tpm2', '--tpmstate', `dir=${this.folder}`, '--flags', 'not-need-init'];
    this.child = spawn('swtpm', ['socket', ...state, ...ends], { stdio: 'ignore' });
    await appears(data);
    const socket = connect(data);
    this.socket = socket;
    socket.on('data', (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.waiting?.();
    });
    socket.on('close', () => this.waiting?.());
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return this;
  }

  /** It asks for a repetition when it first has to note in NV memory that a dictionary attack is possible. */
  async execute(command: Uint8Array): Promise<Uint8Array> {
    for (;;) {
      const response = await this.once(command);
      if (Buffer.from(response).readUInt32BE(6) !== RETRY) return response;
    }
  }

  private async once(command: Uint8Array): Promise<Uint8Array> {
    const { socket } = this;
    if (!socket) throw new Error('swtpm was not started');
    socket.write(command);
    for (;;) {
      const { received } = this;
      if (received.length >= 6 && received.length >= received.readUInt32BE(2)) {
        const size = received.readUInt32BE(2);
        this.received = received.subarray(size);
        return new Uint8Array(received.subarray(0, size));
      }
      if (socket.destroyed) throw new Error('swtpm closed the connection');
      await this.news(command);
    }
  }

  private news(command: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new Error(`swtpm does not answer ${Buffer.from(command).toString('hex')}`));
      const timer = setTimeout(late, 10_000);
      this.waiting = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  stop(): void {
    this.socket?.destroy();
    this.child?.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
