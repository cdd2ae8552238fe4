import type { StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';

// "IA-PC HPET (High Precision Event Timers) Specification" 1.0a, 2.3.8 and 2.3.9: configuration and comparator.
const LEVEL = 1n << 1n;
const ENABLED = 1n << 2n;
const PERIODIC = 1n << 3n;
const PERIODIC_CAPABLE = 1n << 4n;
const SIZE_CAPABLE = 1n << 5n;
const VALUE_SET = 1n << 6n;
const MODE_32 = 1n << 8n;
const ROUTE_SHIFT = 9n;
const WRITABLE = LEVEL | ENABLED | PERIODIC | MODE_32 | (31n << ROUTE_SHIFT);

export interface HpetTimerWiring {
  /** Routes that the timer may choose: bits of I/O APIC pins */
  readonly routes: number;
  /** The wire to a pin of the I/O APIC */
  readonly pin: (number: number) => InterruptLine;
  /** In legacy replacement: the wire of the device replaced */
  readonly irq: (number: number) => InterruptLine;
}

/** One comparator of the HPET. Counter values are 64 bits wide; the main counter is told with each call. */
export class HpetTimer {
  private configuration = 0n;
  private comparator = ~0n & MASK_64;
  private period = 0n;
  private nextWriteSetsValue = false;
  /** A level that was raised and not released yet */
  private asserted = false;

  constructor(private readonly wiring: HpetTimerWiring) {}

  get enabled(): boolean {
    return (this.configuration & ENABLED) !== 0n;
  }

  get levelTriggered(): boolean {
    return (this.configuration & LEVEL) !== 0n;
  }

  private get wide(): bigint {
    return this.configuration & MODE_32 ? MASK_32 : MASK_64;
  }

  read(high: boolean, offset: number): bigint {
    if (offset === 0) {
      const value = this.configuration | PERIODIC_CAPABLE | SIZE_CAPABLE | (BigInt(this.wiring.routes >>> 0) << 32n);
      return high ? value >> 32n : value & MASK_32;
    }
    if (offset === 8) return high ? this.comparator >> 32n : this.comparator & MASK_32;
    return 0n;
  }

  /** A write of one half of a register; `mask` has the bits that are written. */
  write(offset: number, value: bigint, mask: bigint): void {
    if (offset === 0) {
      const written = (this.configuration & ~mask) | (value & mask);
      this.nextWriteSetsValue = (value & mask & VALUE_SET) !== 0n;
      this.configuration = written & WRITABLE;
      const route = Number((this.configuration >> ROUTE_SHIFT) & 31n);
      // A route that is not offered is not taken.
      if (!(this.wiring.routes & (1 << route))) this.configuration &= ~(31n << ROUTE_SHIFT);
      if (this.configuration & MODE_32) this.comparator &= MASK_32;
      return;
    }
    if (offset !== 8) return;
    const periodic = (this.configuration & PERIODIC) !== 0n;
    if (!periodic || this.nextWriteSetsValue)
      this.comparator = ((this.comparator & ~mask) | (value & mask)) & this.wide;
    if (periodic) this.period = ((this.period & ~mask) | (value & mask)) & this.wide;
    this.nextWriteSetsValue = false;
  }

  /** Ticks of the main counter until the next match, counted from a value just passed; Infinity when it interrupts nobody */
  ticksToMatch(counter: bigint): number {
    if (!this.enabled) return Infinity;
    const distance = (this.comparator - counter) & this.wide;
    return Number(distance === 0n ? this.wide + 1n : distance);
  }

  /** The main counter has reached the comparator. */
  matched(counter: bigint): void {
    if (!(this.configuration & PERIODIC) || this.period === 0n) return;
    const missed = ((counter - this.comparator) & this.wide) / this.period;
    this.comparator = (this.comparator + this.period * (missed + 1n)) & this.wide;
  }

  /** Raises the interrupt: an edge, or a level until `release`. */
  raise(legacyRoute: number): void {
    const line = this.line(legacyRoute);
    line.set(true);
    if (this.levelTriggered) this.asserted = true;
    else line.set(false);
  }

  release(legacyRoute: number): void {
    if (this.asserted) this.line(legacyRoute).set(false);
    this.asserted = false;
  }

  save(out: StateWriter): void {
    out.u64(this.configuration);
    out.u64(this.comparator);
    out.u64(this.period);
    out.u8(Number(this.nextWriteSetsValue) | (Number(this.asserted) << 1));
  }

  restore(from: StateReader): void {
    this.configuration = from.u64();
    this.comparator = from.u64();
    this.period = from.u64();
    const bits = from.u8();
    this.nextWriteSetsValue = (bits & 1) !== 0;
    this.asserted = (bits & 2) !== 0;
  }

  /** @param legacyRoute negative: the route of the configuration register */
  private line(legacyRoute: number): InterruptLine {
    if (legacyRoute >= 0) return this.wiring.irq(legacyRoute);
    return this.wiring.pin(Number((this.configuration >> ROUTE_SHIFT) & 31n));
  }
}

export const MASK_32 = 0xffffffffn;
export const MASK_64 = 0xffffffffffffffffn;
