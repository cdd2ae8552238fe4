/** A replay from a landmark to the next one is to take about so many milliseconds. */
const PIECE = 12;
/** But not longer than that, whatever it costs to record */
const LONGEST_PIECE = 60;
/** What landmarks cost, with all the copies of pages between two of them, is at most this part of what running costs. */
const SHARE = 1 / 25;
/** What a page copied before its first write costs, with the slow path of that write, in milliseconds */
const COPY = 0.0012;
/** A run without a look at the clock is at most so many milliseconds, by the speed of the last one. */
const STRETCH = 4;
const SHORTEST = 2000;
const LONGEST = 20_000_000;

/**
 * When the next landmark is due, by the host's clock: replays are to be short, and recording cheap. Where landmarks lie
 * decides about nothing else: the machine is the same with them or without.
 */
export class Pace {
  /** Milliseconds of running since the last landmark */
  spent = 0;
  private perMillisecond = 20_000;
  private landmarkCost = 0.1;

  /** @param clock milliseconds */
  constructor(private readonly clock: () => number = () => performance.now()) {}

  /** How many transitions may run before the clock is looked at again */
  get stretch(): number {
    return Math.min(LONGEST, Math.max(SHORTEST, Math.floor(this.perMillisecond * STRETCH)));
  }

  /** @param copied pages since the last landmark */
  due(copied: number): boolean {
    if (this.spent < PIECE) return false;
    return this.spent >= LONGEST_PIECE || this.landmarkCost + copied * COPY <= SHARE * this.spent;
  }

  /** Runs something, and takes its time. @returns what it returns */
  measure<T>(run: () => T, transitions: () => number): T {
    const [began, first] = [this.clock(), transitions()];
    const result = run();
    const [time, made] = [this.clock() - began, transitions() - first];
    this.spent += time;
    // Short runs say little, and the clock may stand still in them.
    if (time > 0 && made >= SHORTEST) this.perMillisecond += (made / time - this.perMillisecond) / 2;
    return result;
  }

  /** Sets a landmark, and takes its time. The next piece begins. */
  landmark(set: () => void): void {
    const began = this.clock();
    set();
    this.landmarkCost += (this.clock() - began - this.landmarkCost) / 4;
    this.spent = 0;
  }
}
