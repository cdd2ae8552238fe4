import { ExitReason } from '../../arch/exit-reasons';
import { PendingEvent } from '../../cpu/boundary';
import { State } from '../../memory/layout';
import { ApicAccess } from '../../cpu/processor';
import { faultResumeFlag, type VmxCore } from '../core';
import { virtualized, Virtualized } from './controls';
import { VirtualRegister } from './virtual-apic-page';
import type { VirtualInterrupts } from './virtual-interrupts';

/** State.APIC_WRITE: 0, or this bit, the size in 15:12 and the offset in 11:0 of the write that is to be emulated */
const WRITTEN = 0x8000_0000;

/** Registers whose reads "APIC-register virtualization" virtualizes (SDM vol. 3, 30.4.2): first and last, each 16 bytes apart */
const READABLE: readonly (readonly [number, number])[] = [
  [0x20, 0x30],
  [0x80, 0x80],
  [0xb0, 0xb0],
  [0xd0, 0xf0],
  [0x100, 0x280],
  [0x300, 0x380],
  [0x3e0, 0x3e0],
];
/** And writes (30.4.3.1) */
const WRITABLE: readonly (readonly [number, number])[] = [
  [0x20, 0x20],
  [0x80, 0x80],
  [0xb0, 0xb0],
  [0xd0, 0xf0],
  [0x280, 0x280],
  [0x300, 0x380],
  [0x3e0, 0x3e0],
];
/** Without it exactly the offset of the TPR; with "virtual-interrupt delivery" writes at those of EOI and ICR low besides */
const WRITABLE_WITH_DELIVERY: readonly number[] = [VirtualRegister.TPR, VirtualRegister.EOI, VirtualRegister.ICR_LOW];

const recorded = (offset: number, size: number): number => (WRITTEN | (size << 12) | offset) >>> 0;

const within = (ranges: readonly (readonly [number, number])[], register: number): boolean =>
  ranges.some(([first, last]) => register >= first && register <= last);

/** VICR_LO asks for an edge-triggered fixed IPI with the shorthand "self" and no reserved bit (30.4.3.2) */
const SELF_IPI_MASK = 0xffff_b700;
const SELF_IPI = 0x0004_0000;

/**
 * Fills `core.exit` for an access that is not virtualized. One that event delivery makes has a type of its own (SDM vol. 3,
 * table 28-6).
 */
export function apicAccessExit(core: VmxCore, qualification: number, instructionLength: number): void {
  const { delivery, exit } = core;
  const type = qualification >>> 12;
  const delivering = type === ApicAccess.PHYSICAL ? ApicAccess.PHYSICAL_DELIVERY : ApicAccess.DELIVERY;
  const reported = delivery.active ? delivering : type;
  exit.reset(ExitReason.APIC_ACCESS, BigInt((qualification & 0xfff) | (reported << 12)));
  exit.instructionLength = delivery.active ? 0 : instructionLength;
  exit.resumeFlag = faultResumeFlag(delivery);
}

/** Linear accesses to the APIC-access page (SDM vol. 3, 30.4). */
export class ApicAccessPage {
  constructor(
    private readonly core: VmxCore,
    private readonly interrupts: VirtualInterrupts,
  ) {}

  /** The value of a read that is virtualized; undefined: it causes an APIC-access VM exit. */
  read(offset: number, size: number): bigint | undefined {
    if (!this.aligned(offset, size) || this.written !== 0) return undefined;
    const registers = (virtualized(this.core) & Virtualized.REGISTERS) !== 0;
    if (registers ? !within(READABLE, offset & ~15) : offset !== VirtualRegister.TPR) return undefined;
    return this.interrupts.page.read(offset, size);
  }

  /** Whether a write is virtualized. An operation that has made one may only repeat it. */
  writes(offset: number, size: number): boolean {
    if (!this.aligned(offset, size) || !this.writable(offset)) return false;
    return this.written === 0 || this.written === recorded(offset, size);
  }

  /** True: the write was virtualized, and is emulated when the operation is complete. False: an APIC-access VM exit. */
  write(offset: number, size: number, value: bigint): boolean {
    if (!this.writes(offset, size)) return false;
    this.interrupts.page.write(offset, size, value);
    const { state } = this.core.cpu;
    state.set32(State.APIC_WRITE, recorded(offset, size));
    state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) | PendingEvent.VIRTUAL_APIC);
    return true;
  }

  /** APIC-write emulation (30.4.3.2), if a write waits for it. */
  emulateWrite(): void {
    const { written, interrupts } = this;
    if (written === 0) return;
    const { page } = interrupts;
    this.core.cpu.state.set32(State.APIC_WRITE, 0);
    const offset = written & 0xfff;
    const delivery = (virtualized(this.core) & Virtualized.DELIVERY) !== 0;
    switch (offset & ~3) {
      case VirtualRegister.TPR:
        page.set32(VirtualRegister.TPR, page.get32(VirtualRegister.TPR) & 0xff);
        return interrupts.virtualizeTpr();
      case VirtualRegister.EOI:
        if (!delivery) break;
        page.set32(VirtualRegister.EOI, 0);
        return interrupts.virtualizeEoi();
      case VirtualRegister.ICR_LOW: {
        const command = page.get32(VirtualRegister.ICR_LOW);
        if (!delivery || (command & SELF_IPI_MASK) >>> 0 !== SELF_IPI || (command & 0xf0) === 0) break;
        return interrupts.virtualizeSelfIpi(command & 0xff);
      }
      case VirtualRegister.ICR_HIGH:
        page.set32(VirtualRegister.ICR_HIGH, page.get32(VirtualRegister.ICR_HIGH) & 0xff00_0000);
        return;
    }
    interrupts.trap(ExitReason.APIC_WRITE, offset);
  }

  private get written(): number {
    return this.core.cpu.state.get32(State.APIC_WRITE);
  }

  private writable(offset: number): boolean {
    const on = virtualized(this.core);
    if (on & Virtualized.REGISTERS) return within(WRITABLE, offset & ~15);
    return on & Virtualized.DELIVERY ? WRITABLE_WITH_DELIVERY.includes(offset) : offset === VirtualRegister.TPR;
  }

  /** Only with "use TPR shadow", and only within the low 4 bytes of a register's 16 */
  private aligned(offset: number, size: number): boolean {
    return (virtualized(this.core) & Virtualized.TPR) !== 0 && (offset & 15) + size <= 4;
  }
}
