import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkAlone, checkAloneWithDisk, checkAttacks, checkMonitored } from './story';

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
  runBochs(options: { program: string; modules?: Module[]; disk?: string }): Promise<Run>;
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

  async function run(modules: Module[], program: string, disk?: string): Promise<string | undefined> {
    if (missing !== undefined) {
      assert.ok(!process.env.CI, `Bochs cannot run here, ${missing}`);
      console.log(`      not run, ${missing}`);
      return undefined;
    }
    const { serial, log, finished } = await bochs.runBochs({
      program: elf(program),
      modules,
      ...(disk === undefined ? {} : { disk }),
    });
    assert.ok(finished, `no end was seen:\n${serial}\n${log.slice(-2000)}`);
    return serial;
  }

  const stories: readonly [string, string, readonly string[], (serial: string) => void][] = [
    ['without the monitor the VMM reads and changes the secret', 'vmm', ['guest'], checkAlone],
    ['with the monitor it sees ciphertext and is refused', 'vmm', ['guest', 'monitor'], checkMonitored],
    ['defeats every attack of a hostile VMM', 'attacks', ['guest', 'monitor'], checkAttacks],
  ];
  for (const [title, program, modules, check] of stories) {
    it(title, async () => {
      const serial = await run(modules.map(asModule), program);
      if (serial !== undefined) check(serial);
    });
  }

  it('reaches the disk by DMA, to swap and to copy the secret out', async () => {
    const serial = await run([asModule('guest')], 'vmm', path.join(root, 'samples/cloudvisor/build/disk.img'));
    if (serial !== undefined) checkAloneWithDisk(serial);
  });
});
