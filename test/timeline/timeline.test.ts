import assert from 'node:assert/strict';
import type { MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { finish, type Moment } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { assembly, foreign, stack } from './programs';

const POINTS = 12;
/** Transitions one by one, in so many places, and how many of them are compared */
const STRETCH = 3000;
const STRETCHES = 3;
const CHECKED = 20;
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Numbers from 0 to below `most`, the same for the same seed */
function randomNumbers(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/** The moment at which a program ends */
function lengthOf(configuration: MachineConfiguration): Moment {
  const machine = createMachine(configuration);
  for (;;) {
    const result = machine.run(100_000_000);
    if (result.why === 'ended') return machine.moment;
  }
}

/** Hashes at ascending moments of a machine that nobody sends anywhere */
function undisturbed(configuration: MachineConfiguration, moments: readonly Moment[]): Map<Moment, string> {
  const machine = createMachine(configuration);
  const hashes = new Map<Moment, string>();
  for (const moment of moments) {
    while (machine.moment < moment) machine.run(Infinity, false, undefined, moment);
    assert.equal(machine.moment, moment);
    hashes.set(moment, machine.stateHash());
  }
  return hashes;
}

const ascending = (a: number, b: number): number => a - b;

/** Ways to run the same thing */
const WAYS: readonly (readonly [string, Partial<MachineConfiguration>])[] = [
  ['interpreted', { translator: false }],
  ['translated', { translator: true, translatorThreshold: 200 }],
  ['strict', { translator: false, strictTranslation: true }],
];

/** Back and forth in a recorded run: each time the machine is what an undisturbed one was at that moment. */
function wander(configuration: MachineConfiguration, random: (most: number) => number): void {
  const length = lengthOf(configuration);
  const moments = Array.from({ length: POINTS }, () => random(length + 1));
  moments.push(0, length);
  const expected = undisturbed(configuration, [...moments].sort(ascending));
  for (const [way, more] of WAYS) {
    const machine = createMachine({ ...configuration, ...more });
    const timeline = createTimeline(machine, { recording: true, interval: Math.ceil(length / 5.5) });
    while (timeline.run(1 + random(length)).why !== 'ended');
    assert.equal(timeline.now, length, way);
    for (const moment of moments) {
      finish(timeline.seek(moment));
      assert.equal(timeline.now, moment);
      assert.equal(timeline.end, length);
      assert.equal(machine.stateHash(), expected.get(moment), `${way}: at moment ${moment} of ${length}`);
    }
  }
}

/** Every transition of a stretch alone, against all at once up to it: a moment is one state, whatever the slices. */
function sliced(configuration: MachineConfiguration, random: (most: number) => number): void {
  const length = lengthOf(configuration);
  const stepped = createMachine({ ...configuration, translator: false });
  const timelines = WAYS.map(([way, more]) => {
    const timeline = createTimeline(createMachine({ ...configuration, ...more }), {
      recording: true,
      interval: length,
    });
    while (timeline.run(length).why !== 'ended');
    return { way, timeline };
  });
  const starts = Array.from({ length: STRETCHES }, () => random(Math.max(1, length - STRETCH))).sort(ascending);
  for (const start of starts) {
    while (stepped.moment < start) stepped.run(Infinity, false, undefined, start);
    for (let moment = stepped.moment + 1; moment <= Math.min(start + STRETCH, length); moment++) {
      while (stepped.moment < moment) stepped.run(Infinity, false, undefined, moment);
      assert.equal(stepped.moment, moment, 'one transition more');
      if (random(STRETCH) >= CHECKED) continue;
      const expected = stepped.stateHash();
      for (const { way, timeline } of timelines) {
        finish(timeline.seek(start));
        finish(timeline.seek(moment));
        assert.equal(timeline.machine.stateHash(), expected, `${way}: from ${start} to ${moment} of ${length}`);
      }
    }
  }
}

describe('timeline: one state for each moment', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED + 1);

  for (const name of ['page-faults', 'exceptions', 'translation-caches', 'execution-prevention', 'virtio-disk'])
    it(`in ${name}`, async () => sliced(await assembly(name, { memory: 4 }), random));
  for (const quantum of [7, 1000])
    it(`in vmx-processors, in turns of ${quantum}`, async () =>
      sliced(await assembly('vmx-processors', { memory: 4, quantum }), random));
});

describe('timeline: back and forth', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED);
  before(() => console.log(`      seed ${SEED}`));

  for (const name of ['exceptions', 'interrupts', 'self-modifying-code', 'string-instructions', 'translation-caches'])
    it(`in ${name}`, async () => wander(await assembly(name), random));

  for (const name of ['ide-disk', 'virtio-disk', 'disk-interrupts', 'iommu-disk', 'iommu-interrupts'])
    it(`in ${name}, with its disk`, async () => wander(await assembly(name, { tpm: true }), random));

  for (const quantum of [7, 100, 10_000]) {
    it(`in processors, in turns of ${quantum}`, async () => wander(await assembly('processors', { quantum }), random));
    it(`in vmx-processors, in turns of ${quantum}`, async () =>
      wander(await assembly('vmx-processors', { quantum }), random));
  }

  it('in a hypervisor of another make', async () => wander(await foreign(), random));

  it('in the sample', () => wander(stack(), random));
});
