import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { createMachine } from '../../emulator/machine/machine';

/** scripts/samples.mjs and scripts/toolchain.mjs, which have no types */
interface Samples {
  readonly buildSample: (folder: string, tool: unknown) => string[];
}
interface Toolchain {
  readonly pickToolchain: () => unknown;
}

const script = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(path.resolve('scripts', name)).href)) as T;
const wrap = (value: bigint): bigint => BigInt.asUintN(64, value);
const hex = (value: bigint): string => wrap(value).toString(16).padStart(16, '0');

/** Checksums of one repetition, computed by other means than the kernels' C. */
const expected: Readonly<Record<string, () => bigint>> = {
  alu: () => {
    let x = 0x9e3779b97f4a7c15n;
    let sum = 0n;
    for (let i = 0; i < 100_000; i++) {
      x = wrap(x ^ (x << 13n));
      x ^= x >> 7n;
      x = wrap(x ^ (x << 17n));
      sum = x & 1n ? wrap(sum + x * 0x2545f4914f6cdd1dn) : wrap((sum << 11n) | (sum >> 53n)) ^ x;
    }
    return sum;
  },
  // ackermann(2, n) = 2n + 3, ackermann(1, 5) = 7; four repetitions, of which the index is added
  recursion: () => [0n, 1n, 2n, 3n].reduce((sum, r) => sum + 183n + (r & 7n), 0n),
  quicksort: () => {
    let x = 12345;
    let sum = 0n;
    for (let r = 0; r < 2; r++) {
      const values = Uint32Array.from({ length: 4096 }, () => (x = (Math.imul(x, 1664525) + 1013904223) >>> 0)).sort();
      sum += BigInt(values[0]!) ^ BigInt(values[2048]!) ^ (BigInt(values[4095]!) << 20n);
    }
    return sum;
  },
  // There are 303 primes below 2000.
  bytecode: () => 303n,
  matrix: () => {
    let cell = 0n;
    for (let k = 0; k < 64; k++) cell += BigInt(k) * BigInt(k ^ (32 * 7));
    return cell;
  },
  vmexit: () => (1000n * 999n) / 2n,
};

describe('benchmark image', function () {
  this.timeout(120_000);
  let elf = '';

  before(async () => {
    const { buildSample } = await script<Samples>('samples.mjs');
    const tool = (await script<Toolchain>('toolchain.mjs')).pickToolchain();
    elf = buildSample(path.resolve('samples/bench'), tool)[0]!;
  });

  const run = (commandLine: string, translator: boolean): Map<string, string> => {
    const kernel = { name: 'bench.elf', bytes: new Uint8Array(readFileSync(elf)) };
    const machine = createMachine({
      memory: 64,
      kernel,
      modules: [],
      commandLine,
      translator,
      translatorThreshold: 10_000,
    });
    let text = '';
    machine.onSerial((byte) => (text += String.fromCharCode(byte)));
    assert.deepEqual(machine.run(1e9), { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
    return new Map([...text.matchAll(/^end (\w+) ([0-9a-f]+)$/gm)].map((match) => [match[1]!, match[2]!]));
  };

  it('computes what it should, interpreted, translated, and as a guest under EPT', () => {
    const plain = run('repeat=1', false);
    assert.deepEqual([...plain.keys()], ['alu', 'copy', 'recursion', 'sha256', 'quicksort', 'bytecode', 'matrix']);
    const guest = run('repeat=1 ept', false);
    for (const [name, checksum] of Object.entries(expected)) assert.equal(guest.get(name), hex(checksum()), name);
    for (const [name, checksum] of plain) assert.equal(guest.get(name), checksum, name);
    assert.deepEqual(run('repeat=1', true), plain);
    assert.deepEqual(run('repeat=1 ept', true), guest);
  });

  it('runs only the kernels that are named', () => {
    assert.deepEqual([...run('matrix repeat=2 alu', false).keys()], ['alu', 'matrix']);
  });
});
