import assert from 'node:assert/strict';
import { sample } from '../golden/sample';
import { TimeSession } from './session';

const BEHIND = 6;

/** Before the first VM entry of a context there is none: what stands there must not ask for it. */
describe('stepping back at the first VM entry of a context', function () {
  this.timeout(60_000);
  let session: TimeSession;
  before(async () => {
    session = new TimeSession();
    await session.launch({ program: sample(), stopAtEnd: true });
  });
  after(() => session.dispose());

  const running = () => session.machine.running(0).id;

  /** The first moment of each context but the owner's. */
  async function firsts(count: number): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    await session.goTo({ moment: 0 });
    while (found.size < count) {
      await session.go('undervisor/continueToEntry');
      if (!found.has(running())) found.set(running(), session.machine.moment);
    }
    return found;
  }

  it('goes to the VM entry, in the layer that was left', async () => {
    const contexts = await firsts(2);
    for (const [context, moment] of contexts) {
      const at = () => session.goTo({ moment });
      await session.goTo({ moment: moment - 1 });
      const [entering] = await session.frames();
      const owner = running();
      assert.notEqual(owner, context);

      for (const granularity of ['instruction', 'line'])
        for (const command of ['stepBack', 'undervisor/stepBackInto', 'undervisor/stepBackOut']) {
          await at();
          const what = `${command} by ${granularity} at moment ${moment}, the first of context ${context}`;
          const { reason } = await session.go(command, { granularity });
          assert.equal(reason, 'step', what);
          assert.equal(running(), owner, what);
          const [top] = await session.frames();
          assert.equal(top?.line, entering?.line, what);
          assert.equal(top?.source?.path, entering?.source?.path, what);
          if (granularity === 'instruction') assert.equal(session.machine.moment, moment - 1, what);
        }

      // Just behind it, the way back ends at the entry or stays in the context.
      for (let behind = 1; behind <= BEHIND; behind++)
        for (const command of ['stepBack', 'undervisor/stepBackInto', 'undervisor/stepBackOut']) {
          await session.goTo({ moment: moment + behind });
          const what = `${command} by line at moment ${moment} + ${behind}`;
          const { reason } = await session.go(command);
          assert.equal(reason, 'step', what);
          assert.ok(
            session.machine.moment < moment + behind && session.machine.moment > moment - 1000,
            `${what}: ${session.machine.moment}`,
          );
        }
    }
  });
});
