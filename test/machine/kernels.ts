import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
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
export function runOnQemu(elf: string, args: readonly string[], cwd = OUT): QemuRun {
  const serial = `${elf}.qemu.txt`;
  const run = spawnSync(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg', '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot', '-serial', `file:${serial}`],
      ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-chardev', 'null,id=none'],
      ...['-device', 'isa-debugcon,iobase=0xe9,chardev=none', '-kernel', elf, ...args],
    ],
    { encoding: 'utf8', timeout: 60_000, cwd },
  );
  if (run.error) throw new Error(`qemu-system-x86_64: ${run.error.message}`);
  return { serial: readFileSync(serial, 'latin1'), status: run.status };
}
