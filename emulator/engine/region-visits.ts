/** A visit of translated code that executes fewer instructions costs more than it saves. */
const SHORT = 2000;
/** Short visits in a row that show the code to be full of exits */
const PATIENCE = 16;
/** Stops of the interpreter before regions are tried again: at first, and, doubled each time in vain, at most */
const PAUSE = 256;
const LONGEST_PAUSE = 16384;
/** Instructions without a stop that show computation: regions are worth entering again */
const LONG_STRETCH = 5000;

/**
 * Whether to enter translated regions or to pass them by. Code that leaves for the processor every few hundred
 * instructions (a guest that exits to its hypervisor) is faster interpreted. Decides by instruction counts only, so
 * that it is the same in every run; results do not depend on it.
 */
export class RegionVisits {
  private short = 0;
  private pause = 0;
  private nextPause = PAUSE;

  /** Called before each stretch: true when regions are to be passed by. */
  passing(): boolean {
    if (this.pause === 0) return false;
    this.pause--;
    return true;
  }

  /** A region was entered and left after so many instructions; where code counts as hot sooner, visits may be shorter. */
  visited(instructions: number, hotThreshold: number): void {
    if (instructions >= Math.min(SHORT, hotThreshold)) {
      this.short = 0;
      this.nextPause = PAUSE;
      return;
    }
    if (++this.short < PATIENCE) return;
    this.short = 0;
    this.pause = this.nextPause;
    this.nextPause = Math.min(this.nextPause * 2, LONGEST_PAUSE);
  }

  /** The interpreter executed so many instructions while regions were passed by. */
  interpreted(instructions: number): void {
    if (instructions < LONG_STRETCH) return;
    this.pause = 0;
    this.nextPause = PAUSE;
  }
}
