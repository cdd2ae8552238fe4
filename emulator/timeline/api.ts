import type { Machine, RunResult } from '../machine/api';

/**
 * A point in a run: transitions since power-on, of all vCPUs together. A transition is an instruction that retires, or an
 * event that retires none (a delivery, a VM exit, a processor that wakes). Each state between two transitions has a number
 * of its own, whatever the slices in which the machine was run: `Machine.moment`.
 */
export type Moment = number;

/**
 * Something that may last: each `yield` is a fraction done, from 0 to 1, at most some 15 ms after the last one. Whoever
 * drives it may stop asking for the next: then the machine stands somewhere in its history, and is to be sent to where it
 * was. `finish` drives one to its end at once.
 */
export type Task<Result> = Generator<number, Result, void>;

export function finish<Result>(task: Task<Result>): Result {
  for (;;) {
    const next = task.next();
    if (next.done) return next.value;
  }
}

/** A machine and its past. All running goes through here; without recording it costs nothing and there is no past. */
export interface Timeline {
  readonly machine: Machine;
  readonly recording: boolean;
  /** Where the machine stands */
  readonly now: Moment;
  /** The earliest moment that can be gone back to: 0, power-on, unless the memory for history did not suffice for it */
  readonly first: Moment;
  /** The furthest moment that this branch has executed; what is run beyond it is new */
  readonly end: Moment;
  /** What runs now ran before: taps and serial output tell it again. Constant during one call of `run`. */
  readonly replaying: boolean;
  /** 0 at power-on; one more for each input that was given in the past and so began another future */
  readonly branch: number;
  /**
   * As Machine.run, with snapshots taken on the way, and input of the past given again when its moment comes. Ends as by the
   * limit at `until`, and at `end` when it began before that (a run is old or new, never both).
   */
  run(limit: number, stepOverBreakpoint?: boolean, vcpu?: number, until?: Moment): RunResult;
  /**
   * Goes to exactly this moment between `first` and `end`, back or forward. Breakpoints do not stop it.
   * @throws RangeError for a moment outside
   */
  seek(moment: Moment): Task<void>;
  /** The latest moment at or before this one that is reached at once: where a replay begins */
  landmark(moment: Moment): Moment;
  /** Whether RAM in this host-physical page may have been written between two moments (from < to). False is certain. */
  mayBeWritten(page: number, from: Moment, to: Moment): boolean;
  /** How many inputs of this branch the machine has had where it stands */
  readonly given: number;
  /** Input was given in the past, at `now`: what was behind it is forgotten. Told before the input takes effect. */
  onBranch(listener: (at: Moment) => void): () => void;
  /** What history takes, and may take, in bytes; besides guest RAM */
  readonly memoryUsed: number;
  readonly memoryLimit: number;
}
