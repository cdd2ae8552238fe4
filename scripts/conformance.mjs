// npm run conformance: what test/conformance/run.ts says. Builds the tests first, and installs Bochs where it may.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ensure } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');
const out = process.env.OUT ?? path.join(root, 'out');
const run = (...args) =>
  spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, OUT: out, NODE_PATH: path.join(root, 'node_modules') },
  }).status ?? 1;

try {
  ensure(['bochs', 'bochsbios', 'vgabios', 'grub-pc-bin', 'grub-common', 'xorriso', 'mtools']);
} catch (error) {
  process.stderr.write(`Bochs cannot run here, its columns stay empty: ${error.message}\n`);
}
const built = run('scripts/build.mjs', '--only-tests');
process.exitCode = built || run(path.join(out, 'test/conformance/run.js'), ...process.argv.slice(2));
