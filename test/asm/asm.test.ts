import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DiskConfiguration, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';

/** scripts/asm-test.mjs and scripts/toolchain.mjs, which have no types */
interface AsmTools {
  buildAsmTest(name: string, out: string, tool: unknown): string;
  expectedOutput(name: string, elf: string): { judge: string; output: string };
  processorsOf(name: string): number;
  devicesOf(name: string): Devices;
  disksOf(devices: Devices): readonly DiskConfiguration[];
}
interface Devices {
  disk: 'ide' | 'virtio' | undefined;
  iommu: boolean;
}
interface Toolchain {
  pickToolchain(): unknown;
}

const script = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(path.resolve('scripts', name)).href)) as T;

const LIMIT = 50_000_000;

/** So low that most of a test is translated */
const LOW_THRESHOLD = 200;
/** Several processors wait in loops that cannot be translated, and are looked at each time that they seem hot. */
const LOW_THRESHOLD_WAITING = 5000;

/** Turns from one instruction to longer than most of what a test does */
const QUANTA = [1, 100, 10_000];

interface Run {
  readonly output: string;
  readonly end: unknown;
  readonly hash: string;
  /** What strict mode told */
  readonly stale: readonly string[];
}

type Parts = Pick<MachineConfiguration, 'processors' | 'quantum' | 'disks' | 'iommu'>;

function runHere(elf: string, translator: boolean, parts: Parts, strictTranslation = false): Run {
  const kernel = { name: path.basename(elf), bytes: new Uint8Array(readFileSync(elf)) };
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: [],
    commandLine: '',
    translator,
    translatorThreshold: parts.processors === 1 ? LOW_THRESHOLD : LOW_THRESHOLD_WAITING,
    strictTranslation,
    ...parts,
  });
  const stale: string[] = [];
  machine.addTaps({
    staleTranslation: ({ rip, invalidation }) => stale.push(`0x${rip.toString(16)}: ${invalidation}`),
  });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(LIMIT);
  return { output: Buffer.from(bytes).toString('latin1'), end, hash: machine.stateHash(), stale };
}

/** How many stale translations a test uses on purpose: it says so in its heading, "stale uses: 5". */
function staleUsesOf(file: string): number {
  const heading = readFileSync(path.resolve('test/asm', file), 'utf8').split('#include', 1)[0] ?? '';
  return Number(/stale uses: (\d+)/.exec(heading)?.[1] ?? 0);
}

describe('assembly tests: system behaviour, as QEMU and the manual have it', function () {
  this.timeout(120_000);
  const out = path.resolve('.cache/asm');
  let tools: AsmTools;
  let tool: unknown;

  before(async () => {
    tools = await script<AsmTools>('asm-test.mjs');
    tool = (await script<Toolchain>('toolchain.mjs')).pickToolchain();
  });

  const sources = readdirSync(path.resolve('test/asm')).filter((file) => /\.[Sc]$/.test(file) && file !== 'harness.S');
  for (const file of sources) {
    const { name } = path.parse(file);
    it(name, () => {
      const elf = tools.buildAsmTest(name, out, tool);
      const { output: expected } = tools.expectedOutput(name, elf);
      const processors = tools.processorsOf(name);
      const devices = tools.devicesOf(name);
      const parts = { disks: tools.disksOf(devices), iommu: devices.iommu };
      for (const quantum of processors > 1 ? QUANTA : [1]) {
        const runs = [false, true].map((translator) => runHere(elf, translator, { processors, quantum, ...parts }));
        for (const [index, { output, end }] of runs.entries()) {
          const how = `${index === 1 ? 'translated' : 'interpreted'}, in turns of ${quantum}`;
          assert.equal(output, expected, how);
          assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, how);
        }
        assert.equal(runs[0]?.hash, runs[1]?.hash, `the same machine, translated or not, in turns of ${quantum}`);
        if (quantum !== QUANTA.at(-1) && processors > 1) continue;
        const strict = runHere(elf, false, { processors, quantum, ...parts }, true);
        assert.equal(strict.hash, runs[0]?.hash, 'the same machine in strict mode');
        assert.equal(strict.stale.length, staleUsesOf(file), `stale translations:\n${strict.stale.join('\n')}`);
      }
    });
  }
});
