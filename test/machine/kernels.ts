import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** scripts/toolchain.mjs, which has no types */
interface Tools {
  readonly ASSEMBLY_FLAGS: readonly string[];
  readonly pickToolchain: () => { readonly cc: readonly string[]; readonly ld: readonly string[] };
  readonly runTool: (tool: readonly string[], args: readonly string[], cwd: string) => void;
}

const SOURCES = path.resolve('test/machine/kernels');
const OUT = path.resolve('.cache/kernels');

/** Assembles test/machine/kernels/NAME.S for 32-bit mode and links it at 1 MiB; returns the ELF file. */
export async function buildKernel32(name: string): Promise<string> {
  const script = pathToFileURL(path.resolve('scripts/toolchain.mjs')).href;
  const { ASSEMBLY_FLAGS, pickToolchain, runTool } = (await import(script)) as Tools;
  const tool = pickToolchain();
  mkdirSync(OUT, { recursive: true });
  const [object, elf] = [path.join(OUT, `${name}.o`), path.join(OUT, `${name}.elf`)];
  runTool(tool.cc, [...ASSEMBLY_FLAGS, '-m32', '-c', '-o', object, `${name}.S`], SOURCES);
  runTool(tool.ld, ['-m', 'elf_i386', '-T', 'kernel32.ld', '--build-id=none', '-static', '-o', elf, object], SOURCES);
  return elf;
}

export interface QemuRun {
  readonly serial: string;
  /** (value << 1) | 1 of the value written to the exit port */
  readonly status: number | null;
}

/** Runs a kernel on QEMU's translator with the test devices. */
export const runOnQemu = (elf: string, args: readonly string[]): QemuRun =>
  runQemu(elf, ['-kernel', elf, ...args], OUT);

/** Boots a kernel by GRUB on QEMU, with these lines in grub.cfg; files go to /boot. */
export function runByGrub(elf: string, lines: readonly string[], files: readonly string[]): QemuRun {
  const folder = path.join(OUT, 'iso');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'boot/grub'), { recursive: true });
  for (const file of [elf, ...files])
    copyFileSync(path.join(OUT, file), path.join(folder, 'boot', path.basename(file)));
  writeFileSync(path.join(folder, 'boot/grub/grub.cfg'), ['set timeout=0', ...lines, 'boot', ''].join('\n'));
  const image = path.join(OUT, 'grub.iso');
  const made = spawnSync('grub-mkrescue', ['-o', image, folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`grub-mkrescue: ${made.error?.message ?? made.stderr}`);
  return runQemu(path.join(OUT, elf), ['-vga', 'std', '-cdrom', image], OUT);
}

function runQemu(elf: string, args: readonly string[], cwd: string): QemuRun {
  const serial = `${elf}.qemu.txt`;
  const run = spawnSync(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg', '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot', '-serial', `file:${serial}`],
      ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-chardev', 'null,id=none'],
      ...['-device', 'isa-debugcon,iobase=0xe9,chardev=none', ...args],
    ],
    { encoding: 'utf8', timeout: 60_000, cwd },
  );
  if (run.error) throw new Error(`qemu-system-x86_64: ${run.error.message}`);
  return { serial: readFileSync(serial, 'latin1'), status: run.status };
}
