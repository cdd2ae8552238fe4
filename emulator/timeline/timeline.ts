import type { Machine, RunResult } from '../machine/api';
import type { MachineInput } from '../machine/input';
import type { Moment, Task, Timeline } from './api';
import { Journal } from './journal';
import { Snapshots } from './snapshots';

export interface TimelineOptions {
  readonly recording: boolean;
  /** Bytes that history may take besides guest RAM, at least SMALLEST_MEMORY_LIMIT */
  readonly memoryLimit?: number;
  /** Transitions between two snapshots, while memory suffices; absent: so that replays are short and recording is cheap */
  readonly interval?: number;
}

export const DEFAULT_MEMORY_LIMIT = 256 << 20;
/** Power-on and a little more */
export const SMALLEST_MEMORY_LIMIT = 4 << 20;
/** Transitions of other vCPUs after which a run that counts those of one gives its caller a word */
const PATIENCE = 1_000_000;
/** Transitions between two yields of a task: some milliseconds */
const CHUNK = 500_000;
const LIMIT: RunResult = { why: 'limit' };

/** The past of a machine, which stands where its recording is to begin: mostly at power-on. */
export function createTimeline(machine: Machine, options: TimelineOptions): Timeline {
  return options.recording ? new RecordedTimeline(machine, options) : new PlainTimeline(machine);
}

/** Without recording: there is only now. */
class PlainTimeline implements Timeline {
  readonly recording = false;
  readonly replaying = false;
  readonly branch = 0;
  readonly given = 0;
  readonly memoryUsed = 0;
  readonly memoryLimit = 0;

  constructor(readonly machine: Machine) {}

  get now(): Moment {
    return this.machine.moment;
  }

  get first(): Moment {
    return this.now;
  }

  get end(): Moment {
    return this.now;
  }

  run(limit: number, stepOverBreakpoint?: boolean, vcpu?: number, until?: Moment): RunResult {
    return this.machine.run(limit, stepOverBreakpoint, vcpu, until);
  }

  *seek(moment: Moment): Task<void> {
    if (moment !== this.now) throw new RangeError('there is no past to go to: the run is not recorded');
  }

  landmark(): Moment {
    return this.now;
  }

  mayBeWritten(_page: number, from: Moment, to: Moment): boolean {
    return from < to;
  }

  onBranch(): () => void {
    return () => undefined;
  }
}

/**
 * Snapshots on the way, and every input with its moment: any earlier point is a snapshot and some execution, which is the same
 * each time. `end` is left only with a snapshot taken there, so that coming back to it executes nothing.
 */
class RecordedTimeline implements Timeline {
  readonly recording = true;
  readonly memoryLimit: number;
  replaying = false;
  branch = 0;
  private furthest: Moment;
  private readonly journal = new Journal();
  private readonly snapshots: Snapshots;
  private readonly branchListeners = new Set<(at: Moment) => void>();

  constructor(
    readonly machine: Machine,
    { memoryLimit = DEFAULT_MEMORY_LIMIT, interval }: TimelineOptions,
  ) {
    if (!(memoryLimit >= SMALLEST_MEMORY_LIMIT))
      throw new RangeError(
        `history cannot do with ${memoryLimit} bytes of memory: give ${SMALLEST_MEMORY_LIMIT} or more`,
      );
    if (machine.moment !== 0) throw new RangeError('a recording begins at power-on, and this machine has run already');
    this.memoryLimit = memoryLimit;
    this.snapshots = new Snapshots(machine, memoryLimit, interval);
    this.furthest = machine.moment;
    machine.onInput((input) => this.inputGiven(input));
  }

  get now(): Moment {
    return this.machine.moment;
  }

  get first(): Moment {
    return this.snapshots.first;
  }

  get end(): Moment {
    // What runs beyond it is new at once, also while it runs.
    return Math.max(this.furthest, this.now);
  }

  get given(): number {
    return this.journal.given;
  }

  get memoryUsed(): number {
    return this.snapshots.bytes;
  }

  onBranch(listener: (at: Moment) => void): () => void {
    this.branchListeners.add(listener);
    return () => this.branchListeners.delete(listener);
  }

  run(limit: number, stepOverBreakpoint = false, vcpu?: number, until: Moment = Infinity): RunResult {
    this.replaying = this.now < this.furthest;
    const last = this.replaying ? Math.min(until, this.furthest) : until;
    try {
      return this.runTo(last, limit, stepOverBreakpoint, vcpu);
    } finally {
      this.replaying = false;
    }
  }

  *seek(moment: Moment): Task<void> {
    const { first, end } = this;
    if (!(moment >= first && moment <= end))
      throw new RangeError(`moment ${moment} is no part of the recorded run, which goes from ${first} to ${end}`);
    this.furthest = end;
    this.replaying = true;
    try {
      this.approach(moment);
      const from = this.now;
      while (this.now < moment) {
        const before = this.now;
        const result = this.runTo(Math.min(moment, before + CHUNK), Infinity, true, undefined);
        if (this.now < moment && (result.why === 'ended' || this.now === before))
          throw new Error(`history does not repeat itself: the machine stopped at ${this.now} on its way to ${moment}`);
        yield (this.now - from) / (moment - from);
      }
      this.giveInput();
    } finally {
      this.replaying = false;
    }
  }

  landmark(moment: Moment): Moment {
    return this.snapshots.before(moment, Infinity).moment;
  }

  mayBeWritten(page: number, from: Moment, to: Moment): boolean {
    return from < to && this.snapshots.mayBeWritten(page, from, to, this.journal.hasAt(to));
  }

  /** Goes to the latest snapshot before a point, unless the machine stands between the two. */
  private approach(moment: Moment): void {
    const { snapshots, journal, now } = this;
    const given = journal.givenAt(moment);
    if (now === moment && journal.given === given) return;
    if (now === this.furthest) snapshots.take(journal.given);
    const { moment: at, given: had } = snapshots.before(moment, given);
    const onTheWay = now < moment || (now === moment && journal.given <= given);
    if (onTheWay && (now > at || (now === at && journal.given >= had))) return;
    journal.given = snapshots.goTo(moment, given).given;
  }

  /** Stops at each point where there is something to do. */
  private runTo(last: Moment, limit: number, stepOver: boolean, vcpu: number | undefined): RunResult {
    const { machine, snapshots, journal } = this;
    const count = (): number => (vcpu === undefined ? machine.instructions : (machine.vcpus[vcpu]?.instructions ?? 0));
    const end = count() + limit;
    let waited = 0;
    for (let over = stepOver; ; over = false) {
      this.giveInput();
      const { now } = this;
      if (now >= last) return LIMIT;
      const left = end - count();
      if (left <= 0 || waited > PATIENCE) return LIMIT;
      const until = Math.min(last, snapshots.next?.moment ?? Infinity, journal.nextMoment, snapshots.stretch);
      const result = snapshots.measure(() => machine.run(left, over, vcpu, until));
      // Also while history is repeated: where it was thinned, the next way to here is shorter then.
      if (!snapshots.arrived(journal.given) && snapshots.due) snapshots.take(journal.given);
      if (result.why !== 'limit' || this.now < until) {
        // Where the run stops by itself, what was given there is part of what is seen.
        this.giveInput();
        return result;
      }
      waited = vcpu !== undefined && end - count() === left ? waited + this.now - now : 0;
    }
  }

  /** What was given at this moment is given again. */
  private giveInput(): void {
    for (let input = this.journal.take(this.now); input; input = this.journal.take(this.now)) {
      this.machine.apply(input);
      this.snapshots.arrived(this.journal.given);
    }
  }

  /** Somebody is about to give the machine something. */
  private inputGiven(input: MachineInput): void {
    const { now, journal } = this;
    if (now < this.furthest || journal.given < journal.entries.length) {
      for (const listener of this.branchListeners) listener(now);
      this.branch++;
      this.snapshots.forgetFuture();
      this.furthest = now;
    }
    journal.add(now, input);
  }
}
