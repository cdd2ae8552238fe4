// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/samples/machine.test.js
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { checkAlone, checkAttacks, checkMonitored } from './story';

const image = (name: string) => ({
  name,
  bytes: new Uint8Array(readFileSync(path.resolve('samples/cloudvisor/build', `${name}.elf`))),
  commandLine: name,
});

/** Serial output of a run on our machine, which must end with the guest's success. */
function serialOf(program: string, modules: readonly string[], translator: boolean, strict = false): string {
  const kernel = { ...image(program), commandLine: '' };
  const machine = createMachine({
    memory: 64,
    kernel,
    modules: modules.map(image),
    commandLine: '',
    translator,
    strictTranslation: strict,
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
    checkMonitored(serialOf('vmm', ['guest', 'monitor'], false, true));
    checkAttacks(serialOf('attacks', ['guest', 'monitor'], false, true));
  });

  for (const translator of [false, true]) {
    const how = translator ? 'translated' : 'interpreted';
    it(`without the monitor the VMM reads and changes the secret (${how})`, () =>
      checkAlone(serialOf('vmm', ['guest'], translator)));
    it(`with the monitor it sees ciphertext and is refused (${how})`, () =>
      checkMonitored(serialOf('vmm', ['guest', 'monitor'], translator)));
    it(`defeats every attack of a hostile VMM (${how})`, () =>
      checkAttacks(serialOf('attacks', ['guest', 'monitor'], translator)));
  }
});
