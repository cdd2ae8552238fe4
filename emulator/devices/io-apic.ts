import { hostPhysical } from '../memory/address';
import type { MmioRange } from '../memory/bus';
import { Delivery } from './apic-registers';
import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import type { InterruptMessageSink } from './interrupt-message';

// Register map: "82093AA I/O Advanced Programmable Interrupt Controller (IOAPIC)", Intel 290566, section 3; version
// 0x20 and the EOI register: "Intel I/O Controller Hub 9 Family" data sheet 316972, 13.5.
const SELECT = 0x00;
const WINDOW = 0x10;
const EOI = 0x40;
const ID_REGISTER = 0;
const VERSION_REGISTER = 1;
const ARBITRATION_REGISTER = 2;
const FIRST_ENTRY = 0x10;
const ID_MASK = 0x0f000000;

/** Low half of a redirection entry */
const VECTOR = 0xff;
const DESTINATION_MODE = 0x800;
const REMOTE_IRR = 0x4000;
const LEVEL = 0x8000;
const MASKED = 0x10000;
/** Delivery status (always idle here) and remote IRR are read-only. */
const LOW_WRITABLE = 0x1afff;
/**
 * The high half: destination, and below it the bits that interrupt remapping uses (VT-d specification, "Programming
 * IOxAPICs": interrupt format and index).
 */
const HIGH_WRITABLE = 0xffff0000;

/** An interrupt message (SDM vol. 3, "Message Signalled Interrupts") */
const MESSAGE_ADDRESS = 0xfee00000;
const MESSAGE_LEVEL = 0xc000;

export const IO_APIC_PINS = 24;
const VERSION = ((IO_APIC_PINS - 1) << 16) | 0x20;

/**
 * The I/O APIC: 24 pins, each redirected to the local APICs by an entry of its table. What it sends is an interrupt
 * message, so that interrupt remapping can stand in the way. Lines are asserted or not: the polarity bit of an entry is
 * kept and has no effect.
 */
export class IoApic implements MmioRange, Device {
  readonly name = 'I/O APIC';
  readonly base = hostPhysical(0xfec00000n);
  readonly size = 0x1000n;
  private select = 0;
  private id = 0;
  private readonly low = new Uint32Array(IO_APIC_PINS).fill(MASKED);
  private readonly high = new Uint32Array(IO_APIC_PINS);
  /** Levels of the pins */
  private lines = 0;

  /** @param requester its own requester ID, as the DMAR table tells it */
  constructor(
    private readonly messages: InterruptMessageSink,
    private readonly requester: number,
  ) {}

  input(pin: number): InterruptLine {
    return { set: (asserted) => this.setPin(pin, asserted) };
  }

  isMasked(pin: number): boolean {
    return (this.entry(pin) & MASKED) !== 0;
  }

  /** End of interrupt, broadcast by a local APIC or written to the EOI register: level interrupts may come again. */
  end(vector: number): void {
    for (let pin = 0; pin < IO_APIC_PINS; pin++) {
      const entry = this.entry(pin);
      if ((entry & (LEVEL | REMOTE_IRR)) !== (LEVEL | REMOTE_IRR) || (entry & VECTOR) !== vector) continue;
      this.low[pin] = entry & ~REMOTE_IRR;
      this.deliverLevel(pin);
    }
  }

  /** Registers are 32 bits at 16-byte boundaries; narrower reads see a part, other accesses nothing. */
  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    const value = (at & ~15) === SELECT ? this.select : (at & ~15) === WINDOW ? this.readRegister() : 0;
    return BigInt.asUintN(size * 8, BigInt(value >>> 0) >> BigInt((at & 15) * 8));
  }

  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    const word = Number(value & 0xffffffffn);
    if (at === SELECT) this.select = word & 0xff;
    else if (size === 4 && at === WINDOW) this.writeRegister(word);
    else if (at === EOI) this.end(word & VECTOR);
  }

  save(out: StateWriter): void {
    out.u32(this.select);
    out.u32(this.id);
    out.u32(this.lines);
    for (const half of [this.low, this.high]) for (const word of half) out.u32(word);
  }

  restore(from: StateReader): void {
    this.select = from.u32();
    this.id = from.u32();
    this.lines = from.u32();
    for (const half of [this.low, this.high]) for (let i = 0; i < IO_APIC_PINS; i++) half[i] = from.u32();
  }

  private entry(pin: number): number {
    return this.low[pin] ?? MASKED;
  }

  private readRegister(): number {
    switch (this.select) {
      case ID_REGISTER:
      case ARBITRATION_REGISTER:
        return this.id;
      case VERSION_REGISTER:
        return VERSION;
      default: {
        const index = this.select - FIRST_ENTRY;
        if (index < 0 || index >= IO_APIC_PINS * 2) return 0;
        return (index & 1 ? this.high[index >> 1] : this.low[index >> 1]) ?? 0;
      }
    }
  }

  private writeRegister(value: number): void {
    if (this.select === ID_REGISTER) this.id = value & ID_MASK;
    const index = this.select - FIRST_ENTRY;
    if (index < 0 || index >= IO_APIC_PINS * 2) return;
    const pin = index >> 1;
    if (index & 1) {
      this.high[pin] = value & HIGH_WRITABLE;
      return;
    }
    // An edge-triggered entry has no remote IRR; software clears a stuck one by switching to edge and back.
    const remote = value & LEVEL ? this.entry(pin) & REMOTE_IRR : 0;
    this.low[pin] = (value & LOW_WRITABLE) | remote;
    this.deliverLevel(pin);
  }

  private setPin(pin: number, asserted: boolean): void {
    const bit = 1 << pin;
    const rises = asserted && !(this.lines & bit);
    this.lines = asserted ? this.lines | bit : this.lines & ~bit;
    if (this.entry(pin) & LEVEL) this.deliverLevel(pin);
    // An edge on a masked pin is lost (290566, 3.2.4, "Interrupt Mask").
    else if (rises && !(this.entry(pin) & MASKED)) this.send(pin);
  }

  private deliverLevel(pin: number): void {
    const entry = this.entry(pin);
    if (!(entry & LEVEL) || entry & (MASKED | REMOTE_IRR) || !(this.lines & (1 << pin))) return;
    // Remote IRR is defined for the deliveries that end with an EOI.
    if (((entry >>> 8) & 7) <= (Delivery.LowestPriority as number)) this.low[pin] = entry | REMOTE_IRR;
    this.send(pin);
  }

  private send(pin: number): void {
    const entry = this.entry(pin);
    const destination = (this.high[pin] ?? 0) >>> 16;
    const address = MESSAGE_ADDRESS + destination * 16 + (entry & DESTINATION_MODE ? 4 : 0);
    const data = (entry & 0x7ff) | (entry & LEVEL ? MESSAGE_LEVEL : 0);
    this.messages.send(this.requester, BigInt(address), data);
  }
}
