import assert from 'node:assert/strict';
import type { Machine, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import type { Processors } from '../../emulator/machine/processors';
import { RAM_BASE } from '../../emulator/memory/layout';
import type { MachineMemory } from '../../emulator/memory/machine-memory';
import { finish, type Moment } from '../../emulator/timeline/api';
import { lastWrite } from '../../emulator/timeline/queries/last-write';
import { lastRegisterWrite } from '../../emulator/timeline/queries/register-write';
import { createTimeline } from '../../emulator/timeline/timeline';
import { VMCS_DATA_SIZE } from '../../emulator/vmx/vmcs';
import { assembly, foreign, stack } from './programs';

const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const QUERIES = 8;
const REGISTERS = ['rax', 'rbx', 'rcx', 'rsp', 'rdi', 'r12', 'cr3'];

function randomNumbers(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

interface Written {
  readonly moment: Moment;
  readonly address: number;
  readonly before: Uint8Array;
  after: Uint8Array;
  /** A VM exit announces its whole region: only what changed is known to be written. */
  readonly bulk: boolean;
}

/** What a machine does that makes one transition at a time, with every write that it announces and each change of a register. */
class Oracle {
  readonly writes: Written[] = [];
  readonly registers: { moment: Moment; vcpu: number; name: string; after: bigint }[] = [];
  private readonly memory: MachineMemory;

  constructor(
    readonly machine: Machine,
    from: Moment,
    readonly length: number,
  ) {
    const inside = machine as unknown as { memory: MachineMemory; processors: Processors };
    this.memory = inside.memory;
    while (machine.moment < from) machine.run(Infinity, false, undefined, from);
    let moment = machine.moment;
    const fresh: Written[] = [];
    inside.memory.watchWrites({
      writing: (at, length) =>
        fresh.push({
          moment,
          address: at - RAM_BASE,
          before: this.read(at - RAM_BASE, length),
          after: new Uint8Array(),
          bulk: length === VMCS_DATA_SIZE,
        }),
      mayStore: () => false,
    });
    inside.processors.withdrawWrites();
    for (const end = moment + length; moment < end; moment++) {
      const vcpus = machine.vcpus.map(({ registers }) => REGISTERS.map((name) => registers.read(name) ?? 0n));
      const { why } = machine.run(Infinity, false, undefined, moment + 1);
      for (const write of fresh.splice(0)) {
        write.after = this.read(write.address, write.before.length);
        this.writes.push(write);
      }
      machine.vcpus.forEach(({ registers }, vcpu) =>
        REGISTERS.forEach((name, index) => {
          const after = registers.read(name) ?? 0n;
          if (after !== vcpus[vcpu]?.[index]) this.registers.push({ moment, vcpu, name, after });
        }),
      );
      if (why === 'ended') break;
      assert.equal(machine.moment, moment + 1);
    }
  }

  private read(address: number, length: number): Uint8Array {
    return this.memory.u8.slice(RAM_BASE + address, RAM_BASE + address + length);
  }

  /** The last write to a byte before a moment; of a bulk one only when it changed the byte */
  last(address: number, before: Moment): Written | undefined {
    return this.writes.findLast((write) => {
      const at = address - write.address;
      if (write.moment >= before || at < 0 || at >= write.before.length) return false;
      return !write.bulk || write.before[at] !== write.after[at];
    });
  }
}

/** Asks a recorded run, and compares with what the oracle saw. */
function ask(
  configuration: MachineConfiguration,
  from: Moment,
  length: number,
  random: (most: number) => number,
): void {
  const oracle = new Oracle(createMachine(configuration), from, length);
  assert.ok(oracle.writes.length > 10, 'the program writes');
  const end = oracle.machine.moment;
  for (const translator of [false, true]) {
    const machine = createMachine({ ...configuration, translator, translatorThreshold: 50 });
    const timeline = createTimeline(machine, { recording: true, interval: Math.ceil(end / 3.7) });
    while (timeline.now < end) if (timeline.run(Infinity, false, undefined, end).why === 'ended') break;
    for (let i = 0; i < QUERIES; i++) {
      const { address, before: bytes } = oracle.writes[random(oracle.writes.length)]!;
      const byte = address + random(bytes.length);
      const before = Math.max(from + 1, end - random(Math.ceil((end - from) * 0.8)));
      const what = `byte 0x${byte.toString(16)} before ${before} (${translator ? 'translated' : 'interpreted'})`;
      const expected = oracle.last(byte, before);
      const answer = finish(lastWrite(timeline, [{ address: byte, length: 1 }], before));
      if (!expected) {
        assert.ok(!answer || answer.moment < from || answer.by === 'vm-exit', what);
        continue;
      }
      assert.ok(answer, what);
      if (answer.moment !== expected.moment) {
        // A VM exit wrote what was there already: the oracle cannot see it.
        assert.equal(answer.by, 'vm-exit', `${what}: ${answer.by} at ${answer.moment}, not ${expected.moment}`);
        assert.ok(answer.moment > expected.moment && answer.moment < before, what);
        assert.deepEqual(answer.before, answer.after, what);
        continue;
      }
      assert.equal(answer.hostPhysical, byte);
      assert.equal(answer.after[0], expected.after[byte - expected.address], what);
    }
    finish(timeline.seek(end));
    for (let i = 0; i < QUERIES / 2; i++) {
      const vcpu = random(machine.vcpus.length);
      const name = REGISTERS[random(REGISTERS.length)]!;
      const before = Math.max(from + 1, end - random(Math.ceil((end - from) * 0.5)));
      const changed = oracle.registers.findLast((c) => c.vcpu === vcpu && c.name === name && c.moment < before);
      if (!changed) continue;
      finish(timeline.seek(before));
      const answer = finish(lastRegisterWrite(timeline, vcpu, name, before));
      const what = `${name} of vCPU ${vcpu} before ${before}`;
      assert.ok(answer, what);
      assert.equal(answer.after, changed.after, what);
      if (answer.before !== answer.after) assert.equal(answer.moment, changed.moment, what);
      else assert.ok(answer.moment > changed.moment, what);
    }
  }
}

describe('timeline: who last wrote', function () {
  this.timeout(600_000);
  const random = randomNumbers(SEED);
  before(() => console.log(`      seed ${SEED}`));

  for (const name of [
    'exceptions',
    'interrupts',
    'page-faults',
    'string-instructions',
    'translation-caches',
    'task-switches',
  ])
    it(`in ${name}`, async () => ask(await assembly(name), 0, 6000, random));

  for (const name of ['ide-disk', 'virtio-disk', 'iommu-disk'])
    it(`in ${name}, by DMA too`, async () => ask(await assembly(name), 0, 40_000, random));

  for (const name of ['processors', 'vmx-processors'])
    it(`in ${name}, by several vCPUs`, async () => ask(await assembly(name, { quantum: 700 }), 0, 20_000, random));

  it('in the three layers of the sample', () => ask(stack(), 600_000, 30_000, random));

  it('in a hypervisor of another make', async () => ask(await foreign(), 20_000, 30_000, random));
});
