import assert from 'node:assert/strict';
import { differences, makePass, PASSES } from './determinism';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** `npm run determinism` does the same with 10 billion instructions. */
describe('timeline: the stack under load', function () {
  this.timeout(600_000);

  it(`repeats itself from power-on and the journal, translated and interpreted (seed ${SEED})`, () => {
    const plan = { seed: SEED, instructions: 100e6, points: 12, inputs: 12 };
    const results = PASSES.map((pass) => makePass(plan, pass));
    assert.deepEqual(differences(results), []);
    assert.ok((results[1]?.translated ?? 0) > 0, 'nothing was translated');
    assert.equal(results[2]?.translated, 0);
    assert.ok(results[0]!.visits.length > 0);
  });

  it('would be seen to differ', () => {
    const [a, b] = [1, 2].map((seed) => makePass({ seed, instructions: 1e6, points: 2, inputs: 1 }, 'interpreted'));
    assert.notDeepEqual(differences([a!, b!]), []);
  });
});
