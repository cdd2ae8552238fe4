import { strict as assert } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Machine } from '../../emulator/machine/api';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { createMachine } from '../../emulator/machine/machine';

/** The built images of the sample; `npm run samples` makes them. */
const BUILD = path.resolve('samples/cloudvisor/build');
const image = (name: string) => ({ name, bytes: new Uint8Array(readFileSync(path.join(BUILD, `${name}.elf`))) });

function stack(modules: readonly string[], translator = false): Machine {
  const kernel = image('vmm');
  // A low threshold, so that translated code runs in every layer.
  return createMachine({
    memory: 64,
    kernel,
    modules: modules.map(image),
    commandLine: '',
    translator,
    translatorThreshold: 1000,
  });
}

const END = { why: 'ended', outcome: { kind: 'exit-port', code: 0 } };
const PLENTY = 200_000_000;

/** Instructions until the VMM is about to leave VMX operation, where the guest is destroyed. */
function beforeTheEndOfTheGuest(): number {
  const machine = stack(['monitor', 'guest']);
  let over = false;
  machine.addTaps({ vmExit: ({ reason }) => (over ||= reason === ExitReason.VMXOFF) });
  let before = 0;
  while (!over) {
    before = machine.instructions;
    assert.equal(machine.run(100).why, 'limit');
  }
  return before;
}

describe('machine: the monitor, VMM and guest stack', function () {
  this.timeout(120_000);

  before(() => assert.ok(existsSync(path.join(BUILD, 'monitor.elf')), 'build the samples first: npm run samples'));

  it('is the same machine however its run is sliced', () => {
    const whole = stack(['monitor', 'guest']);
    assert.deepEqual(whole.run(PLENTY), END);
    const sliced = stack(['monitor', 'guest']);
    let result = sliced.run(1);
    // Slices of changing odd lengths: a fixed generator, so that a failure can be repeated.
    for (let seed = 1; result.why === 'limit';) {
      seed = (seed * 48271) % 0x7fffffff;
      result = sliced.run(1 + (seed % 5000));
    }
    assert.deepEqual(result, END);
    assert.equal(sliced.instructions, whole.instructions);
    assert.equal(sliced.stateHash(), whole.stateHash());
  });

  it('is the same machine interpreted and translated', () => {
    const interpreted = stack(['monitor', 'guest']);
    const translated = stack(['monitor', 'guest'], true);
    assert.deepEqual(interpreted.run(PLENTY), END);
    assert.deepEqual(translated.run(PLENTY), END);
    assert.equal(translated.instructions, interpreted.instructions);
    assert.equal(translated.stateHash(), interpreted.stateHash());
  });

  it('has a context for each layer, with the registers at its last exit', () => {
    const machine = stack(['monitor', 'guest']);
    const exits = new Map<bigint, { n: number; rip: bigint }>();
    machine.addTaps({ vmExit: (record) => exits.set(record.vmcs, { n: record.n, rip: record.rip }) });
    machine.run(beforeTheEndOfTheGuest());
    assert.equal(machine.contexts.length, 3, 'monitor (which took over from the VMM), VMM, guest');
    const [root, vmm, guest] = machine.contexts;
    assert.deepEqual([root!.root, vmm!.root, guest!.root], [true, false, false]);
    assert.equal(machine.running(0), vmm, 'the VMM tells how the guest ended');
    assert.deepEqual(machine.interrupted(0), [root, guest]);
    const last = exits.get(guest!.vmcs!);
    assert.equal(guest!.registers.read('rip'), last?.rip);
    assert.equal(guest!.lastLeft?.n, last?.n);
    assert.equal(guest!.lastLeft?.kind, 'exit');
    assert.equal(root!.lastLeft?.kind, 'entry');
    assert.notEqual(guest!.space.eptp, 0n);
    assert.equal(
      guest!.registers.write('rax', 1n),
      false,
      'registers of a context that does not run are kept, not live',
    );
    const code = machine.readMemory(guest!.space, last!.rip, 4);
    assert.equal(code.length, 4, "the guest's code is read through its own tables and EPT");
    const walk = machine.walk(guest!.space, last!.rip);
    assert.ok(walk.steps.some((step) => step.table === 'ept') && walk.steps.some((step) => step.table === 'paging'));
    assert.equal(walk.failure, undefined);
  });
});
