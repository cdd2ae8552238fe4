import assert from 'node:assert/strict';
import { describeQualification, type QualificationContext } from '../../emulator/arch/exit-qualification';
import { ExitReason, type ExitReasonSymbol } from '../../emulator/arch/exit-reasons';
import { describeEptEntry, describeEptPointer } from '../../emulator/arch/ept-bits';
import { describeControls } from '../../emulator/arch/controls';
import { CR4_BITS, namesOfBits } from '../../emulator/arch/control-registers';
import { describeAccessRights } from '../../emulator/arch/segments';
import { describeRflags } from '../../emulator/arch/flags';

const CASES: readonly (readonly [ExitReasonSymbol, bigint, QualificationContext, string])[] = [
  ['IO_INSTRUCTION', 0x03f8_0040n, {}, 'OUT 0x3f8, 1 byte, immediate'],
  ['IO_INSTRUCTION', 0x0060_0009n, {}, 'IN 0x60, 2 bytes, DX'],
  ['IO_INSTRUCTION', 0x01f0_003bn, {}, 'REP INS 0x1f0, 4 bytes, DX'],
  ['CR_ACCESS', 0x003n, {}, 'MOV to CR3 from RAX'],
  ['CR_ACCESS', 0x918n, {}, 'MOV from CR8 to R9'],
  ['CR_ACCESS', 0x20n, {}, 'CLTS'],
  ['CR_ACCESS', 0x0009_0070n, {}, 'LMSW 0x9 from memory'],
  ['MOV_DR', 0x317n, {}, 'MOV from DR7 to RBX'],
  ['MOV_DR', 0x006n, {}, 'MOV to DR6 from RAX'],
  ['INVLPG', 0xffff_8000_0000_1000n, {}, 'linear address 0xffff800000001000'],
  [
    'EPT_VIOLATION',
    0x181n,
    { guestPhysical: 0x5000n, guestLinear: 0x40_1000n },
    'read of 0x5000: not present; linear address 0x401000',
  ],
  [
    'EPT_VIOLATION',
    0x1aan,
    { guestPhysical: 0x5000n, guestLinear: 0x1000n },
    'write of 0x5000: allowed r-x; linear address 0x1000',
  ],
  [
    'EPT_VIOLATION',
    0x09bn,
    { guestPhysical: 0x5000n, guestLinear: 0x1000n },
    'read and write of 0x5000: allowed rw-; linear address 0x1000; by the walk of the guest page tables',
  ],
  ['EPT_VIOLATION', 0x004n, { guestPhysical: 0x5000n }, 'fetch of 0x5000: not present'],
  ['EPT_MISCONFIGURATION', 0n, { guestPhysical: 0x5000n }, 'access to 0x5000'],
  ['TASK_SWITCH', 0xc000_0028n, {}, 'to TSS selector 0x28, by task gate in the IDT'],
  ['ENTRY_FAILURE_GUEST_STATE', 4n, {}, 'the VMCS link pointer is not valid'],
  ['ENTRY_FAILURE_MSR_LOADING', 3n, {}, 'entry 3 of the VM-entry MSR-load area'],
  ['VMREAD', 0x10n, {}, 'displacement 0x10'],
  [
    'EXCEPTION_OR_NMI',
    0x1000n,
    { interruptionInformation: 0x8000_0b0e, interruptionErrorCode: 2 },
    '#PF (hardware exception), error code 0x2: write, supervisor mode, page not present; linear address 0x1000',
  ],
  ['EXCEPTION_OR_NMI', 0x4000n, { interruptionInformation: 0x8000_0301 }, '#DB (hardware exception): single step'],
  [
    'EXCEPTION_OR_NMI',
    0n,
    { interruptionInformation: 0x8000_0603 },
    '#BP (software exception (INT3 or INTO)): breakpoint',
  ],
  ['EXTERNAL_INTERRUPT', 0n, { interruptionInformation: 0x8000_0030 }, 'vector 0x30 (external interrupt)'],
  ['CPUID', 0n, {}, ''],
];

describe('words for exit qualifications (SDM vol. 3, 28.2.1)', () => {
  for (const [symbol, qualification, extra, words] of CASES) {
    it(`${symbol} 0x${qualification.toString(16)}: ${words || '(nothing)'}`, () => {
      assert.equal(describeQualification(ExitReason[symbol], qualification, extra), words);
    });
  }

  it('ignore the flags of the exit-reason field', () => {
    assert.equal(describeQualification(0x8000_0022, 2n), 'entry 2 of the VM-entry MSR-load area');
  });
});

describe('words for registers and entries', () => {
  it('name EPT entries and pointers', () => {
    assert.deepEqual(describeEptEntry(0x37n, 1), ['read', 'write', 'execute', 'WB']);
    assert.deepEqual(describeEptEntry(0x1b7n, 2), ['read', 'write', 'execute', '2-MByte page', 'WB', 'accessed']);
    assert.deepEqual(describeEptEntry(0x107n, 4), ['read', 'write', 'execute', 'accessed']);
    assert.deepEqual(describeEptEntry(0x30n, 1), ['not present']);
    assert.deepEqual(describeEptEntry(0x400n, 4), ['not present']);
    assert.deepEqual(describeEptEntry(0x400n, 4, true), ['user execute']);
    assert.deepEqual(describeEptEntry(1n << 63n, 2), ['not present', 'suppresses #VE']);
    assert.equal(describeEptPointer(0x905en), 'root 0x9000, WB, 4-level, accessed and dirty flags');
  });

  it('name bits, flags, rights and controls', () => {
    assert.deepEqual(namesOfBits(0x2020n | (1n << 40n), CR4_BITS), ['PAE', 'VMXE', 'bit 40']);
    assert.equal(describeRflags(0x3246n), 'IOPL=3 IF ZF PF');
    assert.equal(
      describeAccessRights(0xa09b),
      'code, execute/read, accessed; DPL 0; present; 64-bit; 4-KByte granularity',
    );
    assert.equal(describeAccessRights(0x1_0000), 'unusable');
    assert.equal(describeAccessRights(0x8b), 'TSS (busy); DPL 0; present');
    assert.deepEqual(describeControls('primary', 0x0200_0084), [
      'Interrupt-window exiting',
      'HLT exiting',
      'Use I/O bitmaps',
    ]);
  });
});
