import { Cr0, Cr4, Efer } from '../../arch/control-registers';
import { Entry } from '../../arch/controls';
import { cr0Allowed, cr4Allowed, DEBUGCTL_SUPPORTED } from '../capabilities';
import { Slot } from '../vmcs';
import { section, type EntryCheck } from './row';
import { canonical, validPat, withinPhysical } from './values';

/** SDM vol. 3, 27.3.1.1: VM-entry failure, exit reason 33. */
const check = section('27.3.1.1', 'guest');

const EFER_RESERVED = ~(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);

export const GUEST_CONTROL_REGISTER_CHECKS: readonly EntryCheck[] = [
  check(
    'cr0.fixed',
    'CR0 has the values that VMX operation needs: NE is 1, PE and PG too without "unrestricted guest", bits 63:32 are 0',
    ['GUEST_CR0', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => cr0Allowed(c.cr0, c.unrestricted),
  ),
  check('cr0.pg-pe', 'CR0.PE is 1 when CR0.PG is 1', ['GUEST_CR0'], (c) => !c.paging || c.protectedMode),
  check(
    'cr4.fixed',
    'CR4 has the values that VMX operation needs: VMXE is 1, bits of absent features are 0',
    ['GUEST_CR4'],
    (c) => cr4Allowed(c.core.cpu, c.cr4),
  ),
  check(
    'debugctl',
    'with "load debug controls" reserved bits of IA32_DEBUGCTL are 0',
    ['GUEST_IA32_DEBUGCTL', 'ENTRY_CONTROLS'],
    (c) => !(c.entry & Entry.LOAD_DEBUG_CONTROLS) || (c.get64(Slot.GUEST_IA32_DEBUGCTL) & ~DEBUGCTL_SUPPORTED) === 0n,
  ),
  check(
    'long-mode.paging',
    'CR0.PG is 1 when "IA-32e mode guest" is 1',
    ['GUEST_CR0', 'ENTRY_CONTROLS'],
    (c) => !c.longGuest || c.paging,
  ),
  check(
    'long-mode.pae',
    'CR4.PAE is 1 when "IA-32e mode guest" is 1',
    ['GUEST_CR4', 'ENTRY_CONTROLS'],
    (c) => !c.longGuest || (c.cr4 & Cr4.PAE) !== 0n,
  ),
  check(
    'cr4.pcide',
    'CR4.PCIDE is 0 when "IA-32e mode guest" is 0',
    ['GUEST_CR4', 'ENTRY_CONTROLS'],
    (c) => c.longGuest || (c.cr4 & Cr4.PCIDE) === 0n,
  ),
  check('cr3', 'CR3 has no bits beyond the physical-address width', ['GUEST_CR3'], (c) =>
    withinPhysical(c.get64(Slot.GUEST_CR3)),
  ),
  check(
    'dr7',
    'with "load debug controls" bits 63:32 of DR7 are 0',
    ['GUEST_DR7', 'ENTRY_CONTROLS'],
    (c) => !(c.entry & Entry.LOAD_DEBUG_CONTROLS) || c.get64(Slot.GUEST_DR7) >> 32n === 0n,
  ),
  check('sysenter-esp', 'IA32_SYSENTER_ESP is canonical', ['GUEST_IA32_SYSENTER_ESP'], (c) =>
    canonical(c.get64(Slot.GUEST_IA32_SYSENTER_ESP)),
  ),
  check('sysenter-eip', 'IA32_SYSENTER_EIP is canonical', ['GUEST_IA32_SYSENTER_EIP'], (c) =>
    canonical(c.get64(Slot.GUEST_IA32_SYSENTER_EIP)),
  ),
  check(
    'pat',
    'with "load IA32_PAT" each byte of IA32_PAT is a memory type: 0, 1, 4, 5, 6 or 7',
    ['GUEST_IA32_PAT', 'ENTRY_CONTROLS'],
    (c) => !(c.entry & Entry.LOAD_PAT) || validPat(c.get64(Slot.GUEST_IA32_PAT)),
  ),
  check(
    'efer.reserved',
    'with "load IA32_EFER" reserved bits of IA32_EFER are 0',
    ['GUEST_IA32_EFER', 'ENTRY_CONTROLS'],
    (c) => !(c.entry & Entry.LOAD_EFER) || (c.get64(Slot.GUEST_IA32_EFER) & EFER_RESERVED) === 0n,
  ),
  check(
    'efer.lma',
    'with "load IA32_EFER" LMA equals "IA-32e mode guest"',
    ['GUEST_IA32_EFER', 'ENTRY_CONTROLS'],
    (c) => !(c.entry & Entry.LOAD_EFER) || ((c.get64(Slot.GUEST_IA32_EFER) & Efer.LMA) !== 0n) === c.longGuest,
  ),
  check(
    'efer.lme',
    'with "load IA32_EFER" and CR0.PG = 1, LME equals LMA',
    ['GUEST_IA32_EFER', 'GUEST_CR0', 'ENTRY_CONTROLS'],
    (c) => {
      const efer = c.get64(Slot.GUEST_IA32_EFER);
      const loads = (c.entry & Entry.LOAD_EFER) !== 0 && (c.cr0 & Cr0.PG) !== 0n;
      return !loads || ((efer & Efer.LME) !== 0n) === ((efer & Efer.LMA) !== 0n);
    },
  ),
];
