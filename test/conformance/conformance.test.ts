import assert from 'node:assert/strict';
import { coverageRows } from './coverage';
import { entryCheckRows } from './entry-checks';
import { DISAGREEMENTS } from './disagreements';
import { machineCodeRows } from './machine-code';
import type { ConformanceRow } from './row';

describe('exits and controls as machine code, here and on Bochs', function () {
  this.timeout(300_000);
  let rows: ConformanceRow[] = [];

  before(async () => {
    rows = await machineCodeRows();
  });

  it('every case passes here, or is about something that is not announced', () => {
    const failed = rows.filter(({ here }) => here === 'fail');
    assert.deepEqual(
      failed.map(({ name, hereDetail }) => `${name}: ${hereDetail ?? ''}`),
      [],
    );
    assert.ok(rows.length > 150, `only ${rows.length} cases`);
  });

  it('Bochs agrees, but where the manual says otherwise', () => {
    if (rows.every(({ bochs }) => bochs === 'not run')) {
      assert.ok(!process.env.CI, 'Bochs cannot run here');
      console.log('      not run: Bochs is not installed');
      return;
    }
    const failed = rows.filter(({ bochs }) => bochs === 'fail').map(({ name }) => name);
    assert.deepEqual(failed.sort(), Object.keys(DISAGREEMENTS).sort());
  });

  it('every exit reason that can occur and every announced control has a case that passes', async () => {
    const missing = coverageRows([...rows, ...(await entryCheckRows())]).filter(({ here }) => here !== 'pass');
    assert.deepEqual(
      missing.map(({ name }) => name),
      [],
    );
  });
});
