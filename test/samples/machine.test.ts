// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/samples/machine.test.js
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { memorySource } from '../../emulator/devices/storage/block-source';
import {
  checkAlone,
  checkAloneWithDisk,
  checkAttacks,
  checkAttacksWithDisk,
  checkMonitored,
  checkMonitoredWithDisk,
} from './story';

const image = (name: string) => ({
  name,
  bytes: new Uint8Array(readFileSync(path.resolve('samples/cloudvisor/build', `${name}.elf`))),
  commandLine: name,
});

const disk = () => ({
  name: 'disk.img',
  interface: 'ide' as const,
  source: memorySource(new Uint8Array(readFileSync(path.resolve('samples/cloudvisor/build/disk.img')))),
});

interface How {
  readonly translator: boolean;
  readonly strict?: boolean;
  /** A disk, and an IOMMU in front of it */
  readonly withDisk?: boolean;
}

/** Serial output of a run on our machine, which must end with the guest's success. */
function serialOf(program: string, modules: readonly string[], how: How): string {
  const { translator, strict = false, withDisk = false } = how;
  const kernel = { ...image(program), commandLine: '' };
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: modules.map(image),
    commandLine: '',
    translator,
    strictTranslation: strict,
    iommu: withDisk,
    disks: withDisk ? [disk()] : [],
  });
  machine.addTaps({ staleTranslation: (use) => assert.fail(`at ${use.rip}: missing ${use.invalidation}`) });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const result = machine.run(1_000_000_000);
  const serial = Buffer.from(bytes).toString('latin1');
  assert.deepStrictEqual(result, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, serial);
  return serial;
}

describe('samples: the stack on our machine', function () {
  this.timeout(240_000);

  it('uses no stale translation: strict mode says nothing', () => {
    const strict = { translator: false, strict: true };
    checkMonitored(serialOf('vmm', ['guest', 'monitor'], strict));
    checkAttacksWithDisk(serialOf('attacks', ['guest', 'monitor'], { ...strict, withDisk: true }));
  });

  for (const translator of [false, true]) {
    const how = translator ? 'translated' : 'interpreted';
    it(`without the monitor the VMM reads and changes the secret (${how})`, () =>
      checkAlone(serialOf('vmm', ['guest'], { translator })));
    it(`with the monitor it sees ciphertext and is refused (${how})`, () =>
      checkMonitored(serialOf('vmm', ['guest', 'monitor'], { translator })));
    it(`defeats every attack of a hostile VMM (${how})`, () =>
      checkAttacks(serialOf('attacks', ['guest', 'monitor'], { translator })));
    it(`holds devices back by the IOMMU (${how})`, () => {
      checkAloneWithDisk(serialOf('vmm', ['guest'], { translator, withDisk: true }));
      checkMonitoredWithDisk(serialOf('vmm', ['guest', 'monitor'], { translator, withDisk: true }));
      checkAttacksWithDisk(serialOf('attacks', ['guest', 'monitor'], { translator, withDisk: true }));
    });
  }
});
