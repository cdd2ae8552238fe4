import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Outcome } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { keelImage, type KeelVariant } from './keel-images';

interface BochsRunner {
  bochsMissing(): string | undefined;
  runBochs(options: { program: string; seconds: number }): Promise<{ serial: string; log: string; finished: boolean }>;
}

const LONGEST_RUN = 100_000_000;

function runHere(file: string, translator: boolean): { serial: string; outcome: Outcome; hash: string } {
  const machine = createMachine({
    memory: 64,
    kernel: { name: path.basename(file), bytes: readFileSync(file) },
    modules: [],
    commandLine: '',
    translator,
    translatorThreshold: 4,
  });
  let serial = '';
  machine.onSerial((byte) => (serial += String.fromCharCode(byte)));
  const result = machine.run(LONGEST_RUN);
  assert.equal(result.why, 'ended', serial);
  const { outcome } = result as { outcome: Outcome };
  return { serial, outcome, hash: machine.stateHash() };
}

/** What paging allows, in the qualification of an EPT violation: Bochs has no advanced information (IA32_VMX_EPT_VPID_CAP). */
const withoutAdvanced = (qualification: string): string => (parseInt(qualification, 16) & ~0xe00).toString(16);

/** What depends on the features of a processor begins with "only". */
const comparable = (serial: string): string[] =>
  serial
    .replaceAll('\r', '')
    .replaceAll(/exit 48 q ([0-9a-f]+)/g, (_all, q: string) => `exit 48 q ${withoutAdvanced(q)}`)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('only '));

/** Keel (test/foreign/keel) shares nothing with the samples: its code meets what ours does not use. */
describe('a hypervisor of another make: the machine', function () {
  this.timeout(120_000);
  const serials = new Map<KeelVariant, string>();

  for (const variant of ['low', 'plain', 'bare', 'high'] as const) {
    it(`runs ${variant} to its end, interpreted and translated alike`, async () => {
      const image = await keelImage(variant);
      const interpreted = runHere(image, false);
      const translated = runHere(image, true);
      assert.deepEqual(interpreted.outcome, { kind: 'exit-port', code: 0 }, interpreted.serial);
      assert.equal(translated.serial, interpreted.serial);
      assert.equal(translated.hash, interpreted.hash);
      serials.set(variant, interpreted.serial);
    });
  }

  it('lets each of the three guests compute what the manual says', () => {
    const serial = serials.get('low') ?? '';
    // Event injection returns to the interrupted instruction; each of the three interrupts came once.
    assert.match(serial, /^long says 1 2 3 1$/m);
    assert.match(serial, /^real says 12345678 12345678 12345678 a5 a5 905 85 c03 7b 34$/m);
    assert.match(serial, /^real says 1 2 10 cafe 10$/m);
    assert.match(serial, /^prot says 1b 8 0 1b 10 23 6b65656c$/m);
    assert.match(serial, /^long \d+: exit 48 q 79c gpa 3003000 gla 3003000/m);
    assert.match(serial, /^refused: VMCS link pointer 0x1234: exit 80000021 q 4$/m);
    // The monitor trap flag steps over one instruction.
    assert.equal(serial.match(/^only long \d+: exit 37/gm)?.length, 4);
  });

  for (const variant of ['low', 'plain', 'high'] as const) {
    it(`and tells of ${variant} what Bochs tells`, async () => {
      const runner = path.resolve('test/samples/bochs.mjs');
      const bochs = (await import(pathToFileURL(runner).href)) as BochsRunner;
      const missing = bochs.bochsMissing();
      if (missing !== undefined) {
        assert.ok(!process.env.CI, `Bochs cannot run here, ${missing}`);
        console.log(`      not run, ${missing}`);
        return;
      }
      const { serial, log, finished } = await bochs.runBochs({ program: await keelImage(variant), seconds: 60 });
      assert.ok(finished, `no end was seen:\n${serial}\n${log.slice(-2000)}`);
      assert.deepEqual(comparable(serials.get(variant) ?? ''), comparable(serial));
    });
  }
});
