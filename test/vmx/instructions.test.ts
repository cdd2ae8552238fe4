import assert from 'node:assert/strict';
import { Cr4, Efer } from '../../emulator/arch/control-registers';
import { Vector } from '../../emulator/arch/exceptions';
import { Field } from '../../emulator/arch/vmcs-fields';
import { hostPhysical } from '../../emulator/memory/address';
import { Segment, State } from '../../emulator/memory/layout';
import { readVmcsField, readVmcsHeader, writeVmcsField, VMCS_REVISION } from '../../emulator/vmx';
import { CF, instruction, OPERAND, OTHER_VMCS, VMCS_REGION, VmxBench, VMXON_REGION, ZF } from './bench';

const REPORT = 0x8d5n;
const NONE = (1n << 64n) - 1n;
const BEYOND = 1n << 45n;

/** What the instruction reported: VMsucceed, VMfailInvalid, or VMfailValid with a number. */
function report(bench: VmxBench): string {
  const flags = bench.state.rflags & REPORT;
  if (flags === 0n) return 'succeed';
  if (flags === CF) return 'invalid';
  if (flags === ZF) return `valid ${bench.get('VM_INSTRUCTION_ERROR')}`;
  return `flags 0x${flags.toString(16)}`;
}

const UD = { kind: 'fault', vector: Vector.UD, errorCode: undefined };
const GP = { kind: 'fault', vector: Vector.GP, errorCode: 0 };
const POINTERS = ['VMCLEAR', 'VMPTRLD', 'VMPTRST'] as const;
const SIMPLE = ['VMLAUNCH', 'VMRESUME', 'VMXOFF', 'VMCALL'] as const;

/** VMREAD or VMWRITE between registers: RAX the value, RBX the encoding. */
function field(bench: VmxBench, mnemonic: 'VMREAD' | 'VMWRITE', encoding: bigint | number): string {
  bench.state.setGpr(3, BigInt(encoding));
  const outcome = bench.run(instruction(mnemonic, mnemonic.toLowerCase(), { reg: 3, rm: 0 }, 'VMX'));
  assert.equal(outcome.kind, 'done');
  return report(bench);
}

/** INVEPT or INVVPID with the type in RAX and a descriptor at OPERAND. */
function invalidate(bench: VmxBench, mnemonic: 'INVEPT' | 'INVVPID', type: bigint, low: bigint, high = 0n): string {
  bench.state.setGpr(0, type);
  bench.write64(OPERAND, low);
  bench.write64(OPERAND + 8n, high);
  const more = { mod: 0, isMemory: true, displacement: OPERAND, reg: 0 };
  assert.equal(bench.run(instruction(mnemonic, mnemonic.toLowerCase(), more, 'VMX')).kind, 'done');
  return report(bench);
}

describe('VMXON', () => {
  it('enters root operation without a current VMCS', () => {
    const bench = new VmxBench();
    assert.deepEqual(bench.pointer('VMXON', VMXON_REGION), { kind: 'done' });
    assert.equal(report(bench), 'succeed');
    assert.ok(bench.vmx.core.on && bench.vmx.core.root);
    assert.equal(bench.vmx.core.currentVmcs, NONE);
    assert.ok(bench.vmx.blocksInit);
  });

  it('raises #UD without CR4.VMXE, in real, virtual-8086 and compatibility mode', () => {
    const without = new VmxBench();
    without.state.cr4 &= ~Cr4.VMXE;
    assert.deepEqual(without.pointer('VMXON', VMXON_REGION), UD);
    const compatibility = new VmxBench();
    compatibility.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    assert.deepEqual(compatibility.pointer('VMXON', VMXON_REGION), UD);
    const real = new VmxBench();
    real.state.cr0 = 0n;
    real.state.efer &= ~Efer.LMA;
    assert.deepEqual(real.pointer('VMXON', VMXON_REGION), UD);
    const virtual = new VmxBench();
    virtual.state.efer &= ~Efer.LMA;
    virtual.state.rflags |= 1n << 17n;
    assert.deepEqual(virtual.pointer('VMXON', VMXON_REGION), UD);
  });

  it('raises #GP(0) above CPL 0, with unsupported CR0, and unless IA32_FEATURE_CONTROL is locked and on', () => {
    const user = new VmxBench();
    user.state.setSegment(Segment.SS, { selector: 19, access: 0xc0f3, limit: 0xffffffff, base: 0n });
    assert.deepEqual(user.pointer('VMXON', VMXON_REGION), GP);
    const noNe = new VmxBench();
    noNe.state.cr0 &= ~0x20n;
    assert.deepEqual(noNe.pointer('VMXON', VMXON_REGION), GP);
    for (const value of [0n, 1n, 3n, 4n]) {
      const off = new VmxBench();
      off.state.set64(State.FEATURE_CONTROL, value);
      assert.deepEqual(off.pointer('VMXON', VMXON_REGION), GP, `IA32_FEATURE_CONTROL ${value}`);
    }
  });

  it('fails invalid for a bad pointer or revision, valid 15 in root operation', () => {
    const bench = new VmxBench();
    for (const pointer of [VMXON_REGION + 8n, BEYOND, OPERAND]) {
      bench.pointer('VMXON', pointer);
      assert.equal(report(bench), 'invalid', pointer.toString(16));
    }
    bench.write32(VMXON_REGION, (VMCS_REVISION | 0x8000_0000) >>> 0);
    bench.pointer('VMXON', VMXON_REGION);
    assert.equal(report(bench), 'invalid', 'bit 31 of the revision');
    const on = VmxBench.ready();
    on.pointer('VMXON', VMXON_REGION);
    assert.equal(report(on), 'valid 15');
  });
});

describe('VMX instructions outside VMX operation and without privilege', () => {
  it('raise #UD before VMXON', () => {
    for (const mnemonic of POINTERS) assert.deepEqual(new VmxBench().pointer(mnemonic, VMCS_REGION), UD, mnemonic);
    for (const mnemonic of SIMPLE) assert.deepEqual(new VmxBench().simple(mnemonic), UD, mnemonic);
  });

  it('raise #GP(0) above CPL 0 in root operation', () => {
    for (const mnemonic of [...POINTERS, ...SIMPLE]) {
      const bench = VmxBench.ready();
      bench.state.setSegment(Segment.SS, { selector: 19, access: 0xc0f3, limit: 0xffffffff, base: 0n });
      bench.cpu.contextChanged();
      const pointer = (POINTERS as readonly string[]).includes(mnemonic);
      assert.deepEqual(pointer ? bench.pointer(mnemonic, VMCS_REGION) : bench.simple(mnemonic), GP, mnemonic);
    }
  });

  it('VMFUNC raises #UD', () => {
    const bench = VmxBench.ready();
    assert.deepEqual(bench.run(instruction('VMFUNC', 'vmfunc', {}, 'VMFUNC')), UD);
  });
});

describe('VMXOFF and VMCALL in root operation', () => {
  it('VMXOFF leaves VMX operation', () => {
    const bench = VmxBench.ready();
    bench.simple('VMXOFF');
    assert.equal(bench.vmx.core.on, false);
    assert.equal(bench.state.rflags & REPORT, 0n);
  });

  it('VMCALL fails valid 1, or invalid without a current VMCS', () => {
    const bench = VmxBench.ready();
    bench.simple('VMCALL');
    assert.equal(report(bench), 'valid 1');
    bench.pointer('VMCLEAR', VMCS_REGION);
    bench.simple('VMCALL');
    assert.equal(report(bench), 'invalid');
  });
});

describe('VMCLEAR, VMPTRLD, VMPTRST', () => {
  it('VMCLEAR clears the launch state, and the current-VMCS pointer if it names the region', () => {
    const bench = VmxBench.ready();
    bench.vmcs.launched = true;
    bench.pointer('VMCLEAR', OTHER_VMCS);
    assert.equal(bench.vmx.core.currentVmcs, VMCS_REGION);
    bench.pointer('VMCLEAR', VMCS_REGION);
    assert.equal(report(bench), 'succeed');
    assert.equal(bench.vmx.core.currentVmcs, NONE);
    assert.equal(readVmcsHeader(bench.physical, hostPhysical(VMCS_REGION))?.launched, false);
  });

  it('VMCLEAR fails 2 for a bad address and 3 for the VMXON pointer', () => {
    for (const [pointer, expected] of [
      [VMCS_REGION + 1n, 'valid 2'],
      [BEYOND, 'valid 2'],
      [VMXON_REGION, 'valid 3'],
    ] as const) {
      const bench = VmxBench.ready();
      bench.pointer('VMCLEAR', pointer);
      assert.equal(report(bench), expected);
    }
  });

  it('VMPTRLD fails 9, 10, 11, and keeps the current VMCS', () => {
    for (const [pointer, expected] of [
      [OTHER_VMCS + 0x10n, 'valid 9'],
      [BEYOND, 'valid 9'],
      [VMXON_REGION, 'valid 10'],
      [OPERAND, 'valid 11'],
      [0x7f_ffff_f000n, 'valid 11'],
    ] as const) {
      const bench = VmxBench.ready();
      bench.pointer('VMPTRLD', pointer);
      assert.equal(report(bench), expected);
      assert.equal(bench.vmx.core.currentVmcs, VMCS_REGION);
    }
  });

  it('VMPTRLD takes a shadow VMCS, which VMLAUNCH and VMRESUME refuse as they refuse none', () => {
    for (const mnemonic of ['VMLAUNCH', 'VMRESUME']) {
      const bench = VmxBench.ready();
      bench.write32(OTHER_VMCS, (VMCS_REVISION | 0x8000_0000) >>> 0);
      bench.pointer('VMPTRLD', OTHER_VMCS);
      assert.equal(report(bench), 'succeed');
      assert.equal(bench.vmx.core.currentVmcs, OTHER_VMCS);
      // Blocking by MOV SS would be error 26: the shadow comes first.
      bench.state.set32(State.INTERRUPTIBILITY, 2);
      assert.equal(bench.simple(mnemonic).kind, 'done');
      assert.equal(report(bench), 'invalid');
      assert.equal(bench.failures.at(-1)?.check, 'entry.shadow-vmcs');
    }
  });

  it('VMPTRST stores the pointer, all ones without one', () => {
    const bench = VmxBench.ready();
    bench.pointer('VMPTRST', 0n);
    assert.equal(bench.read64(OPERAND), VMCS_REGION);
    bench.pointer('VMCLEAR', VMCS_REGION);
    bench.pointer('VMPTRST', 0n);
    assert.equal(bench.read64(OPERAND), NONE);
    assert.equal(bench.state.rflags & REPORT, 0n);
  });

  it('a memory operand faults like any other', () => {
    const bench = VmxBench.ready();
    const more = { mod: 0, isMemory: true, displacement: 0x4000_0000n };
    const outcome = bench.run(instruction('VMPTRLD', 'vmptrld', more, 'VMX'));
    assert.equal(outcome.kind === 'fault' && outcome.vector, Vector.PF);
  });
});

describe('VMREAD and VMWRITE', () => {
  it('write and read a field of every width, and the high half of a 64-bit one', () => {
    const bench = VmxBench.ready();
    const value = 0x1122_3344_5566_7788n;
    for (const [encoding, expected] of [
      [Field.GUEST_ES_SELECTOR, 0x7788n],
      [Field.EXCEPTION_BITMAP, 0x5566_7788n],
      [Field.TSC_OFFSET, value],
      [Field.GUEST_RIP, value],
      [Field.TSC_OFFSET | 1, 0x5566_7788n],
    ] as const) {
      bench.state.setGpr(0, value);
      assert.equal(field(bench, 'VMWRITE', encoding), 'succeed');
      bench.state.setGpr(0, NONE);
      assert.equal(field(bench, 'VMREAD', encoding), 'succeed');
      assert.equal(bench.state.gpr(0), expected, encoding.toString(16));
    }
    assert.equal(bench.get('TSC_OFFSET'), 0x5566_7788_5566_7788n);
  });

  it('fail 12 for what is no field: unknown, of an absent feature, or with high bits in the register', () => {
    const bench = VmxBench.ready();
    for (const encoding of [0x0006, 0x2030, 0x681f, 0x7fff, 0x8000, 0x1_0000_681en]) {
      assert.equal(field(bench, 'VMREAD', encoding), 'valid 12', encoding.toString(16));
      assert.equal(field(bench, 'VMWRITE', encoding), 'valid 12', encoding.toString(16));
    }
  });

  it('fail invalid without a current VMCS', () => {
    const bench = VmxBench.ready();
    bench.pointer('VMCLEAR', VMCS_REGION);
    bench.state.setGpr(3, BigInt(Field.GUEST_RIP));
    for (const mnemonic of ['VMREAD', 'VMWRITE']) {
      bench.run(instruction(mnemonic, mnemonic.toLowerCase(), { reg: 3 }, 'VMX'));
      assert.equal(report(bench), 'invalid');
    }
  });

  it('VMWRITE may write read-only data, as IA32_VMX_MISC bit 29 tells', () => {
    const bench = VmxBench.ready();
    bench.state.setGpr(0, 0x42n);
    assert.equal(field(bench, 'VMWRITE', Field.EXIT_REASON), 'succeed');
    assert.equal(bench.get('EXIT_REASON'), 0x42n);
  });

  it('outside 64-bit mode use 32 bits, and a write clears the upper half', () => {
    const bench = VmxBench.ready();
    bench.state.efer &= ~Efer.LMA;
    bench.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    bench.set('TSC_OFFSET', NONE);
    bench.state.setGpr(0, 0x9999_0000_0000_0005n);
    assert.equal(field(bench, 'VMWRITE', 0x7777_0000_0000_0000n | BigInt(Field.TSC_OFFSET)), 'succeed');
    assert.equal(bench.get('TSC_OFFSET'), 5n);
  });

  it('serve debuggers without the instruction', () => {
    const bench = VmxBench.ready();
    const region = hostPhysical(VMCS_REGION);
    assert.ok(writeVmcsField(bench.physical, region, Field.GUEST_RIP, 0x1234n));
    assert.equal(readVmcsField(bench.physical, region, Field.GUEST_RIP), 0x1234n);
    assert.equal(readVmcsField(bench.physical, region, 0x0006), undefined);
    assert.equal(readVmcsField(bench.physical, hostPhysical(0x7f_ffff_f000n), Field.GUEST_RIP), undefined);
    assert.equal(writeVmcsField(bench.physical, hostPhysical(VMCS_REGION + 8n), Field.GUEST_RIP, 0n), false);
  });
});

describe('INVEPT and INVVPID', () => {
  const EPTP = 0x9000n | 6n | (3n << 3n);

  it('INVEPT flushes one root or all', () => {
    const bench = VmxBench.ready();
    assert.equal(invalidate(bench, 'INVEPT', 1n, EPTP), 'succeed');
    assert.match(bench.flushes.at(-1) ?? '', /0x9000/);
    assert.equal(invalidate(bench, 'INVEPT', 2n, 0n), 'succeed');
    assert.equal(bench.flushes.at(-1), 'all EPT roots');
  });

  it('INVEPT fails 28 for types 0, 3 and beyond, and for an EPT pointer that VM entry would refuse', () => {
    const bench = VmxBench.ready();
    for (const type of [0n, 3n, 1n << 32n]) assert.equal(invalidate(bench, 'INVEPT', type, EPTP), 'valid 28');
    assert.equal(invalidate(bench, 'INVEPT', 1n, (EPTP & ~7n) | 1n), 'valid 28', 'memory type');
    assert.equal(invalidate(bench, 'INVEPT', 1n, 0x9006n), 'valid 28', 'walk length');
    assert.equal(invalidate(bench, 'INVEPT', 1n, EPTP | BEYOND), 'valid 28', 'width');
  });

  it('INVVPID flushes a page, a VPID, all VPIDs, and all but global pages', () => {
    const bench = VmxBench.ready();
    assert.equal(invalidate(bench, 'INVVPID', 0n, 5n, 0x1000n), 'succeed');
    assert.equal(bench.flushes.at(-1), 'VPID 5, page 0x1000');
    assert.equal(invalidate(bench, 'INVVPID', 1n, 5n), 'succeed');
    assert.equal(bench.flushes.at(-1), 'VPID 5');
    assert.equal(invalidate(bench, 'INVVPID', 2n, 0n), 'succeed');
    assert.equal(bench.flushes.at(-1), 'all VPIDs but 0');
    assert.equal(invalidate(bench, 'INVVPID', 3n, 5n), 'succeed');
    assert.equal(bench.flushes.at(-1), 'VPID 5 without global pages');
  });

  it('INVVPID fails 28 for types beyond 3, VPID 0, reserved bits and a non-canonical address', () => {
    const bench = VmxBench.ready();
    assert.equal(invalidate(bench, 'INVVPID', 4n, 5n), 'valid 28');
    for (const type of [0n, 1n, 3n]) assert.equal(invalidate(bench, 'INVVPID', type, 0n), 'valid 28', `type ${type}`);
    assert.equal(invalidate(bench, 'INVVPID', 2n, 1n << 16n), 'valid 28');
    assert.equal(invalidate(bench, 'INVVPID', 0n, 5n, 1n << 50n), 'valid 28');
  });
});
