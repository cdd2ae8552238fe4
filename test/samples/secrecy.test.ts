// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/samples/secrecy.test.js
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { memorySource } from '../../emulator/devices/storage/block-source';
import { parseElf } from '../../emulator/machine/elf';
import { createMachine } from '../../emulator/machine/machine';
import { finish } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { parsePolicy } from '../../emulator/watch/isolation/policy';
import { resolvePolicy } from '../../emulator/watch/isolation/resolve';
import { PolicyWatch } from '../../emulator/watch/policy-watch';
import { checkAttacksWithDisk, checkMonitoredWithDisk } from './story';

const FOLDER = process.env['SAMPLE'] ?? 'samples/cloudvisor';
const bytesOf = (file: string): Uint8Array => new Uint8Array(readFileSync(path.resolve(FOLDER, 'build', file)));

/** The sample with its policy and secrecy on, before its first instruction. */
function start(program: string, secrecy = true) {
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
  const watch = new PolicyWatch(machine, resolvePolicy(policy, images), { report: () => undefined });
  const serial: number[] = [];
  machine.onSerial((byte) => serial.push(byte));
  return { machine, watch, serial };
}

function run(program: string, secrecy = true) {
  const { machine, watch, serial } = start(program, secrecy);
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

  it('knows the same of every byte and register after going back', () => {
    const { machine, watch } = start('vmm');
    const { secrecy } = watch;
    assert.ok(secrecy);
    const { tracking } = secrecy;
    const timeline = createTimeline(machine, { recording: true });
    const known = () => ({
      bytes: tracking.secretBytes,
      registers: Array.from({ length: 16 }, (_, register) => tracking.registerBits(register)),
      runner: tracking.runner(0),
      hash: machine.stateHash(),
    });
    const seen = new Map<number, ReturnType<typeof known>>();
    for (let at = 1_500_000; at < 6_000_000; at += 373_373) {
      while (timeline.now < at) timeline.run(at - timeline.now, false, undefined, at);
      seen.set(timeline.now, known());
    }
    assert.ok(
      [...seen.values()].some(({ registers }) => registers.some((bits) => bits !== 0n)),
      'no register was secret',
    );
    for (const [moment, was] of [...seen].reverse()) {
      finish(timeline.seek(moment));
      assert.deepStrictEqual(known(), was, `moment ${moment}`);
    }
    assert.deepStrictEqual(watch.findings, []);
  });
});
