import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The host processor as an oracle: native/runner.c executes single instructions in user mode. */

export const CODE_ADDRESS = 0x300000;
export const DATA_ADDRESS = 0x200000;
export const DATA_SIZE = 0x3000;
/** Bytes that a case fills and an outcome reports; they lie across a page boundary. */
export const WINDOW_SIZE = 512;
export const WINDOW_ADDRESS = DATA_ADDRESS + 0x1000 - WINDOW_SIZE / 2;

export interface NativeCase {
  readonly code: Uint8Array;
  readonly mode: 32 | 64;
  readonly gpr: readonly bigint[];
  readonly rflags: bigint;
  readonly memory: Uint8Array;
}

export interface NativeOutcome {
  readonly gpr: readonly bigint[];
  readonly rflags: bigint;
  /** Relative to the instruction */
  readonly rip: bigint;
  /** Signal number of the fault, 0 when the instruction completed */
  readonly signal: number;
  readonly memory: Uint8Array;
}

const CASE_SIZE = 16 + 8 + 16 * 8 + 8 + WINDOW_SIZE;
const OUTCOME_SIZE = 16 * 8 + 8 + 8 + 8 + WINDOW_SIZE;

/** Why the oracle cannot run here, or undefined when it can. */
export function unavailable(): string | undefined {
  if (process.arch !== 'x64' || process.platform !== 'linux') return 'needs Linux on x86-64';
  return spawnSync('gcc', ['--version']).status === 0 ? undefined : 'needs gcc';
}

let runner: string | undefined;

function build(): string {
  if (runner === undefined) {
    const source = ['test/isa/native/runner.c', path.join(__dirname, 'native/runner.c')].find((file) =>
      existsSync(file),
    );
    if (source === undefined) throw new Error('test/isa/native/runner.c not found; run the tests from the repository');
    runner = path.join(mkdtempSync(path.join(tmpdir(), 'undervisor-isa-')), 'runner');
    execFileSync('gcc', ['-O1', '-Wall', '-o', runner, source]);
  }
  return runner;
}

/** Executes all cases, in order. */
export function runNatively(cases: readonly NativeCase[]): NativeOutcome[] {
  const input = Buffer.alloc(cases.length * CASE_SIZE);
  cases.forEach((c, n) => {
    const at = n * CASE_SIZE;
    // What follows the instruction is never executed: one instruction is a step.
    input.fill(0xcc, at, at + 16);
    input.set(c.code, at);
    input.writeBigUInt64LE(BigInt(c.mode), at + 16);
    c.gpr.forEach((value, r) => input.writeBigUInt64LE(value, at + 24 + r * 8));
    input.writeBigUInt64LE(c.rflags, at + 24 + 128);
    input.set(c.memory, at + 24 + 136);
  });
  const result = spawnSync(build(), [], { input, maxBuffer: 1 << 30 });
  if (result.status !== 0) throw new Error(`runner failed: ${String(result.stderr)} ${String(result.signal)}`);
  const output = result.stdout;
  if (output.length !== cases.length * OUTCOME_SIZE) throw new Error(`runner answered ${output.length} bytes`);
  return cases.map((_, n) => {
    const at = n * OUTCOME_SIZE;
    const word = (i: number): bigint => output.readBigUInt64LE(at + i * 8);
    return {
      gpr: Array.from({ length: 16 }, (_, r) => word(r)),
      rflags: word(16),
      rip: word(17),
      signal: Number(word(18)),
      memory: new Uint8Array(output.subarray(at + 152, at + OUTCOME_SIZE)),
    };
  });
}
