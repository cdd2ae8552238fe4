import assert from 'node:assert/strict';
import { buildAssembly } from '../asm/build';
import { KEEL_VARIANTS, keelImage } from '../foreign/keel-images';
import { sample } from '../golden/sample';
import { TimeSession } from './session';

const SEED = Number(process.env.SEED ?? Math.floor(performance.timeOrigin) % 1_000_000);

/** A small generator: the same sequence for the same seed */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 12) % below;
  };
}

const INSTRUCTION = { granularity: 'instruction' } as const;
/** Each kind of step, and the same in the other direction */
const STEPS = [
  ['next', 'stepBack', {}],
  ['stepIn', 'undervisor/stepBackInto', {}],
  ['next', 'stepBack', INSTRUCTION],
  ['stepIn', 'undervisor/stepBackInto', INSTRUCTION],
] as const;

/**
 * A step and the same step back lead to where the step began, whenever it began where such a step can end: what led there
 * was one of the same kind. And whatever was stepped back, the way forward is the same again.
 */
describe(`steps at random, forward and back (SEED=${SEED})`, function () {
  this.timeout(600_000);
  let session: TimeSession;
  beforeEach(() => (session = new TimeSession()));
  afterEach(() => session.dispose());

  async function walk(threads: readonly number[], rounds: number): Promise<void> {
    const random = randomOf(SEED);
    const state = async (thread: number) => `${await session.place(thread)}`;
    const frame = (thread: number) => {
      const context = session.machine.running(thread - 1);
      return { context: context.id, sp: context.registers.read('rsp') ?? 0n };
    };
    for (let round = 0; round < rounds; round++) {
      const kind = random(STEPS.length);
      const [forward, backward, more] = STEPS[kind] ?? STEPS[0];
      const thread = threads[random(threads.length)] ?? 1;
      const what = `round ${round}: ${forward} ${JSON.stringify(more)} of thread ${thread}, SEED=${SEED}`;
      await session.go(forward, more, thread);
      const length = 1 + random(4);
      const places: string[] = [];
      const hashes: string[] = [];
      while (places.length < length) {
        const { moment } = session.machine;
        const [place, before] = [await state(thread), frame(thread)];
        await session.go(forward, more, thread);
        const after = frame(thread);
        // Out of a function or a layer: from there the way back passes it as a whole.
        if (forward === 'next' && (after.context !== before.context || after.sp > before.sp)) {
          await session.goTo({ moment });
          break;
        }
        places.push(place);
        hashes.push(session.machine.stateHash());
      }
      const last = await state(thread);
      for (const place of places.reverse()) {
        await session.go(backward, more, thread);
        assert.equal(await state(thread), place, what);
      }
      for (let i = 0; i < hashes.length; i++) {
        await session.go(forward, more, thread);
        if (threads.length === 1) assert.equal(session.machine.stateHash(), hashes[i], what);
      }
      assert.equal(await state(thread), last, what);
      // Somewhere else, and now and then far back.
      if (random(3) === 0) await session.go(`undervisor/continueTo${random(2) ? 'Exit' : 'Entry'}`);
    }
  }

  it('in the sample', async () => {
    await session.launch({ program: sample() }, () => session.breakAt('guest!report_processor'));
    await session.breakAt();
    await walk([1], 25);
  });

  it('in a hypervisor of another make', async () => {
    await session.launch({ program: await keelImage(KEEL_VARIANTS[0]!), stopOnEntry: 'exit:any' });
    await walk([1], 15);
  });

  it('of several processors', async () => {
    await session.launch(
      { program: await buildAssembly('processors'), processors: 4, quantum: 20, stopAtEnd: true },
      () => session.breakAt('identify'),
    );
    await session.go('continue');
    await session.breakAt();
    const random = randomOf(SEED);
    for (let round = 0; round < 12; round++) {
      const [forward, backward, more] = STEPS[random(STEPS.length)] ?? STEPS[0];
      const thread = 1 + random(4);
      const place = await session.place(thread);
      const what = `round ${round}: ${forward} of thread ${thread}, SEED=${SEED}`;
      if (/wait|:0 /.test(place)) continue;
      // A thread that waits for others may wait for ever: then somebody asks for a pause, and there is nothing to compare.
      const { moment } = session.machine;
      const step = () => session.step(forward, more, thread);
      if (!(await step())) {
        await session.goTo({ moment });
        continue;
      }
      const from = await session.place(thread);
      if (!(await step())) {
        await session.goTo({ moment });
        continue;
      }
      const to = await session.place(thread);
      await session.go(backward, more, thread);
      assert.equal(await session.place(thread), from, what);
      await session.go(forward, more, thread);
      assert.equal(await session.place(thread), to, what);
    }
  });
});
