import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** scripts/toolchain.mjs and test/samples/bochs.mjs, which have no types */
interface Toolchain {
  readonly C_FLAGS: readonly string[];
  readonly ASSEMBLY_FLAGS: readonly string[];
  pickToolchain(): { readonly cc: readonly string[]; readonly ld: readonly string[] };
  runTool(command: readonly string[], args: readonly string[], cwd: string): void;
}

export interface BochsRun {
  readonly serial: string;
  readonly log: string;
  readonly finished: boolean;
}

interface Bochs {
  bochsMissing(): string | undefined;
  runBochs(options: {
    program: string;
    modules?: { file: string; name: string }[];
    seconds: number;
  }): Promise<BochsRun>;
}

const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(path.resolve(file)).href)) as T;

/**
 * Builds all C and assembly files of a folder to one ELF image that PVH and Multiboot2 loaders boot; returns its path.
 * @param folder with one linker script
 */
export async function buildProgram(folder: string, out: string, name: string): Promise<string> {
  const tools = await load<Toolchain>('scripts/toolchain.mjs');
  const { cc, ld } = tools.pickToolchain();
  const sources = path.resolve(folder);
  mkdirSync(out, { recursive: true });
  const files = readdirSync(sources).sort();
  const objects = files
    .filter((file) => /\.[cS]$/.test(file))
    .map((source) => {
      const object = path.join(out, `${source}.o`);
      const flags = source.endsWith('.c') ? tools.C_FLAGS : tools.ASSEMBLY_FLAGS;
      tools.runTool(cc, [...flags, '-c', '-o', object, source], sources);
      return object;
    });
  const script = files.find((file) => file.endsWith('.ld')) ?? '';
  const elf = path.join(out, `${name}.elf`);
  tools.runTool(ld, ['-T', script, '--build-id=none', '-static', '-o', elf, ...objects], sources);
  return elf;
}

/** Bochs with this program, or why it cannot run on this computer. */
export async function onBochs(
  program: string,
  modules: { file: string; name: string }[],
  seconds: number,
): Promise<BochsRun | string> {
  const bochs = await load<Bochs>('test/samples/bochs.mjs');
  return bochs.bochsMissing() ?? bochs.runBochs({ program, modules, seconds });
}
