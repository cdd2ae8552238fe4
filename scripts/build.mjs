// Bundles the extension, the adapter and the command line into dist/. `--tests` also transpiles every TypeScript file
// one to one into out/, where mocha runs it.
import { build } from 'esbuild';
import { chmodSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  sourcemap: true,
  logLevel: 'warning',
};
/** package.json's "bin": `npx undervisor` in a clone runs it as a program. */
const commandLine = 'dist/cli.js';
const entries = [
  { in: 'extension/extension.ts', out: 'dist/extension.js', external: ['vscode'] },
  { in: 'extension/inline-adapter.ts', out: 'dist/inline-adapter.js', external: ['vscode'] },
  { in: 'debug-adapter/edge/stdio.ts', out: 'dist/adapter.js' },
  { in: 'debug-adapter/edge/cli.ts', out: commandLine, banner: { js: '#!/usr/bin/env node' } },
];

async function bundle() {
  for (const { in: input, out, ...options } of entries) {
    await build({ ...common, ...options, entryPoints: [path.join(root, input)], outfile: path.join(root, out) });
  }
  chmodSync(path.join(root, commandLine), 0o755);
}

async function transpile() {
  const out = process.env.OUT ?? path.join(root, 'out');
  rmSync(out, { recursive: true, force: true });
  const entryPoints = ['emulator', 'debug-adapter', 'extension', 'test'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true })
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
      .map((file) => path.join(root, folder, file)),
  );
  await build({ ...common, bundle: false, entryPoints, outbase: root, outdir: out });
  writeFileSync(path.join(out, 'package.json'), '{"type":"commonjs"}\n');
}

if (!process.argv.includes('--only-tests')) await bundle();
if (process.argv.includes('--tests') || process.argv.includes('--only-tests')) await transpile();
