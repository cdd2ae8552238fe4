// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/engine/lockstep.test.js
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Machine } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';

const SEED = Number(process.env['SEED'] ?? 4711);
const image = (file: string) => ({ name: file, bytes: new Uint8Array(readFileSync(path.resolve('samples', file))) });

interface Program {
  readonly kernel: string;
  readonly modules: readonly string[];
  readonly commandLine: string;
}
const stack: Program = {
  kernel: 'cloudvisor/build/vmm.elf',
  modules: ['cloudvisor/build/monitor.elf', 'cloudvisor/build/guest.elf'],
  commandLine: '',
};
const kernels: Program = { kernel: 'bench/build/bench.elf', modules: [], commandLine: 'repeat=2' };

function machine(program: Program, translatorThreshold: number | undefined): Machine {
  return createMachine({
    memory: 64,
    kernel: image(program.kernel),
    modules: program.modules.map((file) => {
      const name = path.basename(file, '.elf');
      return { ...image(file), name, commandLine: name };
    }),
    commandLine: program.commandLine,
    translator: translatorThreshold !== undefined,
    ...(translatorThreshold !== undefined && { translatorThreshold }),
  });
}

/** Lengths of runs: from single instructions to some hundred thousand, in an order that SEED repeats. */
function* lengths(): Generator<number, never> {
  let state = SEED;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const bits = 1 + (state >>> 28);
    yield 1 + ((state >>> 4) % 2 ** (bits + 3));
  }
}

describe('translator in lockstep with the interpreter', function () {
  this.timeout(300_000);

  for (const [name, program] of Object.entries({ 'the three-layer stack': stack, 'the bench kernels': kernels })) {
    it(`gives the same machine at every stop in ${name} (SEED=${SEED})`, () => {
      const machines = [undefined, 300_000, 200].map((threshold) => machine(program, threshold));
      const next = lengths();
      for (let stop = 0; ; stop++) {
        const length = next.next().value;
        const results = machines.map((m) => m.run(length));
        for (const result of results) assert.deepEqual(result, results[0]);
        const counts = machines.map((m) => m.instructions);
        assert.deepEqual(new Set(counts).size, 1, `instruction counts ${counts.join(', ')} at stop ${stop}`);
        const registers = machines.map((m) =>
          m.vcpus[0]!.registers.names().map((register) => [register, m.vcpus[0]!.registers.read(register)]),
        );
        for (const other of registers) assert.deepEqual(other, registers[0], `registers at ${counts[0]}`);
        const ended = results[0]!.why !== 'limit';
        if (ended || stop % 200 === 0) {
          const hashes = machines.map((m) => m.stateHash());
          for (const hash of hashes) assert.equal(hash, hashes[0], `state at ${counts[0]}`);
        }
        if (!ended) continue;
        assert.deepEqual(results[0], { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
        break;
      }
      const [off, , eager] = machines.map((m) => m.statistics);
      assert.equal(off!.translated, 0);
      assert.ok(eager!.translated > eager!.interpreted / 4, `eager: only ${eager!.translated} translated`);
    });
  }
});
