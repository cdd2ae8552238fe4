import { PendingEvent } from '../../cpu/boundary';
import type { ApicVirtualization, MsrWrite } from '../../cpu/processor';
import { State } from '../../memory/layout';
import type { VmxCore } from '../core';
import { Slot } from '../vmcs';
import { ApicAccessPage } from './access-page';
import { virtualized, virtualizedBy, Virtualized, type ControlValues } from './controls';
import { VirtualMsrs } from './msrs';
import { processPostedInterrupts } from './posted-interrupts';
import { VirtualRegister } from './virtual-apic-page';
import { VirtualInterrupts } from './virtual-interrupts';

const SHUTDOWN = 2;

/**
 * APIC virtualization of one processor (SDM vol. 3, chapter 30). Its state is in the state block and on the
 * virtual-APIC page. Without its controls State.APIC_VIRTUALIZATION is 0 and nothing here is reached.
 */
export class VirtualApic implements ApicVirtualization {
  private readonly interrupts: VirtualInterrupts;
  private readonly memory: ApicAccessPage;
  private readonly msrs: VirtualMsrs;

  constructor(private readonly core: VmxCore) {
    this.interrupts = new VirtualInterrupts(core);
    this.memory = new ApicAccessPage(core, this.interrupts);
    this.msrs = new VirtualMsrs(core, this.interrupts);
  }

  /** VM entry, when guest state and MSRs are loaded */
  enter(controls: ControlValues): void {
    const on = virtualizedBy(controls);
    if (on === 0) return;
    const { vmcs } = this.core;
    this.core.cpu.state.set32(State.APIC_VIRTUALIZATION, on);
    if (on & Virtualized.TPR) vmcs.load(State.VIRTUAL_APIC_PAGE, Slot.VIRTUAL_APIC_ADDRESS);
    if (on & Virtualized.ACCESSES) vmcs.load(State.APIC_ACCESS_PAGE, Slot.APIC_ACCESS_ADDRESS);
    this.interrupts.enter();
  }

  get accessPage(): number {
    const on = virtualized(this.core) & Virtualized.ACCESSES;
    return on ? Number(this.core.cpu.state.get64(State.APIC_ACCESS_PAGE)) : -1;
  }

  /** MOV from CR8 (30.3) */
  readTaskPriority(): number | undefined {
    if (!(virtualized(this.core) & Virtualized.TPR)) return undefined;
    return (this.interrupts.page.get32(VirtualRegister.TPR) >>> 4) & 15;
  }

  writeTaskPriority(value: number): boolean {
    if (!(virtualized(this.core) & Virtualized.TPR)) return false;
    this.interrupts.page.set32(VirtualRegister.TPR, (value & 15) << 4);
    this.interrupts.virtualizeTpr();
    return true;
  }

  readMsr(index: number): bigint | undefined {
    return this.msrs.read(index);
  }

  writeMsr(index: number, value: bigint): MsrWrite {
    return this.msrs.write(index, value);
  }

  readPage(offset: number, size: number): bigint | undefined {
    return this.memory.read(offset, size);
  }

  writesPage(offset: number, size: number): boolean {
    return this.memory.writes(offset, size);
  }

  writePage(offset: number, size: number, value: bigint): boolean {
    return this.memory.write(offset, size, value);
  }

  deliver(): number {
    return this.interrupts.deliver();
  }

  /** Posted-interrupt processing, when the external interrupt that is pending asks for it */
  processesPosted(): boolean {
    return processPostedInterrupts(this.core, this.interrupts);
  }

  /**
   * The end of an operation: APIC-write emulation, then the trap-like VM exit that it or the operation asked for (30.1.2,
   * 30.1.4, 30.4.3). A guest in shutdown or wait-for-SIPI keeps it pending (27.7.7). @returns true when it exits
   */
  trapExit(): boolean {
    const { state } = this.core.cpu;
    if (state.get32(State.ACTIVITY) >= SHUTDOWN) return false;
    state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~PendingEvent.VIRTUAL_APIC);
    this.memory.emulateWrite();
    if (!this.interrupts.takeTrap()) return false;
    state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~PendingEvent.VIRTUAL_APIC);
    return true;
  }
}

export { apicAccessExit } from './access-page';
export { leaveApicVirtualization } from './controls';
