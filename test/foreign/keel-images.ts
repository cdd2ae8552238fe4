import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface Tool {
  cc: string[];
  ld: string[];
}
interface Toolchain {
  pickToolchain: () => Tool;
  runTool: (command: string[], args: string[], cwd: string) => void;
}

/** One way to build Keel: where it is linked and loaded, and what the compiler is told. */
interface Variant {
  readonly base: string;
  readonly loadAt: string;
  readonly flags: readonly string[];
  readonly link?: readonly string[];
}

const VARIANTS = {
  /** PVH, at 2 MiB, DWARF 5 */
  low: { base: '0x0', loadAt: '0x200000', flags: ['-O1', '-g', '-gdwarf-5'] },
  /** No PVH note: starts in 64-bit mode, at 16 MiB; optimised, DWARF 4, no frame pointers */
  plain: { base: '0x0', loadAt: '0x1000000', flags: ['-O2', '-g', '-gdwarf-4', '-fomit-frame-pointer', '-DPLAIN'] },
  /** The same without symbols and debug information */
  bare: { base: '0x0', loadAt: '0x1000000', flags: ['-O2', '-fomit-frame-pointer', '-DPLAIN'], link: ['-s'] },
  /** PVH, linked at -2 GiB */
  high: {
    base: '0xffffffff80000000',
    loadAt: '0x400000',
    flags: ['-O2', '-g', '-gdwarf-5', '-mcmodel=kernel', '-fno-omit-frame-pointer'],
  },
} satisfies Record<string, Variant>;

export type KeelVariant = keyof typeof VARIANTS;
export const KEEL_VARIANTS = Object.keys(VARIANTS) as KeelVariant[];
export const KEEL_SOURCES = path.resolve('test/foreign/keel');

const COMMON = [
  '-std=gnu17',
  '-ffreestanding',
  '-nostdinc',
  '-fno-pic',
  '-fno-pie',
  '-mno-red-zone',
  '-mgeneral-regs-only',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-fno-strict-aliasing',
  '-Wall',
  '-Werror',
];

let folder: string | undefined;

/** Builds Keel once a run. @returns the path of the ELF image */
export async function keelImage(name: KeelVariant): Promise<string> {
  if (folder === undefined) {
    const made = mkdtempSync(path.join(tmpdir(), 'undervisor-keel-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const image = path.join(folder, `${name}.elf`);
  if (existsSync(image)) return image;
  const module = pathToFileURL(path.resolve('scripts/toolchain.mjs')).href;
  const { pickToolchain, runTool } = (await import(module)) as Toolchain;
  const tool = pickToolchain();
  const { base, loadAt, flags, link = [] }: Variant = VARIANTS[name];
  const objects = path.join(folder, name);
  mkdirSync(objects, { recursive: true });
  const sources = readdirSync(KEEL_SOURCES).filter((file) => /\.[cS]$/.test(file));
  for (const file of sources.sort()) {
    const language = file.endsWith('.c') ? [...COMMON, ...flags] : [...flags.filter((flag) => /^-[gD]/.test(flag))];
    const args = [...language, `-DLINK_BASE=${base}`, '-c', file, '-o', path.join(objects, `${file}.o`)];
    runTool(tool.cc, args, KEEL_SOURCES);
  }
  runTool(
    tool.ld,
    [
      ...['-T', 'keel.ld', '--defsym', `LINK_BASE=${base}`, '--defsym', `LOAD_AT=${loadAt}`, '-e', 'enter64'],
      ...['--build-id=none', '-static', '-z', 'max-page-size=4096', '-z', 'noexecstack', ...link, '-o', image],
      ...sources.map((file) => path.join(objects, `${file}.o`)),
    ],
    KEEL_SOURCES,
  );
  return image;
}
