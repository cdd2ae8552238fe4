import type { Moment } from '../../emulator/timeline/api';

/**
 * The hits of one breakpoint, by the moments at which they were: so that each keeps its number when execution goes back
 * and comes that way again.
 */
export class Hits {
  private readonly moments: number[] = [];

  /** The number of this hit, from 1; one that is known keeps it. */
  add(moment: Moment): number {
    const index = this.indexOf(moment);
    if (this.moments[index] !== moment) this.moments.splice(index, 0, moment);
    return index + 1;
  }

  /** The number that a hit at this moment has, or would have. */
  ordinal(moment: Moment): number {
    return this.indexOf(moment) + 1;
  }

  /** What was behind this moment is not going to be. */
  cut(at: Moment): void {
    const index = this.indexOf(at + 1);
    this.moments.length = index;
  }

  /** How many are before this moment */
  private indexOf(moment: Moment): number {
    const { moments } = this;
    if ((moments.at(-1) ?? -1) < moment) return moments.length;
    let low = 0;
    for (let high = moments.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((moments[middle] ?? 0) < moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
