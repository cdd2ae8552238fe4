import { Exit, Pin, Primary, Secondary } from '../../arch/controls';
import { hostPhysical } from '../../memory/address';
import { BEYOND_PHYSICAL, isPageAddress } from '../capabilities';
import { Slot } from '../vmcs';
import type { EntryContext } from './context';
import { everyEntry, section, type EntryCheck } from './row';

/** Control fields of APIC virtualization (SDM vol. 3, 27.2.1.1); the rules stand between others there. */
const execution = section('27.2.1.1', 'control');

const VIRTUAL_TPR = 0x80n;
/** The posted-interrupt descriptor is 64-byte aligned. */
const DESCRIPTOR_RESERVED = 0x3fn | BEYOND_PHYSICAL;

const tprShadow = (c: EntryContext): boolean => (c.primary & Primary.USE_TPR_SHADOW) !== 0;
const accesses = (c: EntryContext): boolean => (c.secondary & Secondary.VIRTUALIZE_APIC_ACCESSES) !== 0;
const delivery = (c: EntryContext): boolean => (c.secondary & Secondary.VIRTUAL_INTERRUPT_DELIVERY) !== 0;
const posted = (c: EntryContext): boolean => (c.pin & Pin.PROCESS_POSTED_INTERRUPTS) !== 0;

/** VTPR bits 7:4, from memory */
function virtualTaskPriority(c: EntryContext): number {
  const address = c.get64(Slot.VIRTUAL_APIC_ADDRESS) + VIRTUAL_TPR;
  return Number(c.core.cpu.physical.read(hostPhysical(address), 1)) >>> 4;
}

/** After the rule on the MSR bitmaps */
export const TPR_SHADOW_CHECKS: readonly EntryCheck[] = [
  execution(
    'virtual-apic-address',
    'with "use TPR shadow" the virtual-APIC address is 4-KByte aligned and within the physical-address width',
    ['VIRTUAL_APIC_ADDRESS', 'PRIMARY_PROCESSOR_CONTROLS'],
    (c) => !tprShadow(c) || isPageAddress(c.get64(Slot.VIRTUAL_APIC_ADDRESS)),
  ),
  execution(
    'tpr-threshold.reserved',
    'with "use TPR shadow" and without "virtual-interrupt delivery" bits 31:4 of the TPR threshold are 0',
    ['TPR_THRESHOLD', 'PRIMARY_PROCESSOR_CONTROLS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !tprShadow(c) || delivery(c) || c.get32(Slot.TPR_THRESHOLD) <= 15,
  ),
  everyEntry(
    execution(
      'tpr-threshold.vtpr',
      'with "use TPR shadow" and without "virtualize APIC accesses" and "virtual-interrupt delivery" the TPR threshold is not above bits 7:4 of the TPR on the virtual-APIC page',
      ['TPR_THRESHOLD', 'VIRTUAL_APIC_ADDRESS', 'PRIMARY_PROCESSOR_CONTROLS', 'SECONDARY_PROCESSOR_CONTROLS'],
      (c) =>
        !tprShadow(c) || accesses(c) || delivery(c) || (c.get32(Slot.TPR_THRESHOLD) & 15) <= virtualTaskPriority(c),
    ),
    (c) => tprShadow(c) && !accesses(c) && !delivery(c),
  ),
];

/** After the rules on NMIs */
export const APIC_VIRTUALIZATION_CHECKS: readonly EntryCheck[] = [
  execution(
    'apic-access-address',
    'with "virtualize APIC accesses" the APIC-access address is 4-KByte aligned and within the physical-address width',
    ['APIC_ACCESS_ADDRESS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !accesses(c) || isPageAddress(c.get64(Slot.APIC_ACCESS_ADDRESS)),
  ),
  execution(
    'tpr-shadow-off',
    '"virtualize x2APIC mode", "APIC-register virtualization" and "virtual-interrupt delivery" are 0 when "use TPR shadow" is 0',
    ['SECONDARY_PROCESSOR_CONTROLS', 'PRIMARY_PROCESSOR_CONTROLS'],
    (c) =>
      tprShadow(c) ||
      (c.secondary &
        (Secondary.VIRTUALIZE_X2APIC_MODE |
          Secondary.APIC_REGISTER_VIRTUALIZATION |
          Secondary.VIRTUAL_INTERRUPT_DELIVERY)) ===
        0,
  ),
  execution(
    'x2apic-mode',
    '"virtualize APIC accesses" is 0 when "virtualize x2APIC mode" is 1',
    ['SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !(c.secondary & Secondary.VIRTUALIZE_X2APIC_MODE) || !accesses(c),
  ),
  execution(
    'virtual-interrupt-delivery',
    '"external-interrupt exiting" is 1 when "virtual-interrupt delivery" is 1',
    ['PIN_BASED_CONTROLS', 'SECONDARY_PROCESSOR_CONTROLS'],
    (c) => !delivery(c) || (c.pin & Pin.EXTERNAL_INTERRUPT_EXITING) !== 0,
  ),
  execution(
    'posted.delivery',
    '"virtual-interrupt delivery" is 1 when "process posted interrupts" is 1',
    ['SECONDARY_PROCESSOR_CONTROLS', 'PIN_BASED_CONTROLS'],
    (c) => !posted(c) || delivery(c),
  ),
  execution(
    'posted.acknowledge',
    '"acknowledge interrupt on exit" is 1 when "process posted interrupts" is 1',
    ['EXIT_CONTROLS', 'PIN_BASED_CONTROLS'],
    (c) => !posted(c) || (c.exit & Exit.ACKNOWLEDGE_INTERRUPT) !== 0,
  ),
  execution(
    'posted.vector',
    'with "process posted interrupts" bits 15:8 of the posted-interrupt notification vector are 0',
    ['POSTED_INTERRUPT_NOTIFICATION_VECTOR', 'PIN_BASED_CONTROLS'],
    (c) => !posted(c) || (c.get32(Slot.POSTED_INTERRUPT_NOTIFICATION_VECTOR) & 0xffff) <= 0xff,
  ),
  execution(
    'posted.descriptor',
    'with "process posted interrupts" the posted-interrupt descriptor address is 64-byte aligned and within the physical-address width',
    ['POSTED_INTERRUPT_DESCRIPTOR_ADDRESS', 'PIN_BASED_CONTROLS'],
    (c) => !posted(c) || (c.get64(Slot.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS) & DESCRIPTOR_RESERVED) === 0n,
  ),
];
