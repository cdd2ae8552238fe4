import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import type { Machine, MachineConfiguration } from '../../emulator/machine/api';
import { createMachine } from '../../emulator/machine/machine';
import { buildAssembly } from '../asm/build';

/** The programs of test/asm whose results QEMU and the manual judge; here: that the machine is deterministic. */
describe('machine: several processors', function () {
  this.timeout(60_000);
  let kernel: MachineConfiguration['kernel'];
  let guests: MachineConfiguration['kernel'];

  before(async () => {
    kernel = { name: 'processors', bytes: new Uint8Array(readFileSync(await buildAssembly('processors'))) };
    guests = { name: 'guests', bytes: new Uint8Array(readFileSync(await buildAssembly('vmx-processors'))) };
  });

  const machine = (more: Partial<MachineConfiguration> = {}): Machine =>
    createMachine({ memory: 16, kernel, modules: [], commandLine: '', translator: true, processors: 4, ...more });

  /** Runs to the end in slices; what is left to compare. */
  function finish(one: Machine, slice: () => number): string {
    for (let i = 0; i < 10_000_000; i++) {
      const result = one.run(slice());
      if (result.why === 'limit') continue;
      assert.deepEqual(result, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
      return `${one.stateHash()} ${one.vcpus.map((vcpu) => vcpu.instructions).join(' ')}`;
    }
    throw new Error('it does not end');
  }

  it('is the same machine however its run is sliced', () => {
    for (const quantum of [7, 1000]) {
      for (const more of [{ quantum }, { quantum, kernel: guests, processors: 2 }]) {
        const whole = finish(machine(more), () => 10_000_000);
        assert.equal(
          finish(machine(more), () => 10_000_000),
          whole,
          'once more',
        );
        let seed = 12345;
        const random = (): number => {
          seed = (seed * 1103515245 + 12345) % 0x80000000;
          return 1 + (seed % 997);
        };
        assert.equal(finish(machine(more), random), whole, `turns of ${quantum}, slices from seed 12345`);
        assert.equal(
          finish(machine({ ...more, translator: false }), () => 12_345),
          whole,
          'interpreted',
        );
      }
    }
  });

  it('interleaves otherwise with another quantum', () => {
    const [a, b] = [10, 11].map((quantum) => finish(machine({ quantum }), () => 10_000_000));
    assert.notEqual(a, b);
  });

  it('gives each its turn by its own clock', () => {
    const one = machine({ quantum: 100 });
    const turns: number[] = [];
    let last = [0, 0, 0, 0];
    for (let i = 0; i < 60_000 && one.run(1).why === 'limit'; i++) {
      const now = one.vcpus.map((vcpu) => vcpu.instructions);
      const who = now.findIndex((count, vcpu) => count !== last[vcpu]);
      if (who >= 0 && turns.at(-1) !== who) turns.push(who);
      last = now;
    }
    assert.ok(turns.length > 100);
    assert.deepEqual([...new Set(turns)].sort(), [0, 1, 2, 3]);
  });

  it('counts the instructions of one vCPU, while the others run beside it', () => {
    const one = machine({ quantum: 10 });
    while (one.vcpus[2]!.instructions === 0) one.run(1);
    const before = one.vcpus.map((vcpu) => vcpu.instructions);
    assert.deepEqual(one.run(25, false, 2), { why: 'limit' });
    const after = one.vcpus.map((vcpu) => vcpu.instructions);
    assert.equal(after[2]! - before[2]!, 25);
    assert.ok(after[1]! > before[1]! && after[3]! > before[3]!);
    assert.throws(() => one.run(1, false, 4), /there is no vCPU 4: the machine has 4/);
  });

  it('returns when the vCPU that is counted waits for ever', () => {
    const one = machine({ quantum: 10 });
    one.writeMemory(one.running(0).space, one.vcpus[0]!.registers.read('rip')!, Uint8Array.of(0xeb, 0xfe));
    assert.deepEqual(one.run(1, false, 3), { why: 'limit' });
    assert.equal(one.vcpus[3]!.instructions, 0);
    assert.equal(one.vcpus[3]!.activity, 'waiting for SIPI');
    assert.equal(one.vcpus[0]!.instructions, 1_000_000);
  });

  it('ends as halted for ever only when all sleep', () => {
    const one = machine();
    // cli; hlt
    one.writeMemory(one.running(0).space, one.vcpus[0]!.registers.read('rip')!, Uint8Array.of(0xfa, 0xf4));
    assert.deepEqual(one.run(1000), { why: 'ended', outcome: { kind: 'halted-forever', vcpu: 0 } });
  });

  it('reads and writes the registers of those that do not run', () => {
    const one = machine({ quantum: 10 });
    while (one.runningVcpu !== 1) one.run(1);
    const { registers } = one.vcpus[3]!;
    assert.equal(registers.read('rip'), 0xfff0n);
    assert.equal(registers.write('rbx', 0x1234n), true);
    assert.equal(one.running(3).registers.read('rbx'), 0x1234n);
    assert.notEqual(one.vcpus[1]!.registers.read('rbx'), 0x1234n);
    assert.equal(registers.read('apic_base'), 0xfee00800n);
    assert.equal(one.vcpus[0]!.registers.read('apic_base'), 0xfee00900n);
  });

  it('ends with the triple fault of one, and says whose', () => {
    const one = machine({ quantum: 100 });
    while (one.vcpus[2]!.activity !== 'halted') one.run(100);
    const { registers } = one.vcpus[2]!;
    assert.equal(registers.write('idtr.limit', 0n), true);
    const result = one.run(10_000_000);
    assert.equal(result.why, 'ended');
    assert.ok(result.why === 'ended' && result.outcome.kind === 'triple-fault');
    assert.equal(result.outcome.vcpu, 2);
    assert.match(result.outcome.description, /IDT at 0x[0-9a-f]+ with limit 0x0/);
    assert.deepEqual(one.run(1), result, 'for good');
  });

  it('tells taps which vCPU it was', () => {
    const one = machine({ quantum: 100 });
    const seen = new Set<string>();
    one.addTaps({
      interrupt: (vector, vcpu) => seen.add(`${vector} on ${vcpu}`),
      controlRegister: (register, _value, vcpu) => seen.add(`CR${register} on ${vcpu}`),
    });
    assert.equal(one.run(10_000_000).why, 'ended');
    for (let vcpu = 0; vcpu < 4; vcpu++) {
      assert.ok(seen.has(`CR3 on ${vcpu}`));
      assert.ok(seen.has(`97 on ${vcpu}`));
    }
  });

  it('refuses numbers that cannot be', () => {
    assert.throws(() => machine({ processors: 0 }), /processors: .*Give a whole number from 1 to 8/);
    assert.throws(() => machine({ processors: 9 }), /processors/);
    assert.throws(() => machine({ quantum: 0.5 }), /quantum: .*Give a whole number from 1 to 1000000000/);
  });
});
