import assert from 'node:assert/strict';
import { PHYSICAL_ADDRESS_BITS } from '../../emulator/arch/address-width';
import { ENTRY_CHECKS } from '../../emulator/vmx';
import { CONTROL_CHECKS, EntryContext, GUEST_STATE_CHECKS, HOST_STATE_CHECKS } from '../../emulator/vmx/entry-checks';
import { ACCEPTED } from './accepted';
import { ExitKind } from '../../emulator/cpu/processor';
import { GUEST_RIP, HOST_RIP, instruction, VmxBench, ZF } from './bench';
import { VIOLATIONS } from './violations';

const QUALIFICATIONS: Readonly<Record<string, bigint>> = {
  'guest.interruptibility.nmi-sti': 3n,
  'guest.link-pointer.address': 4n,
  'guest.link-pointer.revision': 4n,
  'guest.link-pointer.shadow': 4n,
  'guest.link-pointer.current': 4n,
  'guest.pdpte0': 2n,
  'guest.pdpte1': 2n,
  'guest.pdpte2': 2n,
  'guest.pdpte3': 2n,
  'guest.pdptes-in-memory': 2n,
};

const brokenRows = (bench: VmxBench): string[] => {
  const context = new EntryContext(bench.vmx.core);
  return ENTRY_CHECKS.filter((row) => !row.holds(context)).map((row) => row.id);
};

describe('VM-entry checks (SDM vol. 3, 27.2 and 27.3)', () => {
  it('accept the VMCS that the violations start from, and enter it', () => {
    const bench = VmxBench.ready();
    assert.deepEqual(brokenRows(bench), []);
    assert.deepEqual(bench.launch(), { kind: 'done' });
    assert.ok(bench.vmx.nonRoot);
    assert.equal(bench.state.rip, GUEST_RIP);
    assert.deepEqual(bench.failures, []);
  });

  it('have ids, rules and sections, and a violation each', () => {
    const ids = ENTRY_CHECKS.map((row) => row.id);
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual([...ids].sort(), Object.keys(VIOLATIONS).sort());
    for (const row of ENTRY_CHECKS) assert.match(row.section, /^27\.[23]\./, row.id);
  });

  for (const row of ENTRY_CHECKS) {
    const violation = VIOLATIONS[row.id];
    if (!violation) continue;
    it(`${row.id}: ${row.rule}`, () => {
      const bench = VmxBench.ready();
      violation.break(bench);
      assert.deepEqual(brokenRows(bench).sort(), [row.id]);
      const outcome = bench.launch();
      if (CONTROL_CHECKS.includes(row) || HOST_STATE_CHECKS.includes(row)) {
        assert.deepEqual(outcome, { kind: 'done' });
        assert.equal(bench.state.rflags & 0x8d5n, ZF);
        assert.equal(bench.get('VM_INSTRUCTION_ERROR'), CONTROL_CHECKS.includes(row) ? 7n : 8n);
        assert.equal(bench.state.rip, 0x1237n);
        assert.equal(bench.failures[0]?.error, CONTROL_CHECKS.includes(row) ? 7 : 8);
      } else {
        assert.ok(GUEST_STATE_CHECKS.includes(row));
        assert.deepEqual(outcome, { kind: 'exit' });
        assert.equal(bench.get('EXIT_REASON'), 0x8000_0021n);
        assert.equal(bench.get('EXIT_QUALIFICATION'), QUALIFICATIONS[row.id] ?? 0n);
        assert.equal(bench.state.rip, HOST_RIP);
        assert.equal(bench.failures[0]?.exitReason, 0x8000_0021);
      }
      assert.ok(bench.vmx.core.root);
      assert.ok(!bench.vmcs.launched);
      assert.equal(bench.failures.length, 1);
      assert.equal(bench.failures[0]?.check, row.id);
      assert.equal(bench.failures[0]?.field, row.fields[0]);
      assert.equal(bench.failures[0]?.value, bench.get(row.fields[0]));
    });
  }
});

describe('VM-entry checks of a VMCS that was entered before', () => {
  const bench = VmxBench.ready();
  for (const row of ENTRY_CHECKS) {
    const violation = VIOLATIONS[row.id];
    if (!violation) continue;
    it(`${row.id} is found by VMRESUME after an entry that passed`, () => {
      bench.restart();
      bench.launch();
      assert.equal(bench.vmx.instruction(instruction('CPUID', 'cpuid', {}, 'CPUID')), ExitKind.Taken);
      assert.deepEqual(bench.failures, []);
      violation.break(bench);
      bench.simple('VMRESUME');
      assert.deepEqual(
        bench.failures.map(({ check }) => check),
        [row.id],
      );
    });
  }
});

describe('VM-entry checks accept', () => {
  for (const [what, prepare] of Object.entries(ACCEPTED)) {
    it(what, () => {
      const bench = VmxBench.ready();
      prepare(bench);
      assert.deepEqual(brokenRows(bench), []);
      bench.launch();
      assert.deepEqual(bench.failures, []);
      assert.ok(bench.vmx.nonRoot);
      assert.ok(bench.vmcs.launched);
    });
  }
});

describe('MSR areas', () => {
  for (const name of ['EXIT_MSR_STORE', 'EXIT_MSR_LOAD', 'ENTRY_MSR_LOAD'] as const)
    it(`${name}: the last byte counts for the physical-address width`, () => {
      const id = `control.${name.toLowerCase().replaceAll('_', '-')}.width`;
      const bench = VmxBench.ready();
      bench.set(`${name}_ADDRESS`, (1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 16n);
      bench.set(`${name}_COUNT`, 1);
      assert.deepEqual(brokenRows(bench), []);
      bench.set(`${name}_COUNT`, 2);
      assert.deepEqual(brokenRows(bench), [id]);
    });
});

describe('VMLAUNCH and VMRESUME before the checks (SDM vol. 3, 27.1)', () => {
  const report = (bench: VmxBench) => [bench.state.rflags & 0x8d5n, bench.get('VM_INSTRUCTION_ERROR')];

  it('fail invalid without a current VMCS', () => {
    const bench = VmxBench.ready();
    bench.pointer('VMCLEAR', 0x2000n);
    bench.launch();
    assert.equal(bench.state.rflags & 0x8d5n, 1n);
  });

  it('VMLAUNCH fails 4 when the VMCS is launched, VMRESUME 5 when it is not', () => {
    const bench = VmxBench.ready();
    bench.simple('VMRESUME');
    assert.deepEqual(report(bench), [ZF, 5n]);
    bench.vmcs.launched = true;
    bench.launch();
    assert.deepEqual(report(bench), [ZF, 4n]);
    assert.equal(bench.failures[1]?.check, 'entry.launch-state');
  });

  it('fail 26 right after MOV SS', () => {
    const bench = VmxBench.ready();
    bench.state.set32(0x3a4, 2);
    bench.launch();
    assert.deepEqual(report(bench), [ZF, 26n]);
  });
});
