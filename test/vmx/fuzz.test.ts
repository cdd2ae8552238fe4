import assert from 'node:assert/strict';
import { enterAtRandom } from './random-entries';

const ENTRIES = 2000;
const seed = Number(process.env.SEED ?? Date.now() & 0x7fff_ffff);

describe('VM entry with random fields', function () {
  this.timeout(60_000);
  it(`${ENTRIES} entries end as the rules say, and nothing is thrown (SEED=${seed})`, () => {
    const seen = enterAtRandom(ENTRIES, seed);
    for (const kind of ['enters', 'fail 7', 'fail 8', 'exit 33'])
      assert.ok((seen.get(kind) ?? 0) > ENTRIES / 100, `${kind}: ${seen.get(kind) ?? 0}`);
  });
});
