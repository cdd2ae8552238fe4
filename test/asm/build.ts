import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** scripts/asm-test.mjs and scripts/toolchain.mjs, which have no types */
interface AsmTools {
  buildAsmTest(this: void, name: string, out: string, tool: unknown): string;
}
interface Toolchain {
  pickToolchain(this: void): unknown;
}

const script = async <T>(name: string): Promise<T> =>
  (await import(pathToFileURL(path.resolve('scripts', name)).href)) as T;

/** Builds the program of an assembly test, for tests of another kind. @returns the path of the ELF image */
export async function buildAssembly(name: string): Promise<string> {
  const { buildAsmTest } = await script<AsmTools>('asm-test.mjs');
  const { pickToolchain } = await script<Toolchain>('toolchain.mjs');
  return buildAsmTest(name, path.resolve('.cache/asm'), pickToolchain());
}
