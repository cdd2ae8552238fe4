import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { BootImage, DiskConfiguration, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { buildProgram } from '../conformance/tools';
import { keelImage } from '../foreign/keel-images';
import { WrittenBytes } from './written-bytes';

/** scripts/asm-test.mjs and scripts/toolchain.mjs, which have no types */
interface AsmTools {
  buildAsmTest(name: string, out: string, tool: unknown): string;
  processorsOf(name: string): number;
  devicesOf(name: string): { disk: 'ide' | 'virtio' | undefined; iommu: boolean };
  disksOf(devices: unknown): readonly DiskConfiguration[];
}
interface Toolchain {
  pickToolchain(): unknown;
}
const script = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(path.resolve('scripts', name)).href)) as T;

const LIMIT = 200_000_000;
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

function* random(seed: number): Generator<number, never> {
  for (let x = seed | 1; ;) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    yield (x >>> 0) / 2 ** 32;
  }
}

const imageOf = (file: string, commandLine = ''): BootImage => ({
  name: path.basename(file),
  bytes: new Uint8Array(readFileSync(file)),
  commandLine,
});

type Parts = Partial<MachineConfiguration>;

/** Runs a program to its end, and looks at all of RAM `looks` times on the way, at random places. */
function judge(kernel: string, parts: Parts, free: boolean, looks: number): number {
  const configuration = {
    memory: 64,
    kernel: imageOf(kernel),
    modules: [],
    commandLine: '',
    translator: true,
    translatorThreshold: 200,
    ...parts,
  };
  // How long it lasts decides about the distance between two looks.
  const whole = createMachine(configuration);
  whole.run(LIMIT);
  const machine = createMachine(configuration);
  const written = new WrittenBytes(machine, free);
  const numbers = random(SEED);
  for (let ended = false; !ended;) {
    const slice = 1 + Math.floor((numbers.next().value * 2 * whole.instructions) / looks);
    const result = machine.run(slice);
    ended = result.why !== 'limit' || machine.instructions >= LIMIT;
    written.check(`${path.basename(kernel)} at instruction ${machine.instructions}, seed ${SEED}`);
  }
  assert.equal(machine.instructions, whole.instructions);
  assert.equal(machine.stateHash(), whole.stateHash(), 'watching changes nothing');
  return written.changes;
}

describe('announcements of writes: no byte of RAM changes silently', function () {
  this.timeout(600_000);
  const samples = path.resolve('samples/cloudvisor/build');

  for (const free of [true, false]) {
    const how = free ? 'with free ways for generated code' : 'with every store announced';
    it(`in the sample, ${how}`, () => {
      const module = (name: string): BootImage => imageOf(path.join(samples, `${name}.elf`), name);
      const modules = [module('guest'), module('monitor')];
      assert.ok(judge(path.join(samples, 'vmm.elf'), { modules }, free, 150) > 100_000);
      assert.ok(judge(path.join(samples, 'attacks.elf'), { modules }, free, 60) > 100_000);
    });

    it(`in a hypervisor of another make, ${how}`, async () => {
      for (const variant of ['low', 'plain', 'high'] as const)
        assert.ok(judge(await keelImage(variant), {}, free, 200) > 1000);
    });

    it(`in the cases of VM exits and controls, ${how}`, async () => {
      const program = await buildProgram(
        'test/conformance/programs',
        path.resolve('.cache/conformance'),
        'conformance',
      );
      assert.ok(judge(program, { tpm: true }, free, 150) > 10_000);
    });

    it(`in programs with devices, tasks and several processors, ${how}`, async () => {
      const tools = await script<AsmTools>('asm-test.mjs');
      const tool = (await script<Toolchain>('toolchain.mjs')).pickToolchain();
      const sources = readdirSync(path.resolve('test/asm')).filter((file) => /\.[Sc]$/.test(file));
      for (const { name } of sources.map((file) => path.parse(file))) {
        if (name === 'harness') continue;
        const elf = tools.buildAsmTest(name, path.resolve('.cache/asm'), tool);
        const { iommu, ...devices } = tools.devicesOf(name);
        const parts = { processors: tools.processorsOf(name), disks: tools.disksOf(devices), iommu, quantum: 1000 };
        judge(elf, parts, free, 12);
      }
    });
  }
});
