import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { secretDigest } from './secret';

interface Run {
  serial: string;
  log: string;
  finished: boolean;
}
interface Module {
  file: string;
  name: string;
}
interface BochsRunner {
  bochsMissing(): string | undefined;
  runBochs(options: { program: string; modules?: Module[] }): Promise<Run>;
}

const root = process.cwd();
const elf = (name: string) => path.join(root, 'samples/cloudvisor/build', `${name}.elf`);
const asModule = (name: string): Module => ({ file: elf(name), name });

/** The stack on Bochs, an emulator that nobody here wrote. Where Bochs is not installed, only that is said; in CI it is a failure. */
describe('samples: the stack on Bochs', function () {
  this.timeout(240_000);
  let bochs: BochsRunner;
  let missing: string | undefined;
  before(async () => {
    bochs = (await import(pathToFileURL(path.join(root, 'test/samples/bochs.mjs')).href)) as BochsRunner;
    missing = bochs.bochsMissing();
    const built = spawnSync(process.execPath, ['scripts/samples.mjs', 'samples/cloudvisor'], { encoding: 'utf8' });
    assert.strictEqual(built.status, 0, built.stderr);
  });

  async function run(modules: Module[], program = 'vmm'): Promise<string | undefined> {
    if (missing !== undefined) {
      assert.ok(!process.env.CI, `Bochs cannot run here, ${missing}`);
      console.log(`      not run, ${missing}`);
      return undefined;
    }
    const { serial, log, finished } = await bochs.runBochs({ program: elf(program), modules });
    assert.ok(finished, `no end was seen:\n${serial}\n${log.slice(-2000)}`);
    assert.match(serial, /machine ends with status 0/);
    return serial;
  }

  it('without the monitor the VMM reads and changes the secret', async () => {
    const serial = await run([asModule('guest')]);
    if (serial === undefined) return;
    assert.match(serial, /adversary: page [0-9a-f]+ of the guest reads "SECRET of the guest/);
    assert.match(serial, /write to page [0-9a-f]+ of the guest succeeded/);
    assert.match(serial, /\[guest\] secret damaged/);
    assert.doesNotMatch(serial, /monitor/);
  });

  it('with the monitor it sees ciphertext, its write is refused, and the guest proves its secret', async () => {
    const serial = await run([asModule('guest'), asModule('monitor')]);
    if (serial === undefined) return;
    assert.doesNotMatch(serial, /reads "SECRET/);
    assert.match(serial, /adversary: interrupted guest has RIP 0, RSP 0, RAX 0, RBX 0/);
    assert.match(serial, /write to page [0-9a-f]+ of the guest was refused by the machine/);
    assert.match(serial, /the changed page was not accepted/);
    assert.match(serial, /\[monitor\] vm 1: entry refused, the VMM changed field 681a\n\[vmm\] VM entry refused/);
    const proof = /\[guest\] secret intact: ([0-9a-f]+)/.exec(serial);
    assert.strictEqual(proof?.[1], secretDigest().toString(16));
  });

  it('defeats every attack of a hostile VMM', async () => {
    const serial = await run([asModule('guest'), asModule('monitor')], 'attacks');
    if (serial === undefined) return;
    const attacks = serial.match(/attack: .*/g) ?? [];
    const kinds = [
      "monitor's memory",
      "guest's VMCS",
      'changed RIP',
      'MSR list',
      'second VCPU',
      'wrong execution mode',
    ];
    for (const kind of [...kinds, 'two addresses', 'another guest', 'page of the monitor', 'old version']) {
      assert.ok(
        attacks.some((line) => line.includes(kind)),
        `no attack by ${kind} was run`,
      );
    }
    assert.deepStrictEqual(
      attacks.filter((line) => !line.endsWith(': defeated')),
      [],
    );
    assert.match(serial, /\[guest\] secret intact/);
  });
});
