// npm run samples && node scripts/build.mjs --only-tests && npx mocha out/test/faults/caught.test.js
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkAloneWithDisk, checkAttacksWithDisk, checkMonitoredWithDisk } from '../samples/story';
import type { Found, SanitizedResult } from './sanitized-run';

interface Fault {
  readonly name: string;
  readonly rules: readonly string[];
  readonly places: readonly string[];
}
interface Run {
  readonly name: string;
}
interface Tried {
  readonly fault: Fault;
  readonly first: Found | undefined;
  readonly end: string;
  readonly caught: boolean;
}
interface Faults {
  readonly SAMPLE: string;
  readonly SILENT_RUNS: readonly Run[];
  bundleRunner(folder: string): Promise<string>;
  tryFault(fault: Fault, tool: unknown, runner: string): Promise<Tried>;
  trySample(run: Run, runner: string): Promise<{ findings: Found[]; serial: string; silent: boolean }>;
  isExpected(fault: Fault, finding: Found | undefined): boolean;
  inParallel<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]>;
}
interface Patches {
  readonly readFaults: (sample: string) => Fault[];
}
interface Toolchains {
  readonly pickToolchain: () => unknown;
}

const script = (name: string) => import(pathToFileURL(path.resolve('scripts', name)).href) as Promise<unknown>;
const NAMES = readdirSync('samples/cloudvisor/faults').map((file) => path.basename(file, '.patch'));

/** What a run that is silent has to have done all the same */
const STORIES: Readonly<Record<string, (serial: string) => void>> = {
  'with the monitor': checkMonitoredWithDisk,
  attacks: checkAttacksWithDisk,
  nested: checkMonitoredWithDisk,
  'the VMM alone': checkAloneWithDisk,
};

describe('seeded faults: the isolation sanitizer', function () {
  this.timeout(1_800_000);
  let faults: Faults;
  let folder = '';
  let runner = '';
  const tried = new Map<string, Tried | Error>();

  before(async () => {
    faults = (await script('faults.mjs')) as Faults;
    const { readFaults } = (await script('fault-patches.mjs')) as Patches;
    const { pickToolchain } = (await script('toolchain.mjs')) as Toolchains;
    folder = mkdtempSync(path.join(os.tmpdir(), 'undervisor-faults-'));
    runner = await faults.bundleRunner(folder);
    const tool = pickToolchain();
    await faults.inParallel(readFaults(faults.SAMPLE), 2, async (fault) => {
      tried.set(fault.name, await faults.tryFault(fault, tool, runner).catch((error: unknown) => error as Error));
    });
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const [name, check] of Object.entries(STORIES)) {
    it(`says nothing of the sample without a fault: ${name}`, async () => {
      const run = faults.SILENT_RUNS.find((one) => one.name === name);
      assert.ok(run);
      const { findings, serial, silent }: Pick<SanitizedResult, 'findings' | 'serial'> & { silent: boolean } =
        await faults.trySample(run, runner);
      assert.deepEqual(findings, []);
      assert.ok(silent);
      check(serial);
    });
  }

  for (const name of NAMES) {
    it(`catches ${name}`, () => {
      const result = tried.get(name);
      if (result === undefined || result instanceof Error) throw result ?? new Error('it was not tried');
      const { fault, first, caught, end } = result;
      const wanted = `${fault.rules.join(' or ')} at ${fault.places.join(' and ')}`;
      assert.ok(
        caught,
        `expected ${wanted}, found ${first ? JSON.stringify(first, undefined, 2) : `nothing (${end})`}`,
      );
      assert.ok(first && first.moment > 0 && end === 'finding');
    });
  }

  it('knows another finding from the expected one', () => {
    const fault: Fault = { name: 'x', rules: ['guest-page'], places: ['give', '"of guest 1"'] };
    const finding: Found = {
      rule: 'guest-page',
      title: 'The VMM can read page 0x1000 of guest 1',
      moment: 1,
      path: [{ what: 'a store', functions: ['monitor!give (lifecycle.c:76)', 'monitor!acquire'] }],
    };
    assert.ok(faults.isExpected(fault, finding));
    assert.ok(!faults.isExpected(fault, undefined));
    assert.ok(!faults.isExpected(fault, { ...finding, rule: 'two-guests' }));
    assert.ok(!faults.isExpected(fault, { ...finding, title: 'The VMM can read page 0x1000 of guest 2' }));
    assert.ok(!faults.isExpected(fault, { ...finding, path: [] }));
  });
});
