import { Cr0, Cr4 } from '../../arch/control-registers';
import { Entry, Exit, Primary, Secondary } from '../../arch/controls';
import { interruptionType, interruptionValid } from '../../arch/interruption';
import type { VmxCore } from '../core';
import { Slot, type Vmcs } from '../vmcs';

const VIRTUAL_8086 = 1 << 17;
const NO_EVENT = -1;

/** What the rules of one VM entry look at again and again, taken from the VMCS once. Reused, never allocated. */
export class EntryContext {
  readonly vmcs: Vmcs;
  pin = 0;
  primary = 0;
  secondary = 0;
  exit = 0;
  entry = 0;
  ept = false;
  unrestricted = false;
  /** "IA-32e mode guest" */
  longGuest = false;
  /** "Host address-space size" */
  host64 = false;
  cr0 = 0n;
  cr4 = 0n;
  protectedMode = false;
  paging = false;
  /** Guest RFLAGS, low 32 bits */
  flags = 0;
  virtual8086 = false;
  /** VM-entry interruption information */
  event = 0;
  /** Its type, or -1 when it is not valid */
  eventType = NO_EVENT;

  constructor(readonly core: VmxCore) {
    this.vmcs = core.vmcs;
  }

  load(): this {
    const { vmcs } = this;
    this.pin = vmcs.get32(Slot.PIN_BASED_CONTROLS);
    this.primary = vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
    this.secondary =
      this.primary & Primary.ACTIVATE_SECONDARY_CONTROLS ? vmcs.get32(Slot.SECONDARY_PROCESSOR_CONTROLS) : 0;
    this.exit = vmcs.get32(Slot.EXIT_CONTROLS);
    this.entry = vmcs.get32(Slot.ENTRY_CONTROLS);
    this.ept = (this.secondary & Secondary.ENABLE_EPT) !== 0;
    this.unrestricted = (this.secondary & Secondary.UNRESTRICTED_GUEST) !== 0;
    this.longGuest = (this.entry & Entry.IA32E_MODE_GUEST) !== 0;
    this.host64 = (this.exit & Exit.HOST_ADDRESS_SPACE_SIZE) !== 0;
    this.cr0 = vmcs.get64(Slot.GUEST_CR0);
    this.cr4 = vmcs.get64(Slot.GUEST_CR4);
    this.protectedMode = (this.cr0 & Cr0.PE) !== 0n;
    this.paging = (this.cr0 & Cr0.PG) !== 0n;
    this.flags = vmcs.get32(Slot.GUEST_RFLAGS);
    this.virtual8086 = (this.flags & VIRTUAL_8086) !== 0;
    this.event = vmcs.get32(Slot.ENTRY_INTERRUPTION_INFORMATION);
    this.eventType = interruptionValid(this.event) ? interruptionType(this.event) : NO_EVENT;
    return this;
  }

  get32(slot: number): number {
    return this.vmcs.get32(slot);
  }

  get64(slot: number): bigint {
    return this.vmcs.get64(slot);
  }

  /** PAE paging in the guest: PDPTEs are used. */
  get pae(): boolean {
    return this.paging && (this.cr4 & Cr4.PAE) !== 0n && !this.longGuest;
  }
}
