import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { AddressSpace, Machine, MachineConfiguration } from '../../emulator/machine/api';
import { hostPhysical } from '../../emulator/memory/address';
import type { MachineInput } from '../../emulator/machine/input';
import { createMachine } from '../../emulator/machine/machine';
import { finish, type Moment, type Timeline } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { buildKernel32 } from '../machine/kernels';
import { randomNumbers } from './determinism';
import { stack } from './programs';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const PHYSICAL: AddressSpace = {
  kind: 'host-physical', cr0: 0n, cr3: 0n, cr4: 0n, efer: 0n, eptp: 0n, codeSize: 32,
}; // prettier-ignore
/** A page that the sample's programs do not use */
const UNUSED = 0x9000n;
/** VMCS: guest IA32_SYSENTER_ESP, which the sample does not use */
const FIELD = 0x6824;

interface Given {
  readonly moment: Moment;
  readonly input: MachineInput;
}

/** A machine of its own that gets the same and that nobody sends anywhere */
function undisturbed(configuration: MachineConfiguration, given: readonly Given[], moment: Moment): string {
  const machine = createMachine(configuration);
  const to = (end: Moment): void => {
    for (let before = -1; machine.moment < end && before !== machine.moment;) {
      before = machine.moment;
      machine.run(Infinity, false, undefined, end);
    }
    assert.equal(machine.moment, end);
  };
  for (const { moment: at, input } of given) {
    if (at > moment) break;
    to(at);
    machine.apply(input);
  }
  to(moment);
  return machine.stateHash();
}

/** A recorded machine, and all that it was given in the branch that it is on */
function recorded(configuration: MachineConfiguration): { machine: Machine; timeline: Timeline; given: Given[] } {
  const machine = createMachine(configuration);
  const timeline = createTimeline(machine, { recording: true, interval: 400_000 });
  const given: Given[] = [];
  timeline.onBranch((at) => {
    assert.equal(at, machine.moment);
    given.splice(0, Infinity, ...given.filter(({ moment }) => moment <= at));
  });
  machine.onInput((input) => given.push({ moment: machine.moment, input }));
  return { machine, timeline, given };
}

/** Some of what a debugger and a user do to a machine that stands */
function meddle(machine: Machine, random: (most: number) => number): void {
  const bytes = new Uint8Array(1 + random(9)).map(() => random(256));
  switch (random(4)) {
    case 0:
      machine.serialInput(bytes);
      break;
    case 1:
      assert.equal(machine.writeMemory(PHYSICAL, UNUSED - 4n + BigInt(random(8)), bytes), bytes.length);
      break;
    case 2: {
      const { registers } = machine.running(random(machine.vcpus.length));
      assert.ok(registers.write('star', BigInt(random(2 ** 32))));
      break;
    }
    default: {
      const context = machine.contexts.find(({ vmcs }) => vmcs !== undefined);
      if (context?.vmcs === undefined) machine.serialInput(bytes);
      else assert.ok(machine.writeVmcs(context.vmcs, FIELD, BigInt(random(2 ** 32))));
    }
  }
}

function runTo(timeline: Timeline, moment: Moment): void {
  while (timeline.now < moment) if (timeline.run(Infinity, false, undefined, moment).why === 'ended') break;
}

describe('timeline: input', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED);
  before(() => console.log(`      seed ${SEED}`));

  for (const translator of [false, true]) {
    const how = translator ? 'translated' : 'interpreted';
    it(`comes again at its moment, and given in the past begins another future (${how})`, () => {
      const configuration = stack({ translator, translatorThreshold: 500 });
      const { machine, timeline, given } = recorded(configuration);
      const check = (moment: Moment): void => {
        finish(timeline.seek(moment));
        assert.equal(timeline.now, moment);
        const expected = undisturbed(configuration, given, moment);
        assert.equal(machine.stateHash(), expected, `at moment ${moment} with ${given.length} inputs`);
      };
      for (let branch = 0; branch < 3; branch++) {
        for (let step = 0; step < 5; step++) {
          runTo(timeline, timeline.now + 1 + random(300_000));
          for (let count = 1 + random(2); count > 0; count--) meddle(machine, random);
        }
        runTo(timeline, timeline.now + random(2) * 1000);
        const { end } = timeline;
        check(random(end));
        check(end);
        check(given[random(given.length)]!.moment);
        check(0);
        check(random(end));
        // Somewhere in the past: the next turn of the loop gives it something else there.
        const at = 1 + random(end - 1);
        check(at);
        assert.equal(timeline.end, end);
        assert.equal(timeline.branch, branch);
        const before = given.length;
        machine.writeMemory(PHYSICAL, UNUSED, Uint8Array.of(branch + 1));
        assert.equal(timeline.branch, branch + 1);
        assert.equal(timeline.end, at);
        assert.ok(given.length <= before + 1);
        assert.throws(() => finish(timeline.seek(end)), RangeError);
        check(at);
      }
    });
  }

  for (const processors of [1, 3]) {
    it(`wakes a machine that sleeps for ever, now and then (processors: ${processors})`, async () => {
      const kernel = { name: 'echo', bytes: new Uint8Array(readFileSync(await buildKernel32('echo'))) };
      const configuration = { memory: 4, kernel, modules: [], commandLine: '', translator: true, processors };
      const { machine, timeline, given } = recorded(configuration);
      let sent = '';
      machine.onSerial((byte) => (sent += timeline.replaying ? '' : String.fromCharCode(byte)));
      const sleep = (): void => {
        while (timeline.run(1 + random(50)).why !== 'ended');
      };
      sleep();
      const moments = [timeline.now];
      for (const text of ['HAL', 'a', 'IBM']) {
        for (const letter of text) machine.serialInput(Uint8Array.of(letter.charCodeAt(0)));
        sleep();
        moments.push(timeline.now);
      }
      assert.equal(sent, 'IBMbJCN');
      for (let i = 0; i < 20; i++) moments.push(random(timeline.end + 1));
      for (const moment of moments) {
        finish(timeline.seek(moment));
        assert.equal(machine.stateHash(), undisturbed(configuration, given, moment), `at ${moment} of ${timeline.end}`);
      }
      // There 'a' was given, and still is.
      finish(timeline.seek(moments[1]!));
      machine.serialInput(Uint8Array.of(0x30));
      sleep();
      assert.equal(sent, 'IBMbJCNb1');
      assert.equal(timeline.branch, 1);
    });
  }

  it('keeps the contexts of the debugger the same objects', () => {
    const { machine, timeline } = recorded(stack());
    while (timeline.run(1_000_000).why !== 'ended');
    const all = machine.contexts;
    assert.equal(all.length, 3);
    const end = all.map(({ lastLeft, registers }) => [{ ...lastLeft }, registers.read('rip'), registers.read('rsp')]);
    finish(timeline.seek(0));
    assert.deepEqual(machine.contexts, all.slice(0, 1));
    assert.equal(machine.contexts[0]?.lastLeft, undefined);
    finish(timeline.seek(timeline.end));
    assert.ok(machine.contexts.every((context, index) => context === all[index]));
    const again = all.map(({ lastLeft, registers }) => [{ ...lastLeft }, registers.read('rip'), registers.read('rsp')]);
    assert.deepEqual(again, end);
    // By execution, not by a snapshot at the end
    finish(timeline.seek(0));
    while (timeline.run(1_000_000).why !== 'ended' && timeline.now < timeline.end);
    assert.ok(machine.contexts.every((context, index) => context === all[index]));
  });

  it('tells of input before it takes effect, and does not tell of what does not', () => {
    const machine = createMachine(stack());
    const told: MachineInput[] = [];
    machine.onInput((input) => {
      told.push(input);
      assert.deepEqual(machine.readMemory(PHYSICAL, UNUSED, 2), Uint8Array.of(0, 0));
    });
    machine.writeMemory(PHYSICAL, UNUSED - 1n, Uint8Array.of(1, 2));
    const ranges = [
      { address: Number(UNUSED) - 1, bytes: Uint8Array.of(1) },
      { address: Number(UNUSED), bytes: Uint8Array.of(2) },
    ];
    assert.deepEqual(told, [{ kind: 'memory', ranges }]);
    assert.equal(machine.running(0).registers.write('no such register', 1n), false);
    assert.equal(machine.writeVmcs(hostPhysical(0x1000n), 0x7fff, 1n), false);
    assert.equal(machine.writeMemory(PHYSICAL, 1n << 40n, Uint8Array.of(1)), 0);
    assert.equal(told.length, 1);
  });

  it('is there again when the run comes to its moment and stops there of itself', () => {
    const { machine, timeline } = recorded(stack());
    let exits = 0;
    machine.addTaps({ vmExit: () => ++exits === 1 && machine.requestStop() });
    assert.equal(timeline.run(Infinity).why, 'requested');
    const { now } = timeline;
    const registers = () => machine.running(0).registers;
    assert.ok(registers().write('r15', 0x777n));
    finish(timeline.seek(now - 5));
    assert.notEqual(registers().read('r15'), 0x777n);
    exits = 0;
    timeline.run(Infinity);
    assert.equal(timeline.now, now);
    assert.equal(registers().read('r15'), 0x777n);
    assert.equal(timeline.branch, 0);
  });
});
