import { writeFileSync } from 'node:fs';
import { readdirSync } from 'node:fs';
import path from 'node:path';

/** Entry point for the extension host: runs every *.test.js beside this file, reports to UNDERVISOR_REPORT. */
export async function run(): Promise<void> {
  const { default: Mocha } = await import('mocha');
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, reporter: 'spec' });
  for (const file of readdirSync(__dirname)
    .filter((name) => name.endsWith('.test.js'))
    .sort()) {
    mocha.addFile(path.join(__dirname, file));
  }
  const report = { passed: 0, failures: [] as { title: string; message: string }[] };
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on('pass', () => report.passed++)
      .on('fail', (test, error: Error) =>
        report.failures.push({ title: test.fullTitle(), message: error.stack ?? error.message }),
      );
  });
  if (process.env.UNDERVISOR_REPORT) writeFileSync(process.env.UNDERVISOR_REPORT, JSON.stringify(report));
  if (failures > 0) throw new Error(`${failures} tests failed`);
}
