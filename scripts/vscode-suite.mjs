// Runs test/vscode/suite in the extension host of a real VS Code, through @vscode/test-electron. The VS Code is the one
// UNDERVISOR_VSCODE names, else the cached server build with Chromium (vscode-code.mjs).
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { runTests } from '@vscode/test-electron';
import { ensure } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');

/** Runs the suite; returns `{ passed, failed, failures }`, where a suite that could not report counts as one failure. */
export async function runVsCodeSuite({
  artifacts = path.join(root, 'artifacts'),
  out = process.env.OUT ?? path.join(root, 'out'),
} = {}) {
  const standIn = !process.env.UNDERVISOR_VSCODE;
  if (standIn) ensure(['chromium']);
  mkdirSync(artifacts, { recursive: true });
  const report = path.join(artifacts, 'vscode-suite.json');
  rmSync(report, { force: true });
  process.env.UNDERVISOR_ARTIFACTS = artifacts;
  let error;
  try {
    await runTests({
      vscodeExecutablePath: process.env.UNDERVISOR_VSCODE ?? path.join(import.meta.dirname, 'vscode-code.mjs'),
      extensionDevelopmentPath: root,
      extensionTestsPath: path.join(out, 'test/vscode/suite/index.js'),
      launchArgs: [path.join(root, 'samples/cloudvisor')],
      extensionTestsEnv: { UNDERVISOR_REPORT: report },
    });
  } catch (failure) {
    error = failure;
  }
  const results = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : {
        passed: 0,
        failures: [{ title: 'VS Code suite', message: `no test reported: ${error?.message ?? 'nothing ran'}` }],
      };
  if (error && results.failures.length === 0) results.failures.push({ title: 'VS Code suite', message: error.message });
  if (results.passed === 0 && results.failures.length === 0)
    results.failures.push({ title: 'VS Code suite', message: 'no test ran' });
  return { passed: results.passed, failed: results.failures.length, failures: results.failures };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { passed, failed, failures } = await runVsCodeSuite();
  for (const { title, message } of failures) console.log(`not ok ${title}\n${message}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}
