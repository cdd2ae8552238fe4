import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildKernel32, runOnQemu } from './kernels';

const CLI = path.join(__dirname, '../../debug-adapter/edge/cli.js');

describe('a kernel made for QEMU -kernel', () => {
  it('finds the same multiboot information, fw-cfg and exit port here, and ends with the same status', async function () {
    this.timeout(120_000);
    const elf = await buildKernel32('multiboot');
    const folder = path.dirname(elf);
    writeFileSync(path.join(folder, 'a.txt'), 'first module\n and what is not printed of it');
    writeFileSync(path.join(folder, 'b.txt'), 'second\n');
    const qemu = runOnQemu(elf, ['-append', 'one two=3', '-initrd', 'a.txt arg=1,b.txt']);
    assert.equal(qemu.status, 0x15 * 2 + 1, qemu.serial);
    assert.match(qemu.serial, /command line:one two=3\|/);
    const modules = ['--module', 'a.txt=a.txt arg=1', '--module', 'b.txt'];
    const args = ['run', elf, '--append', 'one two=3', ...modules, '--serial', '--exit-status'];
    const here = spawnSync(process.execPath, [CLI, ...args], { cwd: folder, encoding: 'latin1' });
    assert.equal(here.stderr, '');
    assert.equal(here.stdout, qemu.serial);
    assert.equal(here.status, qemu.status);
  });
});
