import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { createMachine } from '../../emulator/machine/machine';

/** scripts/asm-test.mjs and scripts/toolchain.mjs, which have no types */
interface AsmTools {
  buildAsmTest(name: string, out: string, tool: unknown): string;
  expectedOutput(name: string, elf: string): { judge: string; output: string };
}
interface Toolchain {
  pickToolchain(): unknown;
}

const script = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(path.resolve('scripts', name)).href)) as T;

const LIMIT = 50_000_000;

/** So low that most of a test is translated */
const LOW_THRESHOLD = 200;

function runHere(elf: string, translator: boolean): { output: string; end: unknown } {
  const kernel = { name: path.basename(elf), bytes: new Uint8Array(readFileSync(elf)) };
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: [],
    commandLine: '',
    translator,
    translatorThreshold: LOW_THRESHOLD,
  });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(LIMIT);
  return { output: Buffer.from(bytes).toString('latin1'), end };
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

  const sources = readdirSync(path.resolve('test/asm')).filter((file) => file.endsWith('.S') && file !== 'harness.S');
  for (const name of sources.map((file) => path.basename(file, '.S'))) {
    it(name, () => {
      const elf = tools.buildAsmTest(name, out, tool);
      const { output: expected } = tools.expectedOutput(name, elf);
      for (const translator of [false, true]) {
        const { output, end } = runHere(elf, translator);
        assert.equal(output, expected, translator ? 'translated' : 'interpreted');
        assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
      }
    });
  }
});
