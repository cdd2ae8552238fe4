import assert from 'node:assert/strict';
import { sample } from '../golden/sample';
import { TimeSession } from './session';

describe('stepping back', function () {
  this.timeout(300_000);
  let session: TimeSession;
  beforeEach(() => (session = new TimeSession()));
  afterEach(() => session.dispose());

  const seen: string[] = [];
  const note = async () => {
    const place = await session.place();
    seen.push(`${place} ${session.machine.stateHash()}`);
  };

  for (const [forward, backward, more] of [
    ['next', 'stepBack', {}],
    ['stepIn', 'undervisor/stepBackInto', {}],
    ['next', 'stepBack', { granularity: 'instruction' }],
    ['stepIn', 'undervisor/stepBackInto', { granularity: 'instruction' }],
  ] as const) {
    it(`${backward} visits the places of ${forward}${'granularity' in more ? ' by instruction' : ''} in reverse`, async () => {
      seen.length = 0;
      await session.launch({ program: sample() }, () => session.breakAt('guest!report_processor'));
      await session.breakAt();
      // A breakpoint in what was inlined need not be a place where stepping stops.
      await session.go('next');
      for (let i = 0; i < 12; i++) {
        await note();
        await session.go(forward, more);
      }
      const end = session.machine.stateHash();
      for (let i = 11; i >= 0; i--) {
        const stop = await session.go(backward, more);
        assert.equal(stop.reason, 'step');
        assert.equal(`${await session.place()} ${session.machine.stateHash()}`, seen[i], `step ${i}`);
      }
      for (let i = 0; i < 12; i++) await session.go(forward, more);
      assert.equal(session.machine.stateHash(), end);
    });
  }
});
