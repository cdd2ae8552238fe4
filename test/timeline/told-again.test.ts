import assert from 'node:assert/strict';
import type { MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { finish, type Moment } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { randomNumbers } from './determinism';
import { assembly, stack } from './programs';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** What taps tell, in words, with the moment at which the transition began that it belongs to */
interface Told {
  readonly moment: Moment;
  readonly what: string;
}

/** All that a machine tells of is told again, the same, when its history runs again; and then it is replaying. */
function toldAgain(configuration: MachineConfiguration, random: (most: number) => number, enough: number): void {
  const machine = createMachine(configuration);
  const timeline = createTimeline(machine, { recording: true, interval: 100_000 });
  let told: Told[] = [];
  let replayed = 0;
  const tell = (what: string): void => {
    if (timeline.replaying) replayed++;
    told.push({ moment: machine.moment, what });
  };
  machine.addTaps({
    vmExit: ({ vcpu, n, reason, qualification, instruction }) =>
      tell(`exit ${vcpu} ${n} ${reason} ${qualification} ${instruction}`),
    vmEntry: ({ vcpu, n, vmcs, instruction, injected }) =>
      tell(`entry ${vcpu} ${n} ${vmcs} ${instruction} ${injected}`),
    exception: (vector, code, address, vcpu) => tell(`exception ${vector} ${code} ${address} ${vcpu}`),
    interrupt: (vector, vcpu) => tell(`interrupt ${vector} ${vcpu}`),
    staleTranslation: (use) => tell(`stale ${use.vcpu} ${use.rip} ${use.linear} ${use.difference} ${use.invalidation}`),
  });
  machine.onSerial((byte, vcpu) => tell(`serial ${byte} ${vcpu}`));
  while (timeline.run(1 + random(1_000_000)).why !== 'ended');
  const all = told;
  assert.ok(all.length >= enough, `${all.length} things were told`);
  assert.equal(replayed, 0);
  const { end } = timeline;
  for (let visit = 0; visit < 6; visit++) {
    const from = random(end);
    told = [];
    finish(timeline.seek(from));
    told = [];
    replayed = 0;
    while (timeline.now < end) timeline.run(1 + random(500_000));
    // What is told within the transition from -> from + 1 has either number, by when in it that happens.
    const expected = all.slice(all.length - told.length);
    assert.deepEqual(told, expected, `from moment ${from} of ${end}`);
    assert.equal(replayed, told.length);
    const missed = all.slice(0, all.length - told.length).filter(({ moment }) => moment > from);
    assert.deepEqual(missed, [], `told before, but not again from ${from}`);
  }
}

describe('timeline: what is told again', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED);
  before(() => console.log(`      seed ${SEED}`));

  for (const translator of [false, true])
    it(`in the sample (translator: ${translator})`, () => toldAgain(stack({ translator }), random, 1000));
  for (const quantum of [100, 10_000])
    it(`on several processors, in turns of ${quantum}`, async () =>
      toldAgain(await assembly('vmx-processors', { quantum }), random, 50));
  it('in strict mode: every stale translation', async () =>
    toldAgain(await assembly('stale-translations', { strictTranslation: true }), random, 50));
  it('in strict mode: none where there is none', () => toldAgain(stack({ strictTranslation: true }), random, 1000));
});
