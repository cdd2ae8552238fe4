import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

let folder: string | undefined;

/**
 * The sample, built once a run with the compiler from npm, whose version the lock file pins: what golden stories tell
 * about lines, inlining and registers is then the same on every machine.
 */
export function sample(): string {
  if (folder === undefined) {
    const root = mkdtempSync(path.join(tmpdir(), 'undervisor-golden-'));
    process.on('exit', () => rmSync(root, { recursive: true, force: true }));
    const copy = path.join(root, 'samples/cloudvisor');
    const source = path.resolve('samples/cloudvisor');
    cpSync(source, copy, { recursive: true, filter: (file) => path.relative(source, file) !== 'build' });
    execFileSync(process.execPath, ['scripts/samples.mjs', copy], {
      env: { ...process.env, UNDERVISOR_CC: `${compiler()} clang ${TARGET}`, UNDERVISOR_LD: `${compiler()} ld.lld` },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    folder = copy;
  }
  return folder;
}

const TARGET = '-target x86_64-unknown-none-elf';

function compiler(): string {
  const name = `@zigc/${process.platform}-${process.arch}/bin/zig`;
  try {
    return require.resolve(name);
  } catch {
    throw new Error(`golden stories need the compiler ${name}: npm install, on a system that this package exists for`);
  }
}
