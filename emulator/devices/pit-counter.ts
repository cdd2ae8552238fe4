import type { StateReader, StateWriter } from './device';

/** Bits of a control word (and of the status byte, which repeats them) */
const BCD = 1;
const MODE_SHIFT = 1;
const ACCESS_SHIFT = 4;
const STATUS_OUT = 0x80;
const STATUS_NULL_COUNT = 0x40;
const DIGITS = [1, 10, 100, 1000] as const;

const enum Access {
  Low = 1,
  High,
  Both,
}

const enum Mode {
  TerminalCount,
  OneShot,
  Rate,
  Square,
  SoftwareStrobe,
  HardwareStrobe,
}

/**
 * One counter of an 8254 ("82C54 Programmable Interval Timer", Intel 231244, "Mode Definitions"). Nothing is counted: what the
 * counter and its output are at a time follows from when counting began. Times are ticks of the timer's clock.
 * A new count takes effect at once, where the part waits for the next clock, or in modes 2 and 3 for the end of the period.
 */
export class PitCounter {
  /** The last control word; 0xff: none was ever written */
  private control = 0xff;
  /** Initial count 1..65536 (10000 in BCD), 0 before one was written */
  private initial = 0;
  /** When counting began */
  private start = 0;
  /** False: waits for a trigger (modes 1 and 5), or for a count */
  private counting = false;
  /** With a low gate counting stands still: ticks counted until then, -1 otherwise */
  private held = -1;
  private gateLevel = 1;
  private lowByte = -1;
  private readHigh = false;
  private latched = -1;
  private statusLatched = -1;

  private get mode(): Mode {
    const mode = (this.control >>> MODE_SHIFT) & 7;
    return mode > 5 ? mode - 4 : mode;
  }

  private get access(): number {
    return (this.control >>> ACCESS_SHIFT) & 3;
  }

  private get triggered(): boolean {
    return this.mode === Mode.OneShot || this.mode === Mode.HardwareStrobe;
  }

  /** A control word for this counter */
  program(control: number, now: number): void {
    if (((control >>> ACCESS_SHIFT) & 3) === 0) {
      this.latchCount(now);
      return;
    }
    this.control = control & 0x3f;
    this.initial = 0;
    this.counting = false;
    this.held = -1;
    this.lowByte = this.latched = this.statusLatched = -1;
    this.readHigh = false;
  }

  latchCount(now: number): void {
    if (this.latched < 0) this.latched = this.count(now);
  }

  latchStatus(now: number): void {
    if (this.statusLatched >= 0) return;
    const nothing = this.initial === 0 ? STATUS_NULL_COUNT : 0;
    this.statusLatched = (this.control & 0x3f) | nothing | (this.output(now) ? STATUS_OUT : 0);
  }

  write(value: number, now: number): void {
    if (this.control === 0xff) return;
    if (this.access === (Access.Both as number) && this.lowByte < 0) {
      this.lowByte = value;
      // In mode 0 the first byte stops the count.
      if (this.mode === Mode.TerminalCount) this.counting = false;
      return;
    }
    const low =
      this.access === (Access.High as number) ? 0 : this.access === (Access.Both as number) ? this.lowByte : value;
    const high = this.access === (Access.Low as number) ? 0 : value;
    this.lowByte = -1;
    this.load((high << 8) | low, now);
  }

  read(now: number): number {
    if (this.statusLatched >= 0) {
      const status = this.statusLatched;
      this.statusLatched = -1;
      return status;
    }
    const count = this.latched >= 0 ? this.latched : this.count(now);
    const high = this.access === (Access.High as number) || (this.access === (Access.Both as number) && this.readHigh);
    if (this.access === (Access.Both as number)) this.readHigh = !this.readHigh;
    if (!this.readHigh) this.latched = -1;
    return high ? count >>> 8 : count & 0xff;
  }

  get gate(): number {
    return this.gateLevel;
  }

  setGate(level: number, now: number): void {
    if (level === this.gateLevel) return;
    this.gateLevel = level;
    if (this.triggered) {
      if (level && this.initial > 0) this.begin(now);
      return;
    }
    if (!this.counting) return;
    if (!level) this.held = now - this.start;
    // In modes 2 and 3 a rising gate starts a new period.
    else if (this.mode === Mode.Rate || this.mode === Mode.Square) this.begin(now);
    else {
      this.start = now - Math.max(this.held, 0);
      this.held = -1;
    }
  }

  /** The OUT pin */
  output(now: number): boolean {
    const n = this.initial;
    switch (this.mode) {
      case Mode.TerminalCount:
        return this.counting && this.elapsed(now) >= n;
      case Mode.OneShot:
        return !this.counting || this.elapsed(now) >= n;
      case Mode.Rate:
        return !this.runs || this.elapsed(now) % n !== n - 1;
      case Mode.Square:
        return !this.runs || this.elapsed(now) % n < (n + 1) >> 1;
      case Mode.SoftwareStrobe:
      case Mode.HardwareStrobe:
        return !this.counting || this.elapsed(now) !== n;
    }
  }

  /** The first tick after `now` at which the output changes, or Infinity */
  nextChange(now: number): number {
    if (!this.runs) return Infinity;
    const n = this.initial;
    const elapsed = this.elapsed(now);
    const period = this.start + elapsed - (elapsed % n);
    const phase = elapsed % n;
    switch (this.mode) {
      case Mode.TerminalCount:
      case Mode.OneShot:
        return elapsed < n ? this.start + n : Infinity;
      case Mode.Rate:
        return phase < n - 1 ? period + n - 1 : period + n;
      case Mode.Square: {
        const half = (n + 1) >> 1;
        return phase < half ? period + half : period + n;
      }
      case Mode.SoftwareStrobe:
      case Mode.HardwareStrobe:
        return elapsed < n ? this.start + n : elapsed === n ? this.start + n + 1 : Infinity;
    }
  }

  save(out: StateWriter): void {
    for (const value of [this.control, this.initial, Number(this.counting), this.gateLevel, Number(this.readHigh)]) {
      out.u32(value);
    }
    for (const value of [this.start, this.held, this.lowByte, this.latched, this.statusLatched]) out.f64(value);
  }

  restore(from: StateReader): void {
    this.control = from.u32();
    this.initial = from.u32();
    this.counting = from.u32() !== 0;
    this.gateLevel = from.u32();
    this.readHigh = from.u32() !== 0;
    this.start = from.f64();
    this.held = from.f64();
    this.lowByte = from.f64();
    this.latched = from.f64();
    this.statusLatched = from.f64();
  }

  /** Counting, and not held by the gate */
  private get runs(): boolean {
    return this.counting && this.held < 0;
  }

  private load(value: number, now: number): void {
    const bcd = (this.control & BCD) !== 0;
    const written = bcd ? DIGITS.reduce((sum, weight, i) => sum + ((value >>> (4 * i)) & 15) * weight, 0) : value;
    this.initial = written === 0 ? (bcd ? 10000 : 0x10000) : written;
    // Modes 1 and 5 wait for the gate to rise; a count that runs goes on.
    if (!this.triggered) this.begin(now);
  }

  private begin(now: number): void {
    this.start = now;
    this.counting = true;
    this.held = this.gateLevel || this.triggered ? -1 : 0;
  }

  private elapsed(now: number): number {
    return this.held >= 0 ? this.held : Math.max(0, now - this.start);
  }

  /** The counting element, as it is read: 16 bits, or four decimal digits */
  private count(now: number): number {
    const n = this.initial;
    const wrap = this.control & BCD ? 10000 : 0x10000;
    let value = n;
    if (this.counting) {
      const elapsed = this.elapsed(now);
      if (this.mode === Mode.Rate) value = n - (elapsed % n);
      // Mode 3 counts by two; an odd count loses one first.
      else if (this.mode === Mode.Square) value = n - (n & 1) - ((2 * (elapsed % n)) % Math.max(n - (n & 1), 1));
      else value = n - elapsed;
    }
    value = ((value % wrap) + wrap) % wrap;
    if (!(this.control & BCD)) return value;
    return DIGITS.reduce((sum, weight, i) => sum | ((Math.floor(value / weight) % 10) << (4 * i)), 0);
  }
}
