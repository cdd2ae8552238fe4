import assert from 'node:assert/strict';
import { find, namesOf, nearest, SUBJECTS, type Subject } from '../../debug-adapter/explain';
import { objectOf, textOf } from '../../debug-adapter/explain/text';
import { CAPABILITY_MSRS } from '../../emulator/arch/capability-msrs';
import { CONTROL_WORDS } from '../../emulator/arch/controls';
import { qualificationFormat } from '../../emulator/arch/exit-qualification';
import { EXIT_REASONS } from '../../emulator/arch/exit-reasons';
import { MSRS } from '../../emulator/arch/msrs';
import { x2ApicMsr } from '../../emulator/arch/x2apic-msrs';
import { VMCS_FIELD_SYMBOLS } from '../../emulator/arch/vmcs-fields';
import { readMsr } from '../../emulator/cpu/msr';
import { ENTRY_CHECKS } from '../../emulator/vmx';
import { VmxBench } from '../vmx/bench';

const subject = (kind: string): Subject => SUBJECTS.find((one) => one.kind === kind) ?? assert.fail(kind);
const symbols = (kind: string, name: string) => find(subject(kind), name).map((row) => row.symbol);
const fact = (kind: string, name: string, label: string): string =>
  new Map(find(subject(kind), name)[0]?.facts).get(label) ?? assert.fail(`${kind} ${name}: no ${label}`);

describe('explanations', () => {
  for (const one of SUBJECTS) {
    it(`${one.kind}: every row is found by each of its names and says something, with a section`, () => {
      assert.equal(new Set(one.rows.map((row) => row.symbol)).size, one.rows.length);
      for (const row of one.rows) {
        for (const name of namesOf(row)) {
          assert.ok(find(one, name).includes(row), `${row.symbol} by "${name}"`);
          assert.ok(find(one, name.toUpperCase()).includes(row), `${row.symbol} by "${name}" in capitals`);
        }
        assert.deepEqual(find(one, row.symbol), [row], row.symbol);
        if (row.number) assert.deepEqual(find(one, `0x${row.number.value.toString(16)}`), [row], row.symbol);
        assert.match(row.explanation, /^\S.{4,}[.]$/, row.symbol);
        assert.match(row.section, /^SDM vol\. [34], ([A-D]|\d+)(\.\d+)+$/, row.symbol);
        assert.ok(row.facts.length > 0);
        for (const [label, value] of row.facts) assert.ok(label !== '' && value !== '', `${row.symbol}: ${label}`);
        assert.ok(textOf(row).includes(row.explanation) && textOf(row).includes(row.section));
        assert.deepEqual(JSON.parse(JSON.stringify(objectOf(one.kind, row))), objectOf(one.kind, row));
      }
    });
  }

  it('are about every row of the tables', () => {
    const of = (kind: string) => subject(kind).rows.map((row) => row.symbol);
    assert.deepEqual(of('exit'), Object.keys(EXIT_REASONS));
    assert.deepEqual(of('field'), VMCS_FIELD_SYMBOLS);
    assert.deepEqual(of('msr').sort(), [...Object.keys(MSRS), ...Object.keys(CAPABILITY_MSRS)].sort());
    for (const { id } of ENTRY_CHECKS) assert.ok(of('vmentry').includes(id), id);
    for (const [key, word] of Object.entries(CONTROL_WORDS))
      for (const symbol of Object.keys(word.controls)) assert.ok(of('control').includes(`${key}.${symbol}`), symbol);
  });

  it('find an exit reason by the whole exit-reason field', () => {
    assert.deepEqual(symbols('exit', '48'), ['EPT_VIOLATION']);
    assert.deepEqual(symbols('exit', '0x80000021'), ['ENTRY_FAILURE_GUEST_STATE']);
    assert.deepEqual(symbols('exit', '35'), []);
    assert.match(fact('exit', 'ept violation', 'Exit qualification'), /0 read; 1 write; 2 fetch/);
    assert.equal(fact('exit', 'cpuid', 'Exit qualification'), 'none');
    for (const row of Object.values(EXIT_REASONS))
      assert.equal(qualificationFormat(row.number), qualificationFormat((row.number | 0x8000_0000) >>> 0));
  });

  it('find a field by either half of its encoding, and tell whether it exists', () => {
    assert.deepEqual(symbols('field', '0x201b'), ['EPT_POINTER']);
    assert.deepEqual(symbols('field', 'EPTP'), ['EPT_POINTER']);
    assert.match(fact('field', 'eptp', 'Access'), /0x201a.*0x201b/);
    assert.match(fact('field', 'EPT_POINTER', 'Exists'), /"Enable EPT" .*; exists here/);
    assert.match(fact('field', 'ENCLV_EXITING_BITMAP', 'Exists'), /does not exist here/);
    assert.equal(fact('field', 'GUEST_RIP', 'Exists'), 'always');
    assert.match(fact('field', 'EXIT_REASON', 'Access'), /IA32_VMX_MISC bit 29/);
  });

  it('find all VM-entry checks that read a field, with what follows', () => {
    const expected = ENTRY_CHECKS.filter(({ fields }) => fields.includes('HOST_CR4')).map(({ id }) => id);
    assert.ok(expected.length > 1);
    for (const name of ['HOST_CR4', 'Host CR4', '0x6c04']) assert.deepEqual(symbols('vmentry', name), expected);
    assert.match(fact('vmentry', 'host.cr4', 'Otherwise'), /^VMfailValid, VM-instruction error 8/);
    assert.match(fact('vmentry', 'GUEST_RFLAGS', 'Otherwise'), /^VM exit with reason 33/);
    assert.match(fact('vmentry', 'entry.mov-ss', 'Otherwise'), /error 26/);
    assert.match(fact('vmentry', 'entry.msr-load', 'Otherwise'), /reason 34/);
    assert.deepEqual(symbols('vmentry', 'EXIT_REASON'), []);
  });

  it('find all controls of one name, with position and capability MSR', () => {
    assert.deepEqual(symbols('control', 'Load IA32_EFER'), ['exit.LOAD_EFER', 'entry.LOAD_EFER']);
    assert.match(fact('control', 'enable ept', 'Position'), /^bit 1 of the secondary.*0x401e/);
    assert.match(fact('control', 'enable ept', 'Capability'), /IA32_VMX_PROCBASED_CTLS2 \(0x48b\): bit 33/);
    assert.match(fact('control', 'HLT_EXITING', 'Capability'), /IA32_VMX_TRUE_PROCBASED_CTLS \(0x48e\)/);
    assert.match(fact('control', 'enable ept', 'Brings'), /EPT_POINTER/);
    assert.equal(fact('control', 'PASID translation', 'Here'), 'not implemented; must be 0');
  });

  it('are about every MSR that the processor has, and say of each whether it is there', () => {
    const { cpu } = new VmxBench();
    const known = new Map(subject('msr').rows.map((row) => [row.number?.value, row]));
    for (const base of [0, 0xc000_0000]) {
      for (let index = base; index < base + 0x2000; index++) {
        const there = readMsr(cpu, index) !== undefined || index === 0x6e0 || x2ApicMsr(index) !== undefined;
        const here = new Map(known.get(index)?.facts).get('Here');
        assert.equal(here !== undefined && !here.startsWith('does not exist'), there, `MSR 0x${index.toString(16)}`);
      }
    }
  });

  it('offer what is most like a name that does not exist', () => {
    assert.equal(nearest(subject('exit'), 'EPT_VIOLATON')[0], 'EPT_VIOLATION');
    assert.ok(nearest(subject('field'), 'GUEST_RPI').slice(0, 2).includes('GUEST_RIP'));
    assert.ok(nearest(subject('msr'), 'TRUE_EXIT')[0] === 'IA32_VMX_TRUE_EXIT_CTLS');
    for (const one of SUBJECTS) {
      assert.deepEqual(find(one, 'no such thing at all'), []);
      assert.deepEqual(find(one, ''), []);
      assert.ok(nearest(one, 'no such thing at all').length > 0);
    }
  });
});
