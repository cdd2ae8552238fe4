import type { Moment, Task, Timeline } from '../api';

/** Transitions that are run between two looks at the clock */
const CHUNK = 200_000;
const BREATH_MS = 10;

/** Yields at most every some milliseconds; `fraction` says how far the whole is. */
export class Breath {
  private next = performance.now() + BREATH_MS;

  *take(fraction: number): Task<void> {
    if (performance.now() < this.next) return;
    yield Math.min(1, Math.max(0, fraction));
    this.next = performance.now() + BREATH_MS;
  }
}

/** Goes to a moment as a part of something greater. */
export function* travel(timeline: Timeline, moment: Moment, fraction: number): Task<void> {
  const seek = timeline.seek(moment);
  while (!seek.next().done) yield fraction;
}

/**
 * Runs what ran before once more, up to a moment, past all breakpoints. `enough`: asked between two pieces, ends it earlier.
 */
export function* replayTo(
  timeline: Timeline,
  moment: Moment,
  fraction: (at: Moment) => number,
  enough: () => boolean = () => false,
): Task<void> {
  const breath = new Breath();
  let stuck = 0;
  while (timeline.now < moment && !enough()) {
    const before = timeline.now;
    const { why } = timeline.run(CHUNK, true, undefined, Math.min(moment, before + CHUNK));
    if (why === 'ended') return;
    stuck = timeline.now === before ? stuck + 1 : 0;
    if (stuck > 100) throw new Error(`the machine does not get from moment ${before} to ${moment} once more`);
    yield* breath.take(fraction(timeline.now));
  }
}
