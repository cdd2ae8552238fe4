import assert from 'node:assert/strict';
import { Primary, Secondary } from '../../emulator/arch/controls';
import { Vector } from '../../emulator/arch/exceptions';
import { ExitReason } from '../../emulator/arch/exit-reasons';
import { Field, vmcsFieldExists, VMCS_FIELDS, VMCS_FIELD_SYMBOLS } from '../../emulator/arch/vmcs-fields';
import { hostPhysical } from '../../emulator/memory/address';
import { Segment } from '../../emulator/memory/layout';
import { readVmcsField, VMCS_REVISION, writeVmcsField } from '../../emulator/vmx';
import { SHADOW_INDICATOR } from '../../emulator/vmx/vmcs';
import { BITMAP_A, BITMAP_B, CF, instruction, OTHER_VMCS, VMCS_REGION, VmxBench, ZF } from './bench';

const NONE = (1n << 64n) - 1n;
const SHADOW = hostPhysical(OTHER_VMCS);
const RAX = 0;
const RBX = 3;

/** A guest with VMCS shadowing; the bitmaps let every access through. */
function shadowedGuest(link = OTHER_VMCS): VmxBench {
  const bench = VmxBench.ready();
  bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
  bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.VMCS_SHADOWING);
  bench.set('VMREAD_BITMAP', BITMAP_A);
  bench.set('VMWRITE_BITMAP', BITMAP_B);
  bench.set('VMCS_LINK_POINTER', link);
  bench.write32(OTHER_VMCS, (VMCS_REVISION | SHADOW_INDICATOR) >>> 0);
  bench.launch();
  assert.ok(bench.vmx.nonRoot, bench.failures[0]?.rule ?? 'the guest did not start');
  return bench;
}

/** "exit N", "#UD", "#GP", or the flags: what VMREAD or VMWRITE of RBX's field with RAX did. */
function access(bench: VmxBench, mnemonic: 'VMREAD' | 'VMWRITE', encoding: bigint | number): string {
  bench.state.setGpr(RBX, BigInt(encoding));
  const outcome = bench.run(instruction(mnemonic, mnemonic.toLowerCase(), { reg: RBX, rm: RAX }, 'VMX'));
  if (outcome.kind === 'exit') return `exit ${bench.get('EXIT_REASON')}`;
  if (outcome.kind === 'fault') return outcome.vector === (Vector.UD as number) ? '#UD' : `vector ${outcome.vector}`;
  const flags = bench.state.rflags & 0x8d5n;
  return flags === 0n ? 'succeed' : flags === CF ? 'invalid' : flags === ZF ? 'valid' : `flags ${flags}`;
}

const setBit = (bench: VmxBench, bitmap: bigint, bit: number): void =>
  bench.write64(bitmap + BigInt(bit >>> 6) * 8n, 1n << BigInt(bit & 63));

describe('VMCS shadowing (SDM vol. 3, 25.10 and 26.1.2)', () => {
  it('VMREAD and VMWRITE of the guest reach the VMCS at the link pointer, and only that', () => {
    const bench = shadowedGuest();
    const before = bench.get('GUEST_RIP');
    bench.state.setGpr(RAX, 0x1234_5678n);
    assert.equal(access(bench, 'VMWRITE', Field.GUEST_RIP), 'succeed');
    assert.equal(readVmcsField(bench.physical, SHADOW, Field.GUEST_RIP), 0x1234_5678n);
    assert.equal(bench.get('GUEST_RIP'), before);
    assert.ok(writeVmcsField(bench.physical, SHADOW, Field.EXIT_REASON, 0x30n));
    assert.equal(access(bench, 'VMREAD', Field.EXIT_REASON), 'succeed');
    assert.equal(bench.state.gpr(RAX), 0x30n);
    assert.ok(bench.vmx.nonRoot);
  });

  it('every field of this processor can be written and read there', () => {
    const bench = shadowedGuest();
    for (const symbol of VMCS_FIELD_SYMBOLS) {
      const row = VMCS_FIELDS[symbol];
      const expected = vmcsFieldExists(row) ? 'succeed' : 'valid';
      bench.state.setGpr(RAX, 1n);
      assert.equal(access(bench, 'VMWRITE', row.encoding), expected, symbol);
      bench.state.setGpr(RAX, 0n);
      assert.equal(access(bench, 'VMREAD', row.encoding), expected, symbol);
      assert.equal(bench.state.gpr(RAX), vmcsFieldExists(row) ? 1n : 0n, symbol);
    }
  });

  it('a set bit in the bitmap of the instruction causes a VM exit, whether or not there is such a field', () => {
    for (const encoding of [0, 1, Field.GUEST_RIP, Field.EXIT_REASON, 0x7fff]) {
      for (const [mnemonic, bitmap, other] of [
        ['VMREAD', BITMAP_A, 'VMWRITE'],
        ['VMWRITE', BITMAP_B, 'VMREAD'],
      ] as const) {
        const bench = shadowedGuest();
        setBit(bench, bitmap, encoding);
        assert.notEqual(access(bench, other, encoding).slice(0, 4), 'exit', encoding.toString(16));
        assert.equal(access(bench, mnemonic, encoding), `exit ${ExitReason[mnemonic]}`, encoding.toString(16));
      }
    }
  });

  it('an encoding beyond the bitmaps causes a VM exit', () => {
    for (const encoding of [0x8000n, 0x1_0000_681en, NONE])
      assert.equal(access(shadowedGuest(), 'VMREAD', encoding), `exit ${ExitReason.VMREAD}`);
  });

  it('without the control every access causes a VM exit', () => {
    const bench = VmxBench.ready();
    bench.launch();
    assert.equal(access(bench, 'VMREAD', Field.GUEST_RIP), `exit ${ExitReason.VMREAD}`);
  });

  it('without a shadow VMCS they fail invalid; an unknown field fails 12 in the current VMCS', () => {
    const without = shadowedGuest(NONE);
    assert.equal(access(without, 'VMREAD', Field.GUEST_RIP), 'invalid');
    assert.equal(access(without, 'VMWRITE', 0x0006), 'invalid');
    for (const mnemonic of ['VMREAD', 'VMWRITE'] as const) {
      const bench = shadowedGuest();
      assert.equal(access(bench, mnemonic, 0x681f), 'valid');
      assert.equal(bench.get('VM_INSTRUCTION_ERROR'), 12n);
      assert.equal(readVmcsField(bench.physical, SHADOW, Field.VM_INSTRUCTION_ERROR), 0n);
    }
  });

  it('above CPL 0 a VM exit comes first, then #GP(0); in compatibility mode #UD', () => {
    const user = shadowedGuest();
    setBit(user, BITMAP_A, Field.GUEST_RIP);
    user.state.setSegment(Segment.SS, { selector: 19, access: 0xc0f3, limit: 0xffffffff, base: 0n });
    assert.equal(access(user, 'VMWRITE', Field.GUEST_RIP), `vector ${Vector.GP}`);
    assert.equal(access(user, 'VMREAD', Field.GUEST_RIP), `exit ${ExitReason.VMREAD}`);
    const compatibility = shadowedGuest();
    compatibility.state.setSegment(Segment.CS, { selector: 8, access: 0xc09b, limit: 0xffffffff, base: 0n });
    assert.equal(access(compatibility, 'VMREAD', Field.GUEST_RIP), '#UD');
  });

  it('VM entry wants the shadow indicator of the linked region to equal the control', () => {
    const bench = VmxBench.ready();
    bench.or('PRIMARY_PROCESSOR_CONTROLS', Primary.ACTIVATE_SECONDARY_CONTROLS);
    bench.or('SECONDARY_PROCESSOR_CONTROLS', Secondary.VMCS_SHADOWING);
    bench.set('VMCS_LINK_POINTER', OTHER_VMCS);
    bench.launch();
    assert.equal(bench.failures[0]?.check, 'guest.link-pointer.shadow');
    assert.equal(bench.get('EXIT_QUALIFICATION'), 4n);
  });

  it('a shadow VMCS can be cleared, and then is an ordinary one again when its indicator is', () => {
    const bench = VmxBench.ready();
    bench.write32(OTHER_VMCS, (VMCS_REVISION | SHADOW_INDICATOR) >>> 0);
    bench.pointer('VMPTRLD', OTHER_VMCS);
    bench.state.setGpr(RAX, 7n);
    assert.equal(access(bench, 'VMWRITE', Field.GUEST_RIP), 'succeed');
    bench.pointer('VMCLEAR', OTHER_VMCS);
    bench.write32(OTHER_VMCS, VMCS_REVISION);
    bench.pointer('VMPTRLD', OTHER_VMCS);
    assert.equal(access(bench, 'VMREAD', Field.GUEST_RIP), 'succeed');
    assert.equal(bench.state.gpr(RAX), 7n);
    bench.pointer('VMPTRLD', VMCS_REGION);
    assert.notEqual(bench.get('GUEST_RIP'), 7n);
  });
});
