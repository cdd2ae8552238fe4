import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Tpm } from '../../emulator/devices/tpm/tpm';
import { SimulatorServer } from './simulator-server';

export interface Result {
  readonly code: number;
  readonly out: string;
}

/** A TPM of ours behind the simulator's protocol, and Debian's tpm2-tools in front of it, in a folder of their own. */
export class Bench {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'undervisor-tpm-'));
  readonly tpm: Tpm;
  private readonly server: SimulatorServer;
  /** Virtual milliseconds; a test moves it */
  time = 0;

  constructor(seed: string) {
    this.tpm = new Tpm({ seed, milliseconds: () => this.time });
    this.server = new SimulatorServer(this.tpm);
  }

  async start(): Promise<this> {
    await this.server.start();
    await this.run('startup -c');
    return this;
  }

  stop(): void {
    this.server.stop();
    rmSync(this.folder, { recursive: true });
    if (this.tpm.failureCause) throw this.tpm.failureCause as Error;
  }

  /** Runs tpm2_COMMAND; it must succeed. Transient objects are flushed after it, as a resource manager does. */
  async run(line: string): Promise<string> {
    const { code, out } = await this.attempt(line);
    if (code !== 0) throw new Error(`tpm2_${line}: ${code}\n${out}`);
    return out;
  }

  async attempt(line: string): Promise<Result> {
    const [command = '', ...args] = line.split(' ');
    const result = await this.execute(command, args);
    await this.execute('flushcontext', ['-t']);
    return result;
  }

  write(file: string, bytes: string | Uint8Array): void {
    writeFileSync(path.join(this.folder, file), bytes);
  }

  read(file: string): Buffer {
    return readFileSync(path.join(this.folder, file));
  }

  private execute(command: string, args: readonly string[]): Promise<Result> {
    const env = { ...process.env, TPM2TOOLS_TCTI: `mssim:host=127.0.0.1,port=${this.server.port}` };
    return new Promise((resolve) => {
      execFile(`tpm2_${command}`, args, { cwd: this.folder, env, timeout: 60_000 }, (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
        resolve({ code, out: `${stdout}${stderr}` });
      });
    });
  }
}
