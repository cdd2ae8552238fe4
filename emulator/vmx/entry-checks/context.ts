import { Cr0, Cr4, Efer } from '../../arch/control-registers';
import { Entry, Exit, Primary, Secondary } from '../../arch/controls';
import { interruptionType, interruptionValid } from '../../arch/interruption';
import { State } from '../../memory/layout';
import type { VmxCore } from '../core';
import { Slot, type Vmcs } from '../vmcs';

const VIRTUAL_8086 = 1 << 17;
const PE = Number(Cr0.PE);
const PG = -0x8000_0000;
const PAE = Number(Cr4.PAE);
const LMA = Number(Efer.LMA);
const NO_EVENT = -1;

/** What the rules of VM entry read, by name. Holds nothing: every value is the VMCS's at that moment. */
export class EntryContext {
  readonly vmcs: Vmcs;

  constructor(readonly core: VmxCore) {
    this.vmcs = core.vmcs;
  }

  get pin(): number {
    return this.get32(Slot.PIN_BASED_CONTROLS);
  }

  get primary(): number {
    return this.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  }

  /** 0 without "activate secondary controls" */
  get secondary(): number {
    return this.primary & Primary.ACTIVATE_SECONDARY_CONTROLS ? this.get32(Slot.SECONDARY_PROCESSOR_CONTROLS) : 0;
  }

  get exit(): number {
    return this.get32(Slot.EXIT_CONTROLS);
  }

  get entry(): number {
    return this.get32(Slot.ENTRY_CONTROLS);
  }

  get ept(): boolean {
    return (this.secondary & Secondary.ENABLE_EPT) !== 0;
  }

  get unrestricted(): boolean {
    return (this.secondary & Secondary.UNRESTRICTED_GUEST) !== 0;
  }

  /** "IA-32e mode guest" */
  get longGuest(): boolean {
    return (this.entry & Entry.IA32E_MODE_GUEST) !== 0;
  }

  /** "Host address-space size" */
  get host64(): boolean {
    return (this.exit & Exit.HOST_ADDRESS_SPACE_SIZE) !== 0;
  }

  /** The processor is in IA-32e mode at the time of VM entry. */
  get longHost(): boolean {
    return (this.core.cpu.state.get32(State.EFER) & LMA) !== 0;
  }

  get cr0(): bigint {
    return this.get64(Slot.GUEST_CR0);
  }

  get cr4(): bigint {
    return this.get64(Slot.GUEST_CR4);
  }

  get protectedMode(): boolean {
    return (this.get32(Slot.GUEST_CR0) & PE) !== 0;
  }

  get paging(): boolean {
    return (this.get32(Slot.GUEST_CR0) & PG) !== 0;
  }

  /** Guest RFLAGS, low 32 bits */
  get flags(): number {
    return this.get32(Slot.GUEST_RFLAGS);
  }

  get virtual8086(): boolean {
    return (this.flags & VIRTUAL_8086) !== 0;
  }

  /** VM-entry interruption information */
  get event(): number {
    return this.get32(Slot.ENTRY_INTERRUPTION_INFORMATION);
  }

  /** Its type, or -1 when it is not valid */
  get eventType(): number {
    const { event } = this;
    return interruptionValid(event) ? interruptionType(event) : NO_EVENT;
  }

  /** PAE paging in the guest: PDPTEs are used. */
  get pae(): boolean {
    return this.paging && (this.get32(Slot.GUEST_CR4) & PAE) !== 0 && !this.longGuest;
  }

  get32(slot: number): number {
    return this.vmcs.get32(slot);
  }

  /** Bits 63:32 */
  high32(slot: number): number {
    return this.vmcs.high32(slot);
  }

  get64(slot: number): bigint {
    return this.vmcs.get64(slot);
  }
}
