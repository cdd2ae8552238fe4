import type { MachineInput } from '../machine/input';
import type { Moment } from './api';

/** An input, and the moment at which the machine stood when it was given: it takes effect before the next transition. */
export interface JournalEntry {
  readonly moment: Moment;
  readonly input: MachineInput;
}

/** The inputs of a run in their order, and which of them the machine has had where it stands. */
export class Journal {
  private readonly list: JournalEntry[] = [];
  /** How many the machine has had */
  given = 0;

  get entries(): readonly JournalEntry[] {
    return this.list;
  }

  /** A new input: what would have followed is forgotten. */
  add(moment: Moment, input: MachineInput): void {
    this.cut();
    this.list.push({ moment, input });
    this.given++;
  }

  cut(): void {
    this.list.length = this.given;
  }

  /** The moment of the next input, or Infinity */
  get nextMoment(): Moment {
    return this.list[this.given]?.moment ?? Infinity;
  }

  /** Whether something was given at exactly this moment */
  hasAt(moment: Moment): boolean {
    return this.givenAt(moment) > this.givenAt(moment - 1);
  }

  /** How many a machine has had that stands at this moment and is about to go on. */
  givenAt(moment: Moment): number {
    let low = 0;
    for (let high = this.list.length; low < high;) {
      const middle = (low + high) >>> 1;
      if ((this.list[middle]?.moment ?? Infinity) <= moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The next input if it is to be given at this moment; it counts as given. */
  take(moment: Moment): MachineInput | undefined {
    const entry = this.list[this.given];
    if (entry?.moment !== moment) return undefined;
    this.given++;
    return entry.input;
  }
}
