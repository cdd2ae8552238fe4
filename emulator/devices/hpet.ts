import { hostPhysical } from '../memory/address';
import type { MmioRange } from '../memory/bus';
import type { Device, StateReader, StateWriter } from './device';
import { HpetTimer, MASK_32, MASK_64 } from './hpet-timer';
import type { InterruptLine } from './interrupt-line';
import type { TimedDevice } from './timed-device';

// "IA-PC HPET (High Precision Event Timers) Specification" 1.0a, 2.3: register map.
const CAPABILITIES = 0x000;
const CONFIGURATION = 0x010;
const STATUS = 0x020;
const COUNTER = 0x0f0;
const FIRST_TIMER = 0x100;
const TIMER_SIZE = 0x20;
const TIMERS = 3;
const ENABLE = 1;
const LEGACY = 2;
/** Ticks of 10 ns, in femtoseconds */
const PERIOD = 10_000_000;
const CLOCKS_PER_TICK = 10;
/** Vendor 0x8086, legacy replacement, 64-bit counter, three timers, revision 1 */
export const HPET_ID = 0x8086a201;
export const HPET_BASE = 0xfed00000;
/** I/O APIC pins that the timers may choose; they share them with nobody. */
const ROUTES = 0x00f00000;
const LEGACY_ROUTES = [0, 8] as const;

export interface HpetWiring {
  readonly clock: () => number;
  /** Pin of the I/O APIC */
  readonly pin: (number: number) => InterruptLine;
  /** IRQ 0 and 8, as in legacy replacement */
  readonly irq: (number: number) => InterruptLine;
  /** Legacy replacement was switched: PIT and RTC are cut off IRQ 0 and 8, or connected again. */
  readonly legacy: (replaced: boolean) => void;
}

/** The high precision event timer: a counter of 100 MHz and three comparators, all of them periodic if asked. */
export class Hpet implements MmioRange, Device, TimedDevice {
  readonly name = 'HPET';
  readonly base = hostPhysical(BigInt(HPET_BASE));
  readonly size = 0x400n;
  private configuration = 0;
  private status = 0;
  /** The counter's value at tick `since` of 10 ns; it stands still while disabled. */
  private value = 0n;
  private since = 0;
  private readonly timers: readonly HpetTimer[];
  private readonly due = new Float64Array(TIMERS).fill(Infinity);

  constructor(private readonly wiring: HpetWiring) {
    const { pin, irq } = wiring;
    this.timers = Array.from({ length: TIMERS }, () => new HpetTimer({ routes: ROUTES, pin, irq }));
  }

  nextDeadline(): number {
    return Math.min(...this.due);
  }

  advance(now: number): void {
    this.timers.forEach((timer, i) => {
      if ((this.due[i] ?? Infinity) > now) return;
      const counter = this.counterAt(now);
      timer.matched(counter);
      this.interrupt(i);
      this.schedule(i, now);
    });
  }

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    if (size === 8) return this.readHalf(at & ~7) | (this.readHalf((at & ~7) + 4) << 32n);
    return BigInt.asUintN(size * 8, this.readHalf(at & ~3) >> BigInt((at & 3) * 8));
  }

  /** Registers take 32 and 64 bits. */
  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    if (size < 4 || at % size !== 0) return;
    const now = this.wiring.clock();
    this.advance(now);
    const mask = size === 8 ? MASK_64 : at & 4 ? MASK_32 << 32n : MASK_32;
    this.writeRegister(at & ~7, at & 4 ? value << 32n : value, mask, now);
    for (let i = 0; i < TIMERS; i++) this.schedule(i, now);
  }

  save(out: StateWriter): void {
    out.u32(this.configuration);
    out.u32(this.status);
    out.u64(this.value);
    out.f64(this.since);
    for (const timer of this.timers) timer.save(out);
    for (const due of this.due) out.f64(due);
  }

  restore(from: StateReader): void {
    this.configuration = from.u32();
    this.status = from.u32();
    this.value = from.u64();
    this.since = from.f64();
    for (const timer of this.timers) timer.restore(from);
    for (let i = 0; i < TIMERS; i++) this.due[i] = from.f64();
  }

  private counterAt(now: number): bigint {
    if (!(this.configuration & ENABLE)) return this.value;
    return (this.value + BigInt(Math.max(0, tickOf(now) - this.since))) & MASK_64;
  }

  private readHalf(at: number): bigint {
    const high = (at & 4) !== 0;
    const register = at & ~7;
    const half = (value: bigint) => (high ? value >> 32n : value & MASK_32);
    if (register >= FIRST_TIMER) {
      const timer = this.timers[Math.floor((register - FIRST_TIMER) / TIMER_SIZE)];
      return timer?.read(high, (register - FIRST_TIMER) % TIMER_SIZE) ?? 0n;
    }
    switch (register) {
      case CAPABILITIES:
        return half((BigInt(PERIOD) << 32n) | BigInt(HPET_ID));
      case CONFIGURATION:
        return half(BigInt(this.configuration));
      case STATUS:
        return half(BigInt(this.status));
      case COUNTER:
        return half(this.counterAt(this.wiring.clock()));
      default:
        return 0n;
    }
  }

  private writeRegister(register: number, value: bigint, mask: bigint, now: number): void {
    if (register >= FIRST_TIMER) {
      const index = Math.floor((register - FIRST_TIMER) / TIMER_SIZE);
      const timer = this.timers[index];
      timer?.write((register - FIRST_TIMER) % TIMER_SIZE, value, mask);
      if (timer && !timer.levelTriggered) this.clear(1 << index);
      return;
    }
    if (register === CONFIGURATION && mask & MASK_32) this.configure(Number(value & 3n), now);
    if (register === STATUS) this.clear(Number(value & MASK_32));
    // The counter may be written while it stands (2.3.7); while it runs the result is undefined, and here the same.
    if (register === COUNTER) {
      this.value = (this.counterAt(now) & ~mask) | (value & mask);
      this.since = tickOf(now);
    }
  }

  private configure(value: number, now: number): void {
    this.value = this.counterAt(now);
    this.since = tickOf(now);
    const changed = value ^ this.configuration;
    if (changed & LEGACY) this.clear(7);
    this.configuration = value;
    if (changed & LEGACY) this.wiring.legacy((value & LEGACY) !== 0);
  }

  /** Status bits that are written with 1: the level goes away. */
  private clear(bits: number): void {
    this.timers.forEach((timer, i) => {
      if (bits & (1 << i)) timer.release(this.legacyRoute(i));
    });
    this.status &= ~bits;
  }

  private interrupt(index: number): void {
    const timer = this.timers[index];
    if (!timer?.enabled) return;
    if (timer.levelTriggered) this.status |= 1 << index;
    timer.raise(this.legacyRoute(index));
  }

  /** The IRQ that timers 0 and 1 replace, or -1 */
  private legacyRoute(index: number): number {
    return this.configuration & LEGACY ? (LEGACY_ROUTES[index] ?? -1) : -1;
  }

  private schedule(index: number, now: number): void {
    const ticks =
      this.configuration & ENABLE ? (this.timers[index]?.ticksToMatch(this.counterAt(now)) ?? Infinity) : Infinity;
    this.due[index] = (tickOf(now) + ticks) * CLOCKS_PER_TICK;
  }
}

const tickOf = (clock: number): number => Math.floor(clock / CLOCKS_PER_TICK);
