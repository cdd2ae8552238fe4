import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** scripts/toolchain.mjs, which has no types */
interface Toolchain {
  readonly C_FLAGS: readonly string[];
  readonly ASSEMBLY_FLAGS: readonly string[];
  pickToolchain(): { readonly cc: readonly string[]; readonly ld: readonly string[] };
  runTool(command: readonly string[], args: readonly string[], cwd: string): void;
}

const sources = path.resolve('test/vmx/programs');

/** Where builds and case modules go */
export const OUT = path.resolve('.cache/vmx');

/** Builds programs/ to an ELF image that PVH and Multiboot2 loaders boot; returns its path. */
export async function buildChecks(): Promise<string> {
  const tools = (await import(pathToFileURL(path.resolve('scripts/toolchain.mjs')).href)) as Toolchain;
  const { cc, ld } = tools.pickToolchain();
  mkdirSync(OUT, { recursive: true });
  const objects = ['boot.S', 'main.c'].map((source) => {
    const object = path.join(OUT, `${source}.o`);
    const flags = source.endsWith('.c') ? tools.C_FLAGS : tools.ASSEMBLY_FLAGS;
    tools.runTool(cc, [...flags, '-c', '-o', object, source], sources);
    return object;
  });
  const elf = path.join(OUT, 'checks.elf');
  tools.runTool(ld, ['-T', 'checks.ld', '--build-id=none', '-static', '-o', elf, ...objects], sources);
  return elf;
}
