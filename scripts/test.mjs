// npm test: builds everything, then runs every suite and prints each one's name and result. The last line is
// "N passed, N failed". With names as arguments only those suites run (node scripts/test.mjs engine vscode).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensure } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');
const out = process.env.OUT ?? path.join(root, 'out');
const artifacts = process.env.UNDERVISOR_ARTIFACTS ?? path.join(root, 'artifacts');
const strict = process.env.CI === 'true';
/** No test waits for a clock; this only ends one that would never end. */
const TEST_LIMIT_MS = 600_000;

function must(title, ...args) {
  const started = Date.now();
  const { status, signal } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status === 0) return console.log(`ok    ${title} (${seconds(started)})`);
  console.log(`FAIL  ${title}: ended with ${status ?? signal}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

function testFiles(area) {
  return readdirSync(path.join(out, 'test', area), { recursive: true })
    .filter((file) => file.endsWith('.test.js'))
    .sort()
    .map((file) => path.join(out, 'test', area, file));
}

/** One folder of test/ in a mocha process of its own. */
function runMocha(area) {
  const report = path.join(artifacts, `mocha-${area}.json`);
  rmSync(report, { force: true });
  const mocha = path.join(root, 'node_modules/mocha/bin/mocha.js');
  const options = ['--timeout', String(TEST_LIMIT_MS), '--reporter', 'json', '--reporter-option', `output=${report}`];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [mocha, ...options, ...testFiles(area)], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, NODE_PATH: path.join(root, 'node_modules') },
  });
  if (!existsSync(report)) {
    const said = `${stdout}\n${stderr}`.trim().slice(-4000);
    return { passed: 0, failures: [{ title: area, message: `mocha ended with ${status ?? signal}\n${said}` }] };
  }
  const { stats, failures, pending } = JSON.parse(readFileSync(report, 'utf8'));
  const failed = failures.map(({ fullTitle, err }) => ({ title: fullTitle, message: err.stack ?? err.message }));
  // A test that is switched off has not passed.
  failed.push(...pending.map(({ fullTitle }) => ({ title: fullTitle, message: 'did not run (pending)' })));
  if (status !== 0 && failed.length === 0)
    failed.push({ title: area, message: `mocha ended with ${status ?? signal}\n${stderr}` });
  return { passed: stats.passes, failures: failed };
}

function mochaSuites() {
  const areas = readdirSync(path.join(out, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'vscode' && testFiles(entry.name).length > 0)
    .map((entry) => entry.name);
  return areas.sort().map((area) => ({ name: area, run: () => runMocha(area) }));
}

const vscodeSuites = [
  {
    name: 'vscode',
    needs: ['chromium'],
    run: async () => (await import('./vscode-suite.mjs')).runVsCodeSuite({ artifacts, out }),
  },
  { name: 'vscode-ui', needs: ['chromium'], run: async () => (await import('./vscode-ui.mjs')).runUi({ artifacts }) },
];

async function runSuite({ name, needs = [], run }) {
  const started = Date.now();
  try {
    ensure(needs);
  } catch (error) {
    if (strict) return { name, started, passed: 0, failures: [{ title: name, message: error.message }] };
    return { name, started, passed: 0, failures: [], skipped: error.message };
  }
  try {
    return { name, started, ...(await run()) };
  } catch (error) {
    return { name, started, passed: 0, failures: [{ title: name, message: error.stack ?? String(error) }] };
  }
}

function print({ name, started, passed, failures, skipped }) {
  if (skipped) return console.log(`SKIP  ${name}: ${skipped}`);
  const verdict = failures.length === 0 ? 'ok  ' : 'FAIL';
  console.log(`${verdict}  ${name}: ${passed} passed, ${failures.length} failed (${seconds(started)})`);
  for (const { title, message } of failures) console.log(`      ${title}\n${message.replace(/^/gm, '        ')}`);
}

mkdirSync(artifacts, { recursive: true });
must('build', 'scripts/build.mjs', '--tests');
must('samples', 'scripts/samples.mjs');
const oracles = [
  'qemu-system-x86',
  'bochs',
  'bochsbios',
  'vgabios',
  'grub-pc-bin',
  'grub-common',
  'xorriso',
  'mtools',
  'gdb',
  'acpica-tools',
  'swtpm',
  'tpm2-tools',
];
let passed = 0;
let failed = 0;
try {
  ensure(oracles);
} catch (error) {
  console.log(`${strict ? 'FAIL' : 'SKIP'}  comparisons with other machines: ${error.message}`);
  if (strict) failed++;
}

const wanted = process.argv.slice(2);
const suites = [...mochaSuites(), ...vscodeSuites].filter(({ name }) => wanted.length === 0 || wanted.includes(name));
for (const suite of suites) {
  const result = await runSuite(suite);
  print(result);
  passed += result.passed;
  failed += result.failures.length;
  // A suite in which nothing ran has shown nothing.
  if (result.passed === 0 && result.failures.length === 0 && !result.skipped) failed++;
}
if (suites.length === 0) failed++;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
