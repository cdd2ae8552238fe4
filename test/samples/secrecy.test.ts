// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/samples/secrecy.test.js
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { memorySource } from '../../emulator/devices/storage/block-source';
import { parseElf } from '../../emulator/machine/elf';
import { createMachine } from '../../emulator/machine/machine';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { IsolationWatch } from '../../emulator/watch/isolation-watch';
import { checkAttacksWithDisk, checkMonitoredWithDisk } from './story';

const FOLDER = process.env['SAMPLE'] ?? 'samples/cloudvisor';
const bytesOf = (file: string): Uint8Array => new Uint8Array(readFileSync(path.resolve(FOLDER, 'build', file)));

/** The sample with its policy and secrecy on. */
function run(program: string, secrecy = true) {
  const names = program === 'chain' ? ['monitor', 'guest', 'vmm'] : ['guest', 'monitor'];
  const machine = createMachine({
    memory: 64,
    kernel: { name: program, bytes: bytesOf(`${program}.elf`), commandLine: '' },
    modules: names.map((name) => ({
      name,
      bytes: bytesOf(`${name}.elf`),
      commandLine: name === 'vmm' ? 'hypervisor' : name,
    })),
    commandLine: '',
    translator: true,
    iommu: true,
    disks: [{ name: 'disk.img', interface: 'ide', source: memorySource(bytesOf('disk.img')) }],
  });
  const given = JSON.parse(readFileSync(path.resolve('samples/cloudvisor/isolation.json'), 'utf8')) as object;
  const policy = parsePolicy({ ...given, secrecy, severity: 'report' });
  const images = [program, ...names].map((name) => ({
    layer: name === program ? 'vmm' : name,
    elf: parseElf(bytesOf(`${name}.elf`), name),
  }));
  const watch = new IsolationWatch(machine, resolvePolicy(policy, images), { report: () => undefined });
  const serial: number[] = [];
  machine.onSerial((byte) => serial.push(byte));
  const begun = process.hrtime.bigint();
  const result = machine.run(1_000_000_000);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  return { machine, watch, result, seconds, serial: Buffer.from(serial).toString('latin1') };
}

describe('samples: no secret gets out', function () {
  this.timeout(600_000);

  for (const [program, check] of [
    ['vmm', checkMonitoredWithDisk],
    ['attacks', checkAttacksWithDisk],
    ['chain', checkMonitoredWithDisk],
  ] as const) {
    it(`${program}: silent with its policy, and the run is the same`, () => {
      const { machine, watch, result, serial, seconds } = run(program);
      assert.deepStrictEqual(result, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, serial);
      check(serial);
      for (const { title, path: way } of watch.findings)
        console.log(
          title,
          ...way.map(({ what, address, rip }) => `\n  ${what} ${address?.toString(16)} ${rip?.toString(16)}`),
        );
      assert.deepStrictEqual(watch.findings, []);
      const without = run(program, false);
      assert.equal(machine.stateHash(), without.machine.stateHash());
      const { tracked } = machine.statistics as unknown as { tracked: number };
      console.log(
        `      ${seconds.toFixed(1)} s instead of ${without.seconds.toFixed(1)} s; ${tracked} instructions followed`,
      );
      assert.ok(tracked > 0);
    });
  }
});
