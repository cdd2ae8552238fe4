import assert from 'node:assert/strict';
import { CONTROL_WORDS, type ControlRow, type ControlWordKey } from '../../emulator/arch/controls';
import {
  EXIT_REASONS,
  ExitReason,
  exitReason,
  exitReasonName,
  exitReasonSymbol,
} from '../../emulator/arch/exit-reasons';
import {
  VM_INSTRUCTION_ERRORS,
  VmInstructionError,
  vmInstructionErrorText,
} from '../../emulator/arch/vm-instruction-errors';
import {
  Field,
  VMCS_FIELDS,
  VMCS_FIELD_SYMBOLS,
  vmcsAccessHigh,
  vmcsField,
  vmcsFieldExists,
  vmcsFieldType,
  vmcsIndex,
  vmcsWidth,
} from '../../emulator/arch/vmcs-fields';
import { INSTRUCTION_EXITS } from '../../emulator/vmx';
import { VMCS_REGION_SIZE } from '../../emulator/vmx';
import { Slot, vmcsFieldOffset } from '../../emulator/vmx/vmcs';

const unique = (values: readonly unknown[]): boolean => new Set(values).size === values.length;

describe('VMCS field table (SDM vol. 3, appendix B)', () => {
  it('has each encoding, name and slot once', () => {
    const rows = VMCS_FIELD_SYMBOLS.map((symbol) => VMCS_FIELDS[symbol]);
    assert.ok(unique(rows.map((row) => row.encoding)));
    assert.ok(unique(rows.map((row) => row.name)));
    assert.ok(unique(Object.values(Slot)));
    assert.ok(Math.max(...Object.values(Slot)) + 8 <= VMCS_REGION_SIZE);
  });

  it('has encodings that are made of width, type and index, without reserved bits', () => {
    for (const symbol of VMCS_FIELD_SYMBOLS) {
      const { encoding } = VMCS_FIELDS[symbol];
      const width = { 16: 0, 64: 1, 32: 2, natural: 3 }[vmcsWidth(encoding)];
      const type = ['control', 'read-only data', 'guest state', 'host state'].indexOf(vmcsFieldType(encoding));
      assert.equal((width << 13) | (type << 10) | (vmcsIndex(encoding) << 1), encoding, symbol);
    }
  });

  it('agrees with the types that the names tell', () => {
    for (const symbol of VMCS_FIELD_SYMBOLS) {
      const { encoding, name } = VMCS_FIELDS[symbol];
      if (symbol.startsWith('HOST_')) assert.equal(vmcsFieldType(encoding), 'host state', name);
      const guestData =
        symbol.startsWith('GUEST_') && !['GUEST_PHYSICAL_ADDRESS', 'GUEST_LINEAR_ADDRESS'].includes(symbol);
      if (guestData) assert.equal(vmcsFieldType(encoding), 'guest state', name);
      if (/selector$/.test(name)) assert.equal(vmcsWidth(encoding), 16, name);
      if (/(access rights|limit)$/.test(name)) assert.equal(vmcsWidth(encoding), 32, name);
      if (/ base$/.test(name)) assert.equal(vmcsWidth(encoding), 'natural', name);
    }
  });

  it('numbers the fields of one class without a gap, apart from those that the manual leaves out', () => {
    const gaps = new Set([0x2046, 0x2048, 0x482c]);
    const known = new Set(VMCS_FIELD_SYMBOLS.map((symbol) => VMCS_FIELDS[symbol].encoding));
    for (const encoding of known) {
      if (vmcsIndex(encoding) === 0 || gaps.has(encoding - 2)) continue;
      assert.ok(known.has(encoding - 2), `0x${encoding.toString(16)} follows a gap`);
    }
  });

  it('finds fields by encoding, and the high half of 64-bit fields only', () => {
    assert.equal(vmcsField(0x681e)?.name, 'Guest RIP');
    assert.equal(vmcsField(0x201b)?.name, 'EPT pointer (EPTP)');
    assert.equal(vmcsField(0x681f), undefined);
    assert.ok(vmcsAccessHigh(0x2001));
    assert.ok(!vmcsAccessHigh(0x4001));
    assert.equal(vmcsFieldOffset(Field.EPT_POINTER | 1), Slot.EPT_POINTER + 4);
    assert.equal(vmcsFieldOffset(Field.GUEST_RIP | 1), 0);
  });

  it('gives this processor the fields of implemented controls only', () => {
    assert.ok(vmcsFieldExists(VMCS_FIELDS.VPID));
    assert.ok(!vmcsFieldExists(VMCS_FIELDS.SUB_PAGE_PERMISSION_TABLE));
    assert.equal(vmcsFieldOffset(Field.SUB_PAGE_PERMISSION_TABLE), 0);
    assert.equal(vmcsFieldOffset(0x8000), 0);
    assert.equal(vmcsFieldOffset(-1), 0);
  });
});

describe('VMX controls', () => {
  for (const key of Object.keys(CONTROL_WORDS) as ControlWordKey[]) {
    const word = CONTROL_WORDS[key];
    const rows: readonly ControlRow[] = Object.values(word.controls);

    it(`${word.name}: bits and names occur once, in ascending order`, () => {
      const bits = rows.map((row) => row.bit);
      assert.deepEqual(
        bits,
        [...bits].sort((a, b) => a - b),
      );
      assert.ok(unique(bits));
      assert.ok(unique(rows.map((row) => row.name)));
    });

    it(`${word.name}: a default1 bit that may be 0 has a name, and no other one may`, () => {
      for (let bit = 0; bit < 32; bit++) {
        const named = rows.some((row) => row.bit === bit);
        const default1 = ((word.default1 >>> bit) & 1) === 1;
        const relaxed = ((word.relaxed >>> bit) & 1) === 1;
        if (default1) assert.equal(relaxed, named, `bit ${bit}`);
        else assert.ok(!relaxed, `bit ${bit}`);
      }
    });
  }
});

describe('exit reasons and error numbers', () => {
  it('has each number and name once, ascending', () => {
    const rows = Object.values(EXIT_REASONS);
    assert.ok(unique(rows.map((row) => row.number)));
    assert.ok(unique(rows.map((row) => row.name)));
    for (let i = 1; i < rows.length; i++) assert.ok((rows[i]?.number ?? 0) > (rows[i - 1]?.number ?? 0));
  });

  it('finds a reason whatever the flags of the exit-reason field', () => {
    assert.equal(exitReasonSymbol(0x8000_0021), 'ENTRY_FAILURE_GUEST_STATE');
    assert.equal(exitReason(48)?.name, 'EPT violation');
    assert.equal(exitReasonName(35), 'reserved reason 35');
    assert.equal(ExitReason.VMCALL, 18);
  });

  it('has a text for every VM-instruction error', () => {
    assert.deepEqual(
      VM_INSTRUCTION_ERRORS.map((row) => row.number),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 28],
    );
    assert.deepEqual(
      Object.values(VmInstructionError),
      VM_INSTRUCTION_ERRORS.map((row) => row.number),
    );
    assert.equal(vmInstructionErrorText(7), 'VM entry with invalid control field(s)');
  });

  it('has a rule of VM exit for every name that the instruction table uses', () => {
    for (const [rule, row] of Object.entries(INSTRUCTION_EXITS)) assert.ok(row.decides.length > 0, rule);
  });
});
