import { Cr4, Efer } from '../../arch/control-registers';
import { Exit } from '../../arch/controls';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { cr0Allowed, cr4Allowed } from '../capabilities';
import { Slot } from '../vmcs';
import { section, type EntryCheck } from './row';
import { canonical, validPat, withinPhysical } from './values';

/** Host-state area: VMfailValid 8 (SDM vol. 3, 27.2.2 to 27.2.4). */
const registers = section('27.2.2', 'host');
const segments = section('27.2.3', 'host');
const addressSpace = section('27.2.4', 'host');

const EFER_RESERVED = ~(Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE);
const RPL_AND_TI = 7;

const HOST_SELECTORS = [
  'HOST_CS_SELECTOR',
  'HOST_SS_SELECTOR',
  'HOST_DS_SELECTOR',
  'HOST_ES_SELECTOR',
  'HOST_FS_SELECTOR',
  'HOST_GS_SELECTOR',
  'HOST_TR_SELECTOR',
] as const;

const HOST_BASES = ['HOST_FS_BASE', 'HOST_GS_BASE', 'HOST_GDTR_BASE', 'HOST_IDTR_BASE', 'HOST_TR_BASE'] as const;

/** "HOST_FS_BASE" to "fs-base" */
const idOf = (symbol: VmcsFieldSymbol): string => symbol.replace('HOST_', '').toLowerCase().replaceAll('_', '-');

export const HOST_CHECKS: readonly EntryCheck[] = [
  registers(
    'cr0',
    'CR0 has the values that VMX operation needs: PE, NE and PG are 1, bits 63:32 are 0',
    ['HOST_CR0'],
    (c) => cr0Allowed(c.get64(Slot.HOST_CR0), false),
  ),
  registers(
    'cr4',
    'CR4 has the values that VMX operation needs: VMXE is 1, bits of absent features are 0',
    ['HOST_CR4'],
    (c) => cr4Allowed(c.core.cpu, c.get64(Slot.HOST_CR4)),
  ),
  registers('cr3', 'CR3 has no bits beyond the physical-address width', ['HOST_CR3'], (c) =>
    withinPhysical(c.get64(Slot.HOST_CR3)),
  ),
  registers('sysenter-esp', 'IA32_SYSENTER_ESP is canonical', ['HOST_IA32_SYSENTER_ESP'], (c) =>
    canonical(c.get64(Slot.HOST_IA32_SYSENTER_ESP)),
  ),
  registers('sysenter-eip', 'IA32_SYSENTER_EIP is canonical', ['HOST_IA32_SYSENTER_EIP'], (c) =>
    canonical(c.get64(Slot.HOST_IA32_SYSENTER_EIP)),
  ),
  registers(
    'pat',
    'with "load IA32_PAT" each byte of IA32_PAT is a memory type: 0, 1, 4, 5, 6 or 7',
    ['HOST_IA32_PAT', 'EXIT_CONTROLS'],
    (c) => !(c.exit & Exit.LOAD_PAT) || validPat(c.get64(Slot.HOST_IA32_PAT)),
  ),
  registers(
    'efer.reserved',
    'with "load IA32_EFER" reserved bits of IA32_EFER are 0',
    ['HOST_IA32_EFER', 'EXIT_CONTROLS'],
    (c) => !(c.exit & Exit.LOAD_EFER) || (c.get64(Slot.HOST_IA32_EFER) & EFER_RESERVED) === 0n,
  ),
  registers(
    'efer.lma',
    'with "load IA32_EFER" LMA equals "host address-space size"',
    ['HOST_IA32_EFER', 'EXIT_CONTROLS'],
    (c) => !(c.exit & Exit.LOAD_EFER) || ((c.get64(Slot.HOST_IA32_EFER) & Efer.LMA) !== 0n) === c.host64,
  ),
  registers(
    'efer.lme',
    'with "load IA32_EFER" LME equals "host address-space size"',
    ['HOST_IA32_EFER', 'EXIT_CONTROLS'],
    (c) => !(c.exit & Exit.LOAD_EFER) || ((c.get64(Slot.HOST_IA32_EFER) & Efer.LME) !== 0n) === c.host64,
  ),

  ...HOST_SELECTORS.map((symbol) =>
    segments(
      idOf(symbol),
      'RPL (bits 1:0) and TI (bit 2) of the selector are 0',
      [symbol],
      (c) => (c.get32(Slot[symbol]) & RPL_AND_TI) === 0,
    ),
  ),
  segments('cs-null', 'the CS selector is not 0', ['HOST_CS_SELECTOR'], (c) => c.get32(Slot.HOST_CS_SELECTOR) !== 0),
  segments('tr-null', 'the TR selector is not 0', ['HOST_TR_SELECTOR'], (c) => c.get32(Slot.HOST_TR_SELECTOR) !== 0),
  segments(
    'ss-null',
    'the SS selector is not 0 when "host address-space size" is 0',
    ['HOST_SS_SELECTOR', 'EXIT_CONTROLS'],
    (c) => c.host64 || c.get32(Slot.HOST_SS_SELECTOR) !== 0,
  ),
  ...HOST_BASES.map((symbol) =>
    segments(idOf(symbol), 'the base address is canonical', [symbol], (c) => canonical(c.get64(Slot[symbol]))),
  ),

  addressSpace(
    'address-space.long-mode',
    '"host address-space size" equals IA32_EFER.LMA at the time of VM entry',
    ['EXIT_CONTROLS'],
    (c) => c.host64 === c.longHost,
  ),
  addressSpace(
    'address-space.guest',
    '"IA-32e mode guest" is 0 when "host address-space size" is 0',
    ['ENTRY_CONTROLS', 'EXIT_CONTROLS'],
    (c) => c.host64 || !c.longGuest,
  ),
  addressSpace(
    'address-space.pcide',
    'CR4.PCIDE is 0 when "host address-space size" is 0',
    ['HOST_CR4', 'EXIT_CONTROLS'],
    (c) => c.host64 || (c.get64(Slot.HOST_CR4) & Cr4.PCIDE) === 0n,
  ),
  addressSpace(
    'address-space.rip-32',
    'bits 63:32 of RIP are 0 when "host address-space size" is 0',
    ['HOST_RIP', 'EXIT_CONTROLS'],
    (c) => c.host64 || c.get64(Slot.HOST_RIP) >> 32n === 0n,
  ),
  addressSpace(
    'address-space.pae',
    'CR4.PAE is 1 when "host address-space size" is 1',
    ['HOST_CR4', 'EXIT_CONTROLS'],
    (c) => !c.host64 || (c.get64(Slot.HOST_CR4) & Cr4.PAE) !== 0n,
  ),
  addressSpace(
    'address-space.rip-64',
    'RIP is canonical when "host address-space size" is 1',
    ['HOST_RIP', 'EXIT_CONTROLS'],
    (c) => !c.host64 || canonical(c.get64(Slot.HOST_RIP)),
  ),
];
