import type { Device, StateReader, StateWriter } from '../../devices/device';

/**
 * The clock of the board's timers. The vCPUs' clocks differ by up to a quantum, and a counter that two of them read must
 * not go back: it shows the latest time that any of them has seen in a timer.
 */
export class MonotonicClock implements Device {
  readonly name = 'board clock';
  private latest = 0;

  constructor(private readonly running: () => number) {}

  get now(): number {
    return this.advanceTo(this.running());
  }

  advanceTo(clock: number): number {
    if (clock > this.latest) this.latest = clock;
    return this.latest;
  }

  save(out: StateWriter): void {
    out.f64(this.latest);
  }

  restore(from: StateReader): void {
    this.latest = from.f64();
  }
}
