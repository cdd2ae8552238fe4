import assert from 'node:assert/strict';
import { VmxMsr } from '../../emulator/arch/capability-msrs';
import { CONTROL_WORDS, type ControlRow, type ControlWordKey } from '../../emulator/arch/controls';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsFieldExists, vmcsIndex } from '../../emulator/arch/vmcs-fields';
import { readMsr, writeMsr } from '../../emulator/cpu/msr';
import { cr4Supported } from '../../emulator/cpu/control-registers';
import { VMCS_REGION_SIZE, VMCS_REVISION } from '../../emulator/vmx';
import { VmxBench } from './bench';

const bench = new VmxBench();
const msr = (index: number): bigint => readMsr(bench.cpu, index) ?? assert.fail(`no MSR 0x${index.toString(16)}`);
const low = (value: bigint): number => Number(value & 0xffff_ffffn);
const high = (value: bigint): number => Number(value >> 32n);

const PLAIN: Readonly<Record<ControlWordKey, number>> = {
  pin: VmxMsr.IA32_VMX_PINBASED_CTLS,
  primary: VmxMsr.IA32_VMX_PROCBASED_CTLS,
  secondary: VmxMsr.IA32_VMX_PROCBASED_CTLS2,
  exit: VmxMsr.IA32_VMX_EXIT_CTLS,
  entry: VmxMsr.IA32_VMX_ENTRY_CTLS,
};
const TRUE: Readonly<Record<ControlWordKey, number | undefined>> = {
  pin: VmxMsr.IA32_VMX_TRUE_PINBASED_CTLS,
  primary: VmxMsr.IA32_VMX_TRUE_PROCBASED_CTLS,
  secondary: undefined,
  exit: VmxMsr.IA32_VMX_TRUE_EXIT_CTLS,
  entry: VmxMsr.IA32_VMX_TRUE_ENTRY_CTLS,
};

describe('VMX capability MSRs (SDM vol. 3, appendix A)', () => {
  it('IA32_VMX_BASIC tells revision, region size, write-back memory, and that the TRUE MSRs exist', () => {
    const basic = msr(VmxMsr.IA32_VMX_BASIC);
    assert.equal(low(basic) & 0x7fff_ffff, VMCS_REVISION);
    assert.equal(basic & (1n << 31n), 0n);
    assert.equal(Number((basic >> 32n) & 0x1fffn), VMCS_REGION_SIZE);
    assert.equal((basic >> 50n) & 15n, 6n);
    assert.equal((basic >> 55n) & 1n, 1n);
  });

  for (const key of Object.keys(PLAIN) as ControlWordKey[]) {
    const word = CONTROL_WORDS[key];
    it(`${word.name}: exactly the implemented controls and the default1 class may be 1`, () => {
      const allowed = high(msr(PLAIN[key]));
      const rows: readonly ControlRow[] = Object.values(word.controls);
      for (let bit = 0; bit < 32; bit++) {
        const default1 = ((word.default1 >>> bit) & 1) === 1;
        const row = rows.find((candidate) => candidate.bit === bit);
        assert.equal(((allowed >>> bit) & 1) === 1, default1 || row?.implemented === true, `bit ${bit}`);
      }
    });

    it(`${word.name}: what must be 1 may be 1, and the TRUE MSR only relaxes`, () => {
      const plain = msr(PLAIN[key]);
      assert.equal(low(plain) & ~high(plain), 0);
      assert.equal(low(plain), word.default1);
      const trueIndex = TRUE[key];
      if (trueIndex === undefined) return;
      const relaxed = msr(trueIndex);
      assert.equal(high(relaxed), high(plain));
      assert.equal(low(relaxed) & ~low(plain), 0);
      assert.equal((low(plain) & ~low(relaxed)) >>> 0, word.relaxed);
    });
  }

  it('CR0 and CR4: fixed-to-1 bits may be 1, and CR4 tells what MOV to CR4 accepts', () => {
    assert.equal(msr(VmxMsr.IA32_VMX_CR0_FIXED0), 0x8000_0021n);
    assert.equal(msr(VmxMsr.IA32_VMX_CR0_FIXED1), 0xffff_ffffn);
    assert.equal(msr(VmxMsr.IA32_VMX_CR4_FIXED0), 0x2000n);
    assert.equal(msr(VmxMsr.IA32_VMX_CR4_FIXED1), cr4Supported(bench.cpu));
  });

  it('IA32_VMX_VMCS_ENUM tells the highest index in use', () => {
    const indices = VMCS_FIELD_SYMBOLS.map((symbol) => VMCS_FIELDS[symbol]).filter(vmcsFieldExists);
    const highest = Math.max(...indices.map((row) => vmcsIndex(row.encoding)));
    assert.equal(msr(VmxMsr.IA32_VMX_VMCS_ENUM), BigInt(highest) << 1n);
  });

  it('IA32_VMX_EPT_VPID_CAP tells 4 and 5 levels, both large pages, advanced information, and every INVEPT and INVVPID type', () => {
    const capabilities = msr(VmxMsr.IA32_VMX_EPT_VPID_CAP);
    for (const bit of [0, 6, 7, 8, 14, 16, 17, 20, 21, 22, 25, 26, 32, 40, 41, 42, 43])
      assert.equal((capabilities >> BigInt(bit)) & 1n, 1n, `bit ${bit}`);
    assert.equal((capabilities >> 23n) & 1n, 0n, 'no supervisor shadow-stack control');
  });

  it('cannot be written; MSRs of absent features are not there', () => {
    for (let index = 0x480; index <= 0x493; index++) assert.ok(!writeMsr(bench.cpu, index, 0n));
    for (const index of [VmxMsr.IA32_VMX_PROCBASED_CTLS3, VmxMsr.IA32_VMX_EXIT_CTLS2])
      assert.equal(readMsr(bench.cpu, index), undefined);
  });
});
