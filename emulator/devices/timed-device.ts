/**
 * A device that acts by itself when the virtual clock reaches a point. The clock is that of the vCPU that runs
 * (instructions retired plus ticks spent halted); the board asks before each slice and when a vCPU idles.
 * A deadline moves only when the device is accessed (by a port or an address), advances, or is restored.
 */
export interface TimedDevice {
  /** Clock of the next event, or Infinity */
  nextDeadline(): number;
  /** Lets everything that is due at `now` happen. */
  advance(now: number): void;
}

/** What such a device is given */
export interface DeviceTiming {
  /** The clock of the vCPU that runs */
  readonly clock: () => number;
  /** To be called when `nextDeadline` has another answer: whoever keeps it asks again. */
  readonly deadlineChanged: () => void;
}
