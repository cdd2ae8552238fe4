import assert from 'node:assert/strict';
import type { Machine, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { finish, type Moment } from '../../emulator/timeline/api';
import { createTimeline, SMALLEST_MEMORY_LIMIT } from '../../emulator/timeline/timeline';
import { assembly, foreign, stack } from './programs';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
/** Instructions of a program that are run: enough to touch most of its memory */
const LENGTH = 30_000_000;

function randomNumbers(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

const at = (machine: Machine, moment: Moment): string => {
  while (machine.moment < moment) machine.run(Infinity, true, undefined, moment);
  assert.equal(machine.moment, moment);
  return machine.stateHash();
};

describe('timeline: memory for history', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED);
  before(() => console.log(`      seed ${SEED}`));

  /** Recorded with little memory; goes to random points, in both directions, and is what an undisturbed machine is. */
  function wander(configuration: MachineConfiguration, interval: number | undefined): number {
    const machine = createMachine({ ...configuration, translator: true });
    const memoryLimit = SMALLEST_MEMORY_LIMIT;
    const timeline = createTimeline(machine, { recording: true, memoryLimit, ...(interval && { interval }) });
    const fits = (): void =>
      assert.ok(timeline.memoryUsed <= memoryLimit, `${timeline.memoryUsed} bytes, seed ${SEED}`);
    while (timeline.end < LENGTH && timeline.run(1 + random(1_000_000)).why !== 'ended') fits();
    const moments = Array.from({ length: 8 }, () => random(timeline.end + 1));
    const expected = new Map<Moment, string>();
    const other = createMachine({ ...configuration, translator: true });
    for (const moment of [...moments].sort((a, b) => a - b)) expected.set(moment, at(other, moment));
    for (const moment of moments) {
      const task = timeline.seek(moment);
      while (!task.next().done) fits();
      assert.equal(machine.stateHash(), expected.get(moment), `at ${moment} of ${timeline.end}, seed ${SEED}`);
      if (moment === 0) continue;
      finish(timeline.seek(moment - 1));
      assert.equal(timeline.now, moment - 1);
      timeline.run(Infinity, true, undefined, moment);
      assert.equal(machine.stateHash(), expected.get(moment), `back and forth at ${moment}, seed ${SEED}`);
      fits();
    }
    assert.equal(timeline.first, 0);
    return timeline.landmark(Infinity);
  }

  for (const interval of [10_000, 200_000, undefined]) {
    const how = interval === undefined ? "at the host's pace" : `each ${interval} transitions`;
    it(`is kept within a small limit in the sample, with snapshots ${how}`, () => void wander(stack(), interval));
  }

  it('is kept within a small limit in a hypervisor of another make', async () => void wander(await foreign(), 20_000));

  it('is kept within a small limit with a disk and several processors', async () => {
    wander(await assembly('virtio-disk'), 1000);
    wander(await assembly('processors', { quantum: 100 }), 1000);
  });

  it('refuses too little memory, and a machine that has run', async () => {
    const configuration = await foreign();
    const few = { recording: true, memoryLimit: SMALLEST_MEMORY_LIMIT - 1 };
    assert.throws(() => createTimeline(createMachine(configuration), few), /give 4194304 or more/);
    const machine = createMachine(configuration);
    machine.run(10);
    assert.throws(() => createTimeline(machine, { recording: true }), /begins at power-on/);
  });

  it('needs no copy of what RAM is at power-on', async () => {
    const disks = (await assembly('iommu-disk')).disks ?? [];
    for (const configuration of [{ ...stack(), tpm: true, iommu: true, processors: 3, disks }, await foreign()]) {
      const machine = createMachine(configuration);
      const before = machine.ram.slice();
      machine.run(3_000_000);
      assert.notEqual(Buffer.compare(before, machine.ram), 0);
      machine.inside.powerOn();
      assert.equal(Buffer.compare(before, machine.ram), 0);
    }
  });

  it('forgets what followed when something is given in the past', async () => {
    const machine = createMachine(await assembly('string-instructions'));
    const timeline = createTimeline(machine, { recording: true, interval: 500 });
    timeline.run(20_000);
    const { end } = timeline;
    finish(timeline.seek(Math.floor(end / 2)));
    const space = { ...machine.running(0).space, kind: 'host-physical' as const };
    const address = 0x8000n;
    machine.writeMemory(space, address, Uint8Array.of(1, 2, 3, 4));
    assert.equal(timeline.branch, 1);
    assert.equal(timeline.end, Math.floor(end / 2));
    timeline.run(1000);
    const hash = machine.stateHash();
    const { now } = timeline;
    finish(timeline.seek(10));
    assert.notDeepEqual([...machine.readMemory(space, address, 4)], [1, 2, 3, 4]);
    assert.equal(timeline.mayBeWritten(8, 10, now), true);
    finish(timeline.seek(now));
    assert.equal(machine.stateHash(), hash);
  });
});
