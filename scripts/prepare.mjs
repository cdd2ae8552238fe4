// npm runs this after an install: it leaves dist/ ready. An install without development dependencies has no bundler
// and nothing to build; it must not fail for that.
import { createRequire } from 'node:module';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

try {
  createRequire(import.meta.url).resolve('esbuild');
} catch {
  process.exit(0);
}
process.exit(
  spawnSync(process.execPath, [path.join(import.meta.dirname, 'build.mjs')], { stdio: 'inherit' }).status ?? 1,
);
