import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

interface Tool {
  readonly cc: readonly string[];
  readonly ld: readonly string[];
}
interface Toolchain {
  readonly ASSEMBLY_FLAGS: readonly string[];
  readonly pickToolchain: () => Tool;
  readonly runTool: (tool: readonly string[], args: readonly string[], cwd: string) => void;
}

const out = path.resolve('.cache/tpm');

/** A program of this folder with the harness of the assembly tests, as an ELF image. */
export async function buildGuest(name: string): Promise<string> {
  const script = pathToFileURL(path.resolve('scripts/toolchain.mjs')).href;
  const { ASSEMBLY_FLAGS, pickToolchain, runTool } = (await import(script)) as Toolchain;
  const tool = pickToolchain();
  mkdirSync(out, { recursive: true });
  const asm = path.resolve('test/asm');
  const objects = [path.join(asm, 'harness.S'), path.resolve('test/tpm', `${name}.S`)].map((source) => {
    const object = path.join(out, `${path.basename(source, '.S')}.o`);
    runTool(tool.cc, [...ASSEMBLY_FLAGS, '-I', asm, '-c', '-o', object, source], asm);
    return object;
  });
  const elf = path.join(out, `${name}.elf`);
  const layout = ['-T', 'harness.ld', '--build-id=none', '-static', '-z', 'max-page-size=4096', '-z', 'noexecstack'];
  runTool(tool.ld, [...layout, '-o', elf, ...objects], asm);
  return elf;
}
