import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ENTRY_CHECK_DISAGREEMENTS } from '../conformance/disagreements';
import { onBochs } from '../conformance/tools';
import { agrees, caseModule, entryCases, outcomes } from './cases';
import { buildChecks, OUT } from './checks-program';

describe('VM-entry checks on Bochs', function () {
  this.timeout(180_000);

  it('gives the same outcome for every case, but where the manual says otherwise', async () => {
    const cases = entryCases();
    const program = await buildChecks();
    const file = path.join(OUT, 'cases.bin');
    writeFileSync(file, caseModule(cases));
    const run = await onBochs(program, [{ file, name: 'cases' }], 150);
    if (typeof run === 'string') {
      assert.ok(!process.env.CI, `Bochs cannot run here, ${run}`);
      console.log(`      not run, ${run}`);
      return;
    }
    const { serial, log, finished } = run;
    assert.ok(finished, `no end was seen:\n${serial.slice(-1000)}\n${log.slice(-2000)}`);
    const found = outcomes(serial);
    const different = cases.filter((entry, i) => !agrees(entry, found[i])).map((entry) => entry.name);
    assert.deepEqual(different.sort(), Object.keys(ENTRY_CHECK_DISAGREEMENTS).sort());
  });
});
