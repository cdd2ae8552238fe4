import { Secondary } from '../../arch/controls';
import { Rflags } from '../../arch/flags';
import { InterruptionType, interruptionVector } from '../../arch/interruption';
import { AccessRights } from '../../arch/segments';
import { hostPhysical } from '../../memory/address';
import { isPageAddress } from '../capabilities';
import { GUEST_PDPTES } from '../guest-state';
import { pdpteValid, readPdptes } from '../pdptes';
import { readRevision, SHADOW_INDICATOR, Slot, VMCS_REVISION } from '../vmcs';
import type { EntryContext } from './context';
import { everyEntry, section, type EntryCheck } from './row';
import { canonical } from './values';

/** SDM vol. 3, 27.3.1.3 to 27.3.1.6: VM-entry failure, exit reason 33. */
const descriptorTables = section('27.3.1.3', 'guest');
const instruction = section('27.3.1.4', 'guest');
const nonRegister = section('27.3.1.5', 'guest');
const pdptes = section('27.3.1.6', 'guest');

export const GUEST_DESCRIPTOR_TABLE_CHECKS: readonly EntryCheck[] = [
  ...(['GUEST_GDTR_BASE', 'GUEST_IDTR_BASE'] as const).map((field) =>
    descriptorTables(
      field === 'GUEST_GDTR_BASE' ? 'gdtr.base' : 'idtr.base',
      'the base address is canonical',
      [field],
      (c) => canonical(c.get64(Slot[field])),
    ),
  ),
  ...(['GUEST_GDTR_LIMIT', 'GUEST_IDTR_LIMIT'] as const).map((field) =>
    descriptorTables(
      field === 'GUEST_GDTR_LIMIT' ? 'gdtr.limit' : 'idtr.limit',
      'bits 31:16 of the limit are 0',
      [field],
      (c) => c.get32(Slot[field]) >>> 16 === 0,
    ),
  ),
];

const in64BitMode = (c: EntryContext): boolean =>
  c.longGuest && (c.get32(Slot.GUEST_CS_ACCESS_RIGHTS) & AccessRights.LONG) !== 0;

/** Bits 63:22, 15, 5 and 3 of RFLAGS, by halves */
const FLAGS_RESERVED_LOW = Number(BigInt.asUintN(32, Rflags.RESERVED));

export const GUEST_INSTRUCTION_CHECKS: readonly EntryCheck[] = [
  instruction(
    'rip.high',
    'bits 63:32 of RIP are 0 outside 64-bit mode',
    ['GUEST_RIP', 'ENTRY_CONTROLS', 'GUEST_CS_ACCESS_RIGHTS'],
    (c) => in64BitMode(c) || c.high32(Slot.GUEST_RIP) === 0,
  ),
  // Not the canonical check: bit 47 may differ, and the first fetch then raises #GP.
  instruction(
    'rip.width',
    'bits 63:48 of RIP are all equal in 64-bit mode',
    ['GUEST_RIP', 'ENTRY_CONTROLS', 'GUEST_CS_ACCESS_RIGHTS'],
    (c) => {
      const high = c.high32(Slot.GUEST_RIP) >>> 16;
      return !in64BitMode(c) || high === 0 || high === 0xffff;
    },
  ),
  instruction(
    'rflags.reserved',
    'bits 63:22, 15, 5 and 3 of RFLAGS are 0',
    ['GUEST_RFLAGS'],
    (c) => (c.flags & FLAGS_RESERVED_LOW) === 0 && c.high32(Slot.GUEST_RFLAGS) === 0,
  ),
  instruction('rflags.fixed', 'bit 1 of RFLAGS is 1', ['GUEST_RFLAGS'], (c) => (c.flags & 2) !== 0),
  instruction(
    'rflags.vm',
    'VM (bit 17) is 0 when "IA-32e mode guest" is 1 or CR0.PE is 0',
    ['GUEST_RFLAGS', 'ENTRY_CONTROLS', 'GUEST_CR0'],
    (c) => !c.virtual8086 || (!c.longGuest && c.protectedMode),
  ),
  instruction(
    'rflags.if',
    'IF (bit 9) is 1 when an external interrupt is injected',
    ['GUEST_RFLAGS', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) => c.eventType !== InterruptionType.EXTERNAL_INTERRUPT || (c.flags & 0x200) !== 0,
  ),
];

const Activity = { ACTIVE: 0, HLT: 1, SHUTDOWN: 2, WAIT_FOR_SIPI: 3 } as const;
const Blocking = { STI: 1, MOV_SS: 2, SMI: 4, NMI: 8 } as const;
const DEBUG_EXCEPTION = 1;
const MACHINE_CHECK = 18;
const INTERRUPTIBILITY_RESERVED = 0xffff_fff0;
const PENDING_RESERVED = ~0x500fn;
const SINGLE_STEP = 1n << 14n;
const VIRTUAL_NMIS = 1 << 5;
const BRANCH_TRAP = 2n;
const QUALIFICATION_PDPTE = 2;
const QUALIFICATION_NMI = 3;
const QUALIFICATION_LINK_POINTER = 4;

const activity = (c: EntryContext): number => c.get32(Slot.GUEST_ACTIVITY_STATE);
const blocking = (c: EntryContext): number => c.get32(Slot.GUEST_INTERRUPTIBILITY);

/** Events that may be injected into an activity state (SDM vol. 3, 27.3.1.5) */
function eventFitsActivity(c: EntryContext): boolean {
  if (c.eventType < 0) return true;
  const vector = interruptionVector(c.event);
  const machineCheck = c.eventType === InterruptionType.HARDWARE_EXCEPTION && vector === MACHINE_CHECK;
  switch (activity(c)) {
    case Activity.HLT:
      return (
        machineCheck ||
        c.eventType === InterruptionType.EXTERNAL_INTERRUPT ||
        c.eventType === InterruptionType.NMI ||
        (c.eventType === InterruptionType.HARDWARE_EXCEPTION && vector === DEBUG_EXCEPTION) ||
        (c.eventType === InterruptionType.OTHER_EVENT && vector === 0)
      );
    case Activity.SHUTDOWN:
      return machineCheck || c.eventType === InterruptionType.NMI;
    case Activity.WAIT_FOR_SIPI:
      return false;
    default:
      return true;
  }
}

/** Single step pending or not must agree with TF and BTF while debug exceptions wait (SDM vol. 3, 27.3.1.5). */
function singleStepConsistent(c: EntryContext): boolean {
  const waits = (blocking(c) & (Blocking.STI | Blocking.MOV_SS)) !== 0 || activity(c) === Activity.HLT;
  if (!waits) return true;
  const trap = (c.flags & Number(Rflags.TF)) !== 0 && (c.get64(Slot.GUEST_IA32_DEBUGCTL) & BRANCH_TRAP) === 0n;
  return ((c.get64(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS) & SINGLE_STEP) !== 0n) === trap;
}

const ALL_ONES = 0xffff_ffff;
const linkPointer = (c: EntryContext): bigint => c.get64(Slot.VMCS_LINK_POINTER);
const noLink = (c: EntryContext): boolean =>
  c.get32(Slot.VMCS_LINK_POINTER) === ALL_ONES && c.high32(Slot.VMCS_LINK_POINTER) === ALL_ONES;
const noRegion = (c: EntryContext): boolean => noLink(c) || !isPageAddress(linkPointer(c));
const linkedRevision = (c: EntryContext): number => readRevision(c.core.cpu.physical, hostPhysical(linkPointer(c))) | 0;

export const GUEST_NON_REGISTER_CHECKS: readonly EntryCheck[] = [
  nonRegister(
    'activity.supported',
    'the activity state is one that this processor supports: 0 active, 1 HLT, 2 shutdown or 3 wait-for-SIPI',
    ['GUEST_ACTIVITY_STATE'],
    (c) => activity(c) <= Activity.WAIT_FOR_SIPI,
  ),
  nonRegister(
    'activity.hlt-dpl',
    'the activity state is not HLT when DPL of SS is not 0',
    ['GUEST_ACTIVITY_STATE', 'GUEST_SS_ACCESS_RIGHTS'],
    (c) =>
      activity(c) !== Activity.HLT || ((c.get32(Slot.GUEST_SS_ACCESS_RIGHTS) >>> AccessRights.DPL_SHIFT) & 3) === 0,
  ),
  nonRegister(
    'activity.blocking',
    'the activity state is active when STI or MOV SS blocks events',
    ['GUEST_ACTIVITY_STATE', 'GUEST_INTERRUPTIBILITY'],
    (c) => (blocking(c) & (Blocking.STI | Blocking.MOV_SS)) === 0 || activity(c) === Activity.ACTIVE,
  ),
  nonRegister(
    'activity.event',
    'the injected event is one that the activity state does not block',
    ['ENTRY_INTERRUPTION_INFORMATION', 'GUEST_ACTIVITY_STATE'],
    eventFitsActivity,
  ),
  nonRegister(
    'interruptibility.reserved',
    'bits 31:4 of the interruptibility state are 0',
    ['GUEST_INTERRUPTIBILITY'],
    (c) => (blocking(c) & INTERRUPTIBILITY_RESERVED) === 0,
  ),
  nonRegister(
    'interruptibility.both',
    'blocking by STI and blocking by MOV SS are not both 1',
    ['GUEST_INTERRUPTIBILITY'],
    (c) => (blocking(c) & 3) !== 3,
  ),
  nonRegister(
    'interruptibility.sti-if',
    'blocking by STI is 0 when RFLAGS.IF is 0',
    ['GUEST_INTERRUPTIBILITY', 'GUEST_RFLAGS'],
    (c) => !(blocking(c) & Blocking.STI) || (c.flags & 0x200) !== 0,
  ),
  nonRegister(
    'interruptibility.external-interrupt',
    'neither STI nor MOV SS blocks events when an external interrupt is injected',
    ['GUEST_INTERRUPTIBILITY', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) => c.eventType !== InterruptionType.EXTERNAL_INTERRUPT || (blocking(c) & 3) === 0,
  ),
  nonRegister(
    'interruptibility.nmi-mov-ss',
    'MOV SS does not block events when an NMI is injected',
    ['GUEST_INTERRUPTIBILITY', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) => c.eventType !== InterruptionType.NMI || !(blocking(c) & Blocking.MOV_SS),
  ),
  nonRegister(
    'interruptibility.smi',
    'blocking by SMI is 0 outside SMM',
    ['GUEST_INTERRUPTIBILITY'],
    (c) => !(blocking(c) & Blocking.SMI),
  ),
  // The manual lets processors differ here; this one is of those that require it.
  nonRegister(
    'interruptibility.nmi-sti',
    'STI does not block events when an NMI is injected',
    ['GUEST_INTERRUPTIBILITY', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) => c.eventType !== InterruptionType.NMI || !(blocking(c) & Blocking.STI),
    QUALIFICATION_NMI,
  ),
  nonRegister(
    'interruptibility.virtual-nmi',
    'there is no virtual-NMI blocking when an NMI is injected with "virtual NMIs"',
    ['GUEST_INTERRUPTIBILITY', 'ENTRY_INTERRUPTION_INFORMATION', 'PIN_BASED_CONTROLS'],
    (c) => c.eventType !== InterruptionType.NMI || !(c.pin & VIRTUAL_NMIS) || !(blocking(c) & Blocking.NMI),
  ),
  nonRegister(
    'pending-debug.reserved',
    'only bits 3:0, 12 and 14 of the pending debug exceptions are 1',
    ['GUEST_PENDING_DEBUG_EXCEPTIONS'],
    (c) => (c.get64(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_RESERVED) === 0n,
  ),
  nonRegister(
    'pending-debug.single-step',
    'BS (bit 14) equals RFLAGS.TF without IA32_DEBUGCTL.BTF while STI, MOV SS or HLT hold debug exceptions back',
    [
      'GUEST_PENDING_DEBUG_EXCEPTIONS',
      'GUEST_RFLAGS',
      'GUEST_IA32_DEBUGCTL',
      'GUEST_INTERRUPTIBILITY',
      'GUEST_ACTIVITY_STATE',
    ],
    singleStepConsistent,
  ),
  nonRegister(
    'link-pointer.address',
    'the VMCS link pointer is all ones, or 4-KByte aligned and within the physical-address width',
    ['VMCS_LINK_POINTER'],
    (c) => noLink(c) || isPageAddress(linkPointer(c)),
    QUALIFICATION_LINK_POINTER,
  ),
  everyEntry(
    nonRegister(
      'link-pointer.revision',
      'the region at the VMCS link pointer begins with the revision identifier',
      ['VMCS_LINK_POINTER'],
      (c) => noRegion(c) || (linkedRevision(c) & ~SHADOW_INDICATOR) === VMCS_REVISION,
      QUALIFICATION_LINK_POINTER,
    ),
    (c) => !noRegion(c),
  ),
  everyEntry(
    nonRegister(
      'link-pointer.shadow',
      'the shadow-VMCS indicator (bit 31 of the first word) at the VMCS link pointer equals "VMCS shadowing"',
      ['VMCS_LINK_POINTER', 'SECONDARY_PROCESSOR_CONTROLS'],
      (c) =>
        noRegion(c) ||
        ((linkedRevision(c) & SHADOW_INDICATOR) !== 0) === ((c.secondary & Secondary.VMCS_SHADOWING) !== 0),
      QUALIFICATION_LINK_POINTER,
    ),
    (c) => !noRegion(c),
  ),
  everyEntry(
    nonRegister(
      'link-pointer.current',
      'the VMCS link pointer is not the current-VMCS pointer',
      ['VMCS_LINK_POINTER'],
      (c) => linkPointer(c) !== c.core.currentVmcs || noLink(c),
      QUALIFICATION_LINK_POINTER,
    ),
    (c) => !noLink(c),
  ),
];

export const GUEST_PDPTE_CHECKS: readonly EntryCheck[] = GUEST_PDPTES.map((slot, i) =>
  pdptes(
    `pdpte${i}`,
    `reserved bits of PDPTE${i} are 0 when it is present, with PAE paging and "enable EPT"`,
    [`GUEST_PDPTE${i as 0 | 1 | 2 | 3}`, 'GUEST_CR3'],
    (c) => !c.pae || !c.ept || pdpteValid(c.get64(slot)),
    QUALIFICATION_PDPTE,
  ),
).concat(
  everyEntry(
    pdptes(
      'pdptes-in-memory',
      'reserved bits of the present entries of the table at CR3 are 0, with PAE paging and without "enable EPT"',
      ['GUEST_CR3'],
      (c) => !c.pae || c.ept || readPdptes(c.core, c.get64(Slot.GUEST_CR3)).every(pdpteValid),
      QUALIFICATION_PDPTE,
    ),
    (c) => c.pae && !c.ept,
  ),
);
