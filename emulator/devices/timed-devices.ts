import type { TimedDevice } from './timed-device';

/**
 * The board's devices that act by the clock, as one. Their next deadline is asked for before every stretch of
 * instructions: it is looked up again only after something could have moved it.
 */
export class TimedDevices implements TimedDevice {
  private deadline = 0;
  private stale = true;

  constructor(private readonly devices: readonly TimedDevice[]) {}

  /** A device was reached by a port or an address, or from outside the machine. */
  touched(): void {
    this.stale = true;
  }

  nextDeadline(): number {
    if (this.stale) {
      this.deadline = Infinity;
      for (const device of this.devices) this.deadline = Math.min(this.deadline, device.nextDeadline());
      this.stale = false;
    }
    return this.deadline;
  }

  /** Several vCPUs tell of their clocks: one can tell an earlier time than another has told. */
  advance(now: number): void {
    if (now < this.nextDeadline()) return;
    this.stale = true;
    for (const device of this.devices) if (device.nextDeadline() <= now) device.advance(now);
  }
}
