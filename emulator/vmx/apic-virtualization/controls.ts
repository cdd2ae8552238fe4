import { Pin, Primary, Secondary } from '../../arch/controls';
import { PendingEvent } from '../../cpu/boundary';
import { State } from '../../memory/layout';
import type { VmxCore } from '../core';
import { Slot } from '../vmcs';

/** Bits of State.APIC_VIRTUALIZATION: the controls in force in non-root operation; 0 in root operation and without them */
export const Virtualized = {
  TPR: 1,
  ACCESSES: 2,
  X2APIC: 4,
  REGISTERS: 8,
  DELIVERY: 16,
  POSTED: 32,
} as const;

/** The control words; secondary is 0 when it is not activated. */
export interface ControlValues {
  readonly pin: number;
  readonly primary: number;
  readonly secondary: number;
}

/** What the controls ask for; 0 for nearly every guest. */
export function virtualizedBy(controls: ControlValues): number {
  const { primary, secondary } = controls;
  if (!(primary & Primary.USE_TPR_SHADOW) && !(secondary & Secondary.VIRTUALIZE_APIC_ACCESSES)) return 0;
  return (
    (primary & Primary.USE_TPR_SHADOW ? Virtualized.TPR : 0) |
    (secondary & Secondary.VIRTUALIZE_APIC_ACCESSES ? Virtualized.ACCESSES : 0) |
    (secondary & Secondary.VIRTUALIZE_X2APIC_MODE ? Virtualized.X2APIC : 0) |
    (secondary & Secondary.APIC_REGISTER_VIRTUALIZATION ? Virtualized.REGISTERS : 0) |
    (secondary & Secondary.VIRTUAL_INTERRUPT_DELIVERY ? Virtualized.DELIVERY : 0) |
    (controls.pin & Pin.PROCESS_POSTED_INTERRUPTS ? Virtualized.POSTED : 0)
  );
}

export const virtualized = (core: VmxCore): number => core.cpu.state.get32(State.APIC_VIRTUALIZATION);

/**
 * VM exit: the controls are out of force, what they left pending is forgotten, and the guest interrupt status is saved
 * (SDM vol. 3, 28.3.4).
 */
export function leaveApicVirtualization(core: VmxCore): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  if (virtualized(core) & Virtualized.DELIVERY)
    vmcs.set32(Slot.GUEST_INTERRUPT_STATUS, state.get32(State.GUEST_INTERRUPT_STATUS));
  state.set32(State.APIC_VIRTUALIZATION, 0);
  state.set32(State.GUEST_INTERRUPT_STATUS, 0);
  state.set32(State.APIC_WRITE, 0);
  state.set32(State.APIC_TRAP, 0);
  const pending = state.get32(State.PENDING_EVENTS);
  state.set32(State.PENDING_EVENTS, pending & ~(PendingEvent.VIRTUAL_APIC | PendingEvent.VIRTUAL_INTERRUPT));
}
