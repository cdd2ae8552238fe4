import { CLOCK_HZ } from '../arch/clock';

/**
 * A device's clock of a given frequency, derived from the virtual clock without drift: whole seconds and the rest are
 * converted apart, so that every product stays below 2^53.
 */
export class ClockRate {
  /** @param hertz at most 9 MHz, or a divisor of the virtual clock's rate */
  constructor(readonly hertz: number) {}

  /** Ticks of the device since power-on */
  ticks(clock: number): number {
    const seconds = Math.floor(clock / CLOCK_HZ);
    return seconds * this.hertz + Math.floor(((clock - seconds * CLOCK_HZ) * this.hertz) / CLOCK_HZ);
  }

  /** The first virtual clock at which that many ticks have passed */
  clockAt(ticks: number): number {
    if (ticks === Infinity) return Infinity;
    const seconds = Math.floor(ticks / this.hertz);
    return seconds * CLOCK_HZ + Math.ceil(((ticks - seconds * this.hertz) * CLOCK_HZ) / this.hertz);
  }
}
