import { Primary } from '../../arch/controls';
import { ExitReason } from '../../arch/exit-reasons';
import { PendingEvent } from '../../cpu/boundary';
import { State } from '../../memory/layout';
import type { VmxCore } from '../core';
import { Slot } from '../vmcs';
import { virtualized, Virtualized } from './controls';
import { VirtualApicPage, VirtualRegister } from './virtual-apic-page';

const CLASS = 0xf0;
/** State.APIC_TRAP is a basic exit reason in 31:16 and the qualification in 15:0. */
const REASON_SHIFT = 16;

/** Virtual APIC state and virtual interrupts of one processor (SDM vol. 3, 30.1 and 30.2). */
export class VirtualInterrupts {
  readonly page: VirtualApicPage;

  constructor(private readonly core: VmxCore) {
    this.page = new VirtualApicPage(core.cpu);
  }

  /** Requesting virtual interrupt: low byte of the guest interrupt status */
  private get rvi(): number {
    return this.core.cpu.state.get32(State.GUEST_INTERRUPT_STATUS) & 0xff;
  }

  private set rvi(vector: number) {
    const { state } = this.core.cpu;
    state.set32(State.GUEST_INTERRUPT_STATUS, (state.get32(State.GUEST_INTERRUPT_STATUS) & 0xff00) | vector);
  }

  /** Servicing virtual interrupt: high byte */
  private get svi(): number {
    return (this.core.cpu.state.get32(State.GUEST_INTERRUPT_STATUS) >>> 8) & 0xff;
  }

  private set svi(vector: number) {
    const { state } = this.core.cpu;
    state.set32(State.GUEST_INTERRUPT_STATUS, (state.get32(State.GUEST_INTERRUPT_STATUS) & 0xff) | (vector << 8));
  }

  /** VM entry: RVI and SVI as the VMCS has them (27.3.2.5); without virtual-interrupt delivery the TPR threshold (27.7.7) */
  enter(): void {
    const { state } = this.core.cpu;
    const on = virtualized(this.core);
    if (on & Virtualized.DELIVERY) {
      state.set32(State.GUEST_INTERRUPT_STATUS, this.core.vmcs.get32(Slot.GUEST_INTERRUPT_STATUS) & 0xffff);
      this.virtualizePpr();
      this.evaluate();
    } else if (on & Virtualized.TPR) this.compareThreshold();
  }

  /** TPR virtualization (30.1.2): VTPR has been written. */
  virtualizeTpr(): void {
    if (virtualized(this.core) & Virtualized.DELIVERY) {
      this.virtualizePpr();
      this.evaluate();
    } else this.compareThreshold();
  }

  /** EOI virtualization (30.1.4) */
  virtualizeEoi(): void {
    const vector = this.svi;
    this.page.removeVector(VirtualRegister.ISR, vector);
    this.svi = this.page.highestVector(VirtualRegister.ISR);
    this.virtualizePpr();
    if (this.exitsOnEoi(vector)) this.trap(ExitReason.VIRTUALIZED_EOI, vector);
    else this.evaluate();
  }

  /** Self-IPI virtualization (30.1.5) */
  virtualizeSelfIpi(vector: number): void {
    this.page.addVector(VirtualRegister.IRR, vector);
    this.request(vector);
  }

  /** RVI becomes at least this vector, whose bit in VIRR is set. */
  request(vector: number): void {
    this.rvi = Math.max(this.rvi, vector);
    this.evaluate();
  }

  /** Evaluation of pending virtual interrupts (30.2.1) */
  evaluate(): void {
    const { state } = this.core.cpu;
    const window = this.core.vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.INTERRUPT_WINDOW_EXITING;
    const recognized = !window && (this.rvi & CLASS) > (this.page.get32(VirtualRegister.PPR) & CLASS);
    const pending = state.get32(State.PENDING_EVENTS) & ~PendingEvent.VIRTUAL_INTERRUPT;
    state.set32(State.PENDING_EVENTS, recognized ? pending | PendingEvent.VIRTUAL_INTERRUPT : pending);
  }

  /** Virtual-interrupt delivery (30.2.2), up to the vector that goes through the IDT */
  deliver(): number {
    const { state } = this.core.cpu;
    const vector = this.rvi;
    this.page.addVector(VirtualRegister.ISR, vector);
    this.svi = vector;
    this.page.set32(VirtualRegister.PPR, vector & CLASS);
    this.page.removeVector(VirtualRegister.IRR, vector);
    this.rvi = this.page.highestVector(VirtualRegister.IRR);
    state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~PendingEvent.VIRTUAL_INTERRUPT);
    return vector;
  }

  /** A trap-like VM exit: it is taken at the end of the operation, before any other event. */
  trap(reason: number, qualification: number): void {
    const { state } = this.core.cpu;
    state.set32(State.APIC_TRAP, (reason << REASON_SHIFT) | qualification);
    state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) | PendingEvent.VIRTUAL_APIC);
  }

  /** Fills `core.exit` with the trap-like VM exit that is due; false when none is. */
  takeTrap(): boolean {
    const { state } = this.core.cpu;
    const trap = state.get32(State.APIC_TRAP);
    if (trap === 0) return false;
    state.set32(State.APIC_TRAP, 0);
    this.core.exit.reset(trap >>> REASON_SHIFT, BigInt(trap & 0xffff));
    return true;
  }

  /** PPR virtualization (30.1.3) */
  private virtualizePpr(): void {
    const task = this.page.get32(VirtualRegister.TPR) & 0xff;
    const serving = this.svi & CLASS;
    this.page.set32(VirtualRegister.PPR, (task & CLASS) >= serving ? task : serving);
  }

  private compareThreshold(): void {
    const threshold = this.core.vmcs.get32(Slot.TPR_THRESHOLD) & 15;
    if (((this.page.get32(VirtualRegister.TPR) >>> 4) & 15) < threshold) this.trap(ExitReason.TPR_BELOW_THRESHOLD, 0);
  }

  private exitsOnEoi(vector: number): boolean {
    const slot = EOI_EXIT_BITMAPS[vector >>> 6] ?? 0;
    return ((this.core.vmcs.get32(slot + (vector & 32 ? 4 : 0)) >>> (vector & 31)) & 1) !== 0;
  }
}

const EOI_EXIT_BITMAPS = [
  Slot.EOI_EXIT_BITMAP_0,
  Slot.EOI_EXIT_BITMAP_1,
  Slot.EOI_EXIT_BITMAP_2,
  Slot.EOI_EXIT_BITMAP_3,
];
