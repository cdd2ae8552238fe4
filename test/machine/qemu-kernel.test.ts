import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildKernel32, runByGrub, runOnQemu } from './kernels';

const CLI = path.join(__dirname, '../../debug-adapter/edge/cli.js');

describe('a kernel made for other machines and loaders', () => {
  it('made for QEMU -kernel: finds the same multiboot information, fw-cfg and exit port here, and ends with the same status', async function () {
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

  it('finds the same multiboot 2 tags as by GRUB', async function () {
    this.timeout(120_000);
    const elf = await buildKernel32('tags');
    const folder = path.dirname(elf);
    writeFileSync(path.join(folder, 'a.txt'), 'first module');
    writeFileSync(path.join(folder, 'b.txt'), 'second\n');
    const modules = ['module2 /boot/a.txt first arg=1', 'module2 /boot/b.txt second'];
    const grub = runByGrub('tags.elf', ['multiboot2 /boot/tags.elf one two=3', ...modules], ['a.txt', 'b.txt']);
    assert.equal(grub.status, 1, grub.serial);
    assert.match(grub.serial, /eax=36d76289[^]*module second\|[^]*\.symtab[^]*root pointer 20445352/);
    const options = ['--append', 'one two=3', '--module', 'a.txt=first arg=1', '--module', 'b.txt=second', '--serial'];
    const here = spawnSync(process.execPath, [CLI, 'run', elf, ...options], { cwd: folder, encoding: 'latin1' });
    assert.equal(here.stdout, grub.serial);
    assert.equal(here.status, 0);
  });

  it('finds interrupt controllers, timers, clock and keyboard controller that answer the same', async function () {
    this.timeout(120_000);
    const elf = await buildKernel32('board');
    const qemu = runOnQemu(elf, ['-device', 'pc-testdev']);
    assert.equal(qemu.status, 1, qemu.serial);
    assert.match(
      qemu.serial,
      /acpi timer agrees[^]*alarm at 20 00 01 01 00 00[^]*hpet 8086a201[^]*interrupts=00000005/,
    );
    const here = spawnSync(process.execPath, [CLI, 'run', elf, '--serial'], { encoding: 'latin1' });
    assert.equal(here.stdout, qemu.serial);
    assert.equal(here.status, 0);
  });

  it('ends the machine by ACPI and by every reset line, with the same status', async function () {
    this.timeout(120_000);
    const elf = await buildKernel32('endings');
    for (const [way, outcome, code] of [
      ['o', 'power-off', 0],
      ['k', 'reset', 1],
      ['c', 'reset', 1],
      ['a', 'reset', 1],
    ] as const) {
      assert.equal(runOnQemu(elf, ['-append', way]).status, 0, way);
      const args = [CLI, 'run', elf, '--append', way, '--json'];
      const here = spawnSync(process.execPath, args, { encoding: 'utf8' });
      const end = JSON.parse(here.stdout.trim().split('\n').pop() ?? '') as { outcome: string };
      assert.deepEqual([end.outcome, here.status], [outcome, code], way);
      assert.equal(spawnSync(process.execPath, [...args, '--exit-status']).status, 0, way);
    }
  });

  it('ends a run that only sleeps: the timer goes on, but its interrupt reaches nobody', async function () {
    this.timeout(120_000);
    const elf = await buildKernel32('asleep');
    const here = spawnSync(process.execPath, [CLI, 'run', elf, '--serial', '--exit-status'], { encoding: 'utf8' });
    assert.equal(here.status, 4);
    assert.match(here.stderr, /Asleep for ever: timers run/);
  });
});
