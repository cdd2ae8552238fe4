import {
  ApicRegister,
  Delivery,
  LVT_ACTIVE_LOW,
  LVT_LEVEL,
  LVT_MASKED,
  LVT_REMOTE_IRR,
  LVT_VECTOR,
  LVT_WRITABLE,
} from './apic-registers';
import type { StateReader, StateWriter } from './device';

/** Pins of the local APIC: LINT0 has the 8259's INTR, LINT1 the NMI wire. */
export type LocalPin = 0 | 1;

const PINS = [ApicRegister.LvtLint0, ApicRegister.LvtLint1] as const;
const ENTRIES = [ApicRegister.LvtThermal, ApicRegister.LvtPerformance, ...PINS, ApicRegister.LvtError];

/** What an entry does with its interrupt. */
export interface LocalVectorActions {
  fixed(vector: number, levelTriggered: boolean): void;
  /** NMI, SMI, INIT */
  event(delivery: Delivery): void;
}

/** The local vector table but for the timer's entry, and the two pins (SDM vol. 3, 11.5.1). */
export class LocalVectors {
  private readonly values = new Map<number, number>();
  private readonly asserted = [false, false];

  constructor(private readonly actions: LocalVectorActions) {
    this.reset();
  }

  has(at: number): boolean {
    return this.values.has(at);
  }

  get(at: number): number {
    return this.values.get(at) ?? LVT_MASKED;
  }

  /** Delivery status (12) and remote IRR (14) are the hardware's. */
  set(at: number, value: number): void {
    const kept = this.get(at) & LVT_REMOTE_IRR & (value & LVT_LEVEL ? LVT_REMOTE_IRR : 0);
    this.values.set(at, (value & (LVT_WRITABLE[at] ?? 0)) | kept);
    if (at === (PINS[0] as number)) this.level(0);
  }

  /** While the APIC is disabled by software, every mask bit is set (11.4.7.2). */
  maskAll(): void {
    for (const [at, value] of this.values) this.values.set(at, value | LVT_MASKED);
  }

  /** The interrupt of an entry without a pin (performance counters, thermal sensor, errors) occurs. */
  raise(at: number): void {
    const entry = this.get(at);
    if (entry & LVT_MASKED) return;
    const delivery: Delivery = at === (ApicRegister.LvtError as number) ? Delivery.Fixed : (entry >>> 8) & 7;
    if (delivery === Delivery.Fixed) this.actions.fixed(entry & LVT_VECTOR, false);
    else this.actions.event(delivery);
  }

  /** A pin's voltage. ExtINT is a level that the owner asks for by `external`; the others act on the edge. */
  setPin(pin: LocalPin, high: boolean): void {
    const before = this.active(pin);
    this.asserted[pin] = high;
    if (!this.active(pin) || before) return;
    const entry = this.get(PINS[pin]);
    if (entry & LVT_MASKED) return;
    const delivery: Delivery = (entry >>> 8) & 7;
    if (delivery === Delivery.Fixed) {
      if (pin === 0 && entry & LVT_LEVEL) this.level(0);
      else this.actions.fixed(entry & LVT_VECTOR, false);
    } else if (delivery !== Delivery.ExtInt) this.actions.event(delivery);
  }

  /** The EOI of a level-triggered vector: LINT0 may interrupt again, and does while it stays asserted. */
  end(vector: number): void {
    const entry = this.get(PINS[0]);
    if (!(entry & LVT_REMOTE_IRR) || (entry & LVT_VECTOR) !== vector) return;
    this.values.set(PINS[0], entry & ~LVT_REMOTE_IRR);
    this.level(0);
  }

  /** Whether LINT0 passes the 8259's INTR to the processor (virtual-wire mode). */
  get passesExternal(): boolean {
    const entry = this.get(PINS[0]);
    return !(entry & LVT_MASKED) && ((entry >>> 8) & 7) === (Delivery.ExtInt as number);
  }

  private active(pin: LocalPin): boolean {
    return this.asserted[pin] !== ((this.get(PINS[pin]) & LVT_ACTIVE_LOW) !== 0);
  }

  /** Level-triggered fixed delivery, which LINT0 alone supports */
  private level(pin: 0): void {
    const entry = this.get(PINS[pin]);
    if (!(entry & LVT_LEVEL) || entry & (LVT_MASKED | LVT_REMOTE_IRR) || (entry & 0x700) !== 0) return;
    if (!this.active(pin)) return;
    this.values.set(PINS[pin], entry | LVT_REMOTE_IRR);
    this.actions.fixed(entry & LVT_VECTOR, true);
  }

  reset(): void {
    for (const at of ENTRIES) this.values.set(at, LVT_MASKED);
  }

  save(out: StateWriter): void {
    for (const at of ENTRIES) out.u32(this.get(at));
    for (const pin of this.asserted) out.u8(pin ? 1 : 0);
  }

  restore(from: StateReader): void {
    for (const at of ENTRIES) this.values.set(at, from.u32());
    this.asserted.forEach((_, pin) => (this.asserted[pin] = from.u8() !== 0));
  }
}
