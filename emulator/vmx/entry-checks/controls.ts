import { allowed0, allowed1, Entry, Exit, Pin, Primary, Secondary, type ControlWordKey } from '../../arch/controls';
import { EptPointer } from '../../arch/ept-bits';
import { interruptionHasErrorCode, InterruptionType, interruptionVector } from '../../arch/interruption';
import { VM_FUNCTIONS_ALLOWED, VmFunction } from '../../arch/vm-functions';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { BEYOND_PHYSICAL, CR3_TARGET_LIMIT, isPageAddress } from '../capabilities';
import { Slot } from '../vmcs';
import { APIC_VIRTUALIZATION_CHECKS, TPR_SHADOW_CHECKS } from './apic-controls';
import type { EntryContext } from './context';
import { section, type EntryCheck } from './row';
import { msrAreaAligned, msrAreaWithin } from './values';

/** VM-execution, VM-exit and VM-entry control fields: VMfailValid 7 (SDM vol. 3, 27.2.1). */
const execution = section('27.2.1.1', 'control');
const exit = section('27.2.1.2', 'control');
const entry = section('27.2.1.3', 'control');

const WORDS: Readonly<Record<ControlWordKey, VmcsFieldSymbol>> = {
  pin: 'PIN_BASED_CONTROLS',
  primary: 'PRIMARY_PROCESSOR_CONTROLS',
  secondary: 'SECONDARY_PROCESSOR_CONTROLS',
  exit: 'EXIT_CONTROLS',
  entry: 'ENTRY_CONTROLS',
};

/** Reserved bits by the TRUE capability MSRs: two rows a word */
function reserved(make: typeof execution, key: ControlWordKey, value: (c: EntryContext) => number): EntryCheck[] {
  const mustBeOne = allowed0(key, true);
  const mayBeOne = allowed1(key);
  const hex = (mask: number): string => `0x${mask.toString(16)}`;
  return [
    make(
      `${key}.allowed-0`,
      `bits that must be 1 by the capability MSR (${hex(mustBeOne)}) are 1`,
      [WORDS[key]],
      (c) => (value(c) & mustBeOne) >>> 0 === mustBeOne,
    ),
    make(
      `${key}.allowed-1`,
      `bits outside those that may be 1 by the capability MSR (${hex(mayBeOne)}) are 0`,
      [WORDS[key]],
      (c) => (value(c) & ~mayBeOne) === 0,
    ),
  ];
}

const usesIoBitmaps = (c: EntryContext): boolean => (c.primary & Primary.USE_IO_BITMAPS) !== 0;
const vmFunctions = (c: EntryContext): bigint =>
  c.secondary & Secondary.ENABLE_VM_FUNCTIONS ? c.get64(Slot.VM_FUNCTION_CONTROLS) : 0n;
const EPT_MEMORY_TYPES = new Set([0n, 6n]);
const EPT_WALK_LENGTHS = new Set([3n << EptPointer.WALK_LENGTH_SHIFT, 4n << EptPointer.WALK_LENGTH_SHIFT]);
const EPT_RESERVED = EptPointer.SUPERVISOR_SHADOW_STACK | EptPointer.RESERVED | BEYOND_PHYSICAL;

/** The rules about EPTP, which INVEPT applies to its descriptor too (SDM vol. 3, chapter 31, INVEPT). */
export const eptpMemoryTypeValid = (eptp: bigint): boolean => EPT_MEMORY_TYPES.has(eptp & EptPointer.MEMORY_TYPE);
export const eptpWalkLengthValid = (eptp: bigint): boolean => EPT_WALK_LENGTHS.has(eptp & EptPointer.WALK_LENGTH);
export const eptpReservedClear = (eptp: bigint): boolean => (eptp & EPT_RESERVED) === 0n;
export const eptpValid = (eptp: bigint): boolean =>
  eptpMemoryTypeValid(eptp) && eptpWalkLengthValid(eptp) && eptpReservedClear(eptp);

export const EXECUTION_CONTROL_CHECKS: readonly EntryCheck[] = [
  ...reserved(execution, 'pin', (c) => c.pin),
  ...reserved(execution, 'primary', (c) => c.primary),
  ...reserved(execution, 'secondary', (c) => c.secondary).slice(1),
  execution(
    'cr3-target-count',
    `CR3-target count is at most ${CR3_TARGET_LIMIT}`,
    ['CR3_TARGET_COUNT'],
    (c) => c.get32(Slot.CR3_TARGET_COUNT) <= CR3_TARGET_LIMIT,
  ),
  execution(
    'io-bitmap-a',
    'with "use I/O bitmaps" the address of I/O bitmap A is 4-KByte aligned and within the physical-address width',
    ['IO_BITMAP_A', 'PRIMARY_PROCESSOR_CONTROLS'],
    (c) => !usesIoBitmaps(c) || isPageAddress(c.get64(Slot.IO_BITMAP_A)),
  ),
  execution(
    'io-bitmap-b',
    'with "use I/O bitmaps" the address of I/O bitmap B is 4-KByte aligned and within the physical-address width',
    ['IO_BITMAP_B', 'PRIMARY_PROCESSOR_CONTROLS'],
    (c) => !usesIoBitmaps(c) || isPageAddress(c.get64(Slot.IO_BITMAP_B)),
  ),
  execution(
    'msr-bitmaps',
    'with "use MSR bitmaps" the address of MSR bitmaps is 4-KByte aligned and within the physical-address width',
    ['MSR_BITMAPS', 'PRIMARY_PROCESSOR_CONTROLS'],
    (c) => !(c.primary & Primary.USE_MSR_BITMAPS) || isPageAddress(c.get64(Slot.MSR_BITMAPS)),
  ),
  ...TPR_SHADOW_CHECKS,
  execution(
    'virtual-nmis',
    '"virtual NMIs" is 0 when "NMI exiting" is 0',
    ['PIN_BASED_CONTROLS'],
    (c) => !(c.pin & Pin.VIRTUAL_NMIS) || (c.pin & Pin.NMI_EXITING) !== 0,
  ),
  execution(
    'nmi-window',
    '"NMI-window exiting" is 0 when "virtual NMIs" is 0',
    ['PRIMARY_PROCESSOR_CONTROLS', 'PIN_BASED_CONTROLS'],
    (c) => !(c.primary & Primary.NMI_WINDOW_EXITING) || (c.pin & Pin.VIRTUAL_NMIS) !== 0,
  ),
  ...APIC_VIRTUALIZATION_CHECKS,
  execution(
    'vpid',
    'with "enable VPID" the VPID is not 0',
    ['VPID', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.ENABLE_VPID) || c.get32(Slot.VPID) !== 0,
  ),
  execution(
    'eptp.memory-type',
    'with "enable EPT" bits 2:0 of the EPT pointer are a supported memory type: 0 (UC) or 6 (WB)',
    ['EPT_POINTER', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !c.ept || eptpMemoryTypeValid(c.get64(Slot.EPT_POINTER)),
  ),
  execution(
    'eptp.walk-length',
    'with "enable EPT" bits 5:3 of the EPT pointer are 3 or 4: a page-walk length of 4 or 5',
    ['EPT_POINTER', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !c.ept || eptpWalkLengthValid(c.get64(Slot.EPT_POINTER)),
  ),
  execution(
    'eptp.reserved',
    'with "enable EPT" reserved bits of the EPT pointer are 0: 11:7 and those beyond the physical-address width',
    ['EPT_POINTER', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !c.ept || eptpReservedClear(c.get64(Slot.EPT_POINTER)),
  ),
  execution(
    'vm-functions.reserved',
    `with "enable VM functions" only bits of IA32_VMX_VMFUNC (0x${VM_FUNCTIONS_ALLOWED.toString(16)}) are 1 in the VM-function controls`,
    ['VM_FUNCTION_CONTROLS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => (vmFunctions(c) & ~VM_FUNCTIONS_ALLOWED) === 0n,
  ),
  execution(
    'vm-functions.ept',
    '"EPTP switching" is 0 when "enable EPT" is 0',
    ['VM_FUNCTION_CONTROLS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(vmFunctions(c) & VmFunction.EPTP_SWITCHING) || c.ept,
  ),
  execution(
    'vm-functions.eptp-list',
    'with "EPTP switching" the EPTP-list address is 4-KByte aligned and within the physical-address width',
    ['EPTP_LIST_ADDRESS', 'VM_FUNCTION_CONTROLS'],
    (c) => !(vmFunctions(c) & VmFunction.EPTP_SWITCHING) || isPageAddress(c.get64(Slot.EPTP_LIST_ADDRESS)),
  ),
  execution(
    'tsc-multiplier',
    'with "use TSC scaling" the TSC multiplier is not 0',
    ['TSC_MULTIPLIER', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.USE_TSC_SCALING) || c.get64(Slot.TSC_MULTIPLIER) !== 0n,
  ),
  ...(['VMREAD_BITMAP', 'VMWRITE_BITMAP'] as const).map((field) =>
    execution(
      `shadowing.${field === 'VMREAD_BITMAP' ? 'vmread' : 'vmwrite'}-bitmap`,
      'with "VMCS shadowing" the address of the bitmap is 4-KByte aligned and within the physical-address width',
      [field, 'SECONDARY_PROCESSOR_CONTROLS'],
      (c) => !(c.secondary & Secondary.VMCS_SHADOWING) || isPageAddress(c.get64(Slot[field])),
    ),
  ),
  execution(
    'pml',
    '"enable PML" is 0 when "enable EPT" is 0',
    ['SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.ENABLE_PML) || c.ept,
  ),
  execution(
    'pml-address',
    'with "enable PML" the PML address is 4-KByte aligned and within the physical-address width',
    ['PML_ADDRESS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.ENABLE_PML) || isPageAddress(c.get64(Slot.PML_ADDRESS)),
  ),
  execution(
    'unrestricted-guest',
    '"unrestricted guest" is 0 when "enable EPT" is 0',
    ['SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !c.unrestricted || c.ept,
  ),
  execution(
    'mode-based-execute',
    '"mode-based execute control for EPT" is 0 when "enable EPT" is 0',
    ['SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.MODE_BASED_EXECUTE_CONTROL) || c.ept,
  ),
  execution(
    'virtualization-exception-address',
    'with "EPT-violation #VE" the virtualization-exception information address is 4-KByte aligned and within the physical-address width',
    ['VIRTUALIZATION_EXCEPTION_ADDRESS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.EPT_VIOLATION_VE) || isPageAddress(c.get64(Slot.VIRTUALIZATION_EXCEPTION_ADDRESS)),
  ),
];

/** The two rules that each MSR area has */
const msrArea = (
  make: typeof execution,
  id: string,
  what: string,
  address: 'EXIT_MSR_STORE_ADDRESS' | 'EXIT_MSR_LOAD_ADDRESS' | 'ENTRY_MSR_LOAD_ADDRESS',
  count: 'EXIT_MSR_STORE_COUNT' | 'EXIT_MSR_LOAD_COUNT' | 'ENTRY_MSR_LOAD_COUNT',
): EntryCheck[] => [
  make(`${id}.aligned`, `the ${what} address is 16-byte aligned when the count is not 0`, [address, count], (c) =>
    msrAreaAligned(c.get32(Slot[count]), c.get64(Slot[address])),
  ),
  make(
    `${id}.width`,
    `the first and last byte of the ${what} area are within the physical-address width`,
    [address, count],
    (c) => msrAreaWithin(c.get32(Slot[count]), c.get64(Slot[address])),
  ),
];

export const EXIT_CONTROL_CHECKS: readonly EntryCheck[] = [
  ...reserved(exit, 'exit', (c) => c.exit),
  exit(
    'save-preemption-timer',
    '"save VMX-preemption timer value" is 0 when "activate VMX-preemption timer" is 0',
    ['EXIT_CONTROLS', 'PIN_BASED_CONTROLS'],
    (c) => !(c.exit & Exit.SAVE_PREEMPTION_TIMER) || (c.pin & Pin.ACTIVATE_PREEMPTION_TIMER) !== 0,
  ),
  ...msrArea(exit, 'exit-msr-store', 'VM-exit MSR-store', 'EXIT_MSR_STORE_ADDRESS', 'EXIT_MSR_STORE_COUNT'),
  ...msrArea(exit, 'exit-msr-load', 'VM-exit MSR-load', 'EXIT_MSR_LOAD_ADDRESS', 'EXIT_MSR_LOAD_COUNT'),
];

const RESERVED_TYPE = 1;
const EVENT_RESERVED = 0x7fff_f000;
const ERROR_CODE_RESERVED = 0xffff_0000;
const MAXIMUM_LENGTH = 15;
/** Exceptions that deliver an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC */
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

function vectorFitsType(c: EntryContext): boolean {
  const vector = interruptionVector(c.event);
  switch (c.eventType) {
    case InterruptionType.NMI:
      return vector === 2;
    case InterruptionType.HARDWARE_EXCEPTION:
      return vector <= 31;
    case InterruptionType.OTHER_EVENT:
      return vector === 0;
    default:
      return true;
  }
}

/** Deliver-error-code is 1 exactly for these; without protected mode there are no error codes. */
function wantsErrorCode(c: EntryContext): boolean {
  if (c.eventType !== InterruptionType.HARDWARE_EXCEPTION) return false;
  return WITH_ERROR_CODE.has(interruptionVector(c.event)) && (c.protectedMode || !c.unrestricted);
}

const isSoftware = (type: number): boolean =>
  type === InterruptionType.SOFTWARE_INTERRUPT ||
  type === InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION ||
  type === InterruptionType.SOFTWARE_EXCEPTION;

const valid = (c: EntryContext): boolean => c.eventType >= 0;

export const ENTRY_CONTROL_CHECKS: readonly EntryCheck[] = [
  ...reserved(entry, 'entry', (c) => c.entry & ~Entry.ENTRY_TO_SMM & ~Entry.DEACTIVATE_DUAL_MONITOR),
  entry(
    'event.type',
    'the interruption type of the injected event is not the reserved type 1',
    ['ENTRY_INTERRUPTION_INFORMATION'],
    (c) => c.eventType !== RESERVED_TYPE,
  ),
  entry(
    'event.vector',
    'the vector fits the type: 2 for an NMI, at most 31 for a hardware exception, 0 for a pending MTF VM exit',
    ['ENTRY_INTERRUPTION_INFORMATION'],
    vectorFitsType,
  ),
  entry(
    'event.deliver-error-code',
    'deliver-error-code is 1 if and only if a hardware exception with an error code is injected in protected mode',
    ['ENTRY_INTERRUPTION_INFORMATION', 'GUEST_CR0'],
    (c) => !valid(c) || interruptionHasErrorCode(c.event) === wantsErrorCode(c),
  ),
  entry(
    'event.reserved',
    'bits 30:12 of the VM-entry interruption information are 0',
    ['ENTRY_INTERRUPTION_INFORMATION'],
    (c) => !valid(c) || (c.event & EVENT_RESERVED) === 0,
  ),
  entry(
    'event.error-code',
    'bits 31:16 of the VM-entry exception error code are 0 when it is delivered',
    ['ENTRY_EXCEPTION_ERROR_CODE', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) =>
      !valid(c) ||
      !interruptionHasErrorCode(c.event) ||
      (c.get32(Slot.ENTRY_EXCEPTION_ERROR_CODE) & ERROR_CODE_RESERVED) === 0,
  ),
  entry(
    'event.instruction-length',
    'the VM-entry instruction length of a software interrupt or exception is 0 to 15',
    ['ENTRY_INSTRUCTION_LENGTH', 'ENTRY_INTERRUPTION_INFORMATION'],
    (c) => !isSoftware(c.eventType) || c.get32(Slot.ENTRY_INSTRUCTION_LENGTH) <= MAXIMUM_LENGTH,
  ),
  ...msrArea(entry, 'entry-msr-load', 'VM-entry MSR-load', 'ENTRY_MSR_LOAD_ADDRESS', 'ENTRY_MSR_LOAD_COUNT'),
  entry(
    'smm',
    '"entry to SMM" and "deactivate dual-monitor treatment" are 0 outside SMM',
    ['ENTRY_CONTROLS'],
    (c) => (c.entry & (Entry.ENTRY_TO_SMM | Entry.DEACTIVATE_DUAL_MONITOR)) === 0,
  ),
];
