import type { Machine } from '../machine/api';
import type { MachineState } from '../machine/state';
import type { Moment } from './api';
import type { Landmark } from './landmarks';
import { Pace } from './pace';
import { PageHistory } from './page-history';

export type Snapshot = Landmark<MachineState>;

/**
 * The snapshots of a run in the order of time: points that can be gone to directly. Several may have the same moment, with
 * inputs between them. Which there are, the pace of taking them and the memory that history may use decide together.
 */
export class Snapshots {
  private readonly history: PageHistory<MachineState>;
  private readonly pace: Pace;

  /**
   * The machine stands at power-on.
   * @param memoryLimit bytes that history may take
   * @param interval transitions between two snapshots; absent: by the host's clock
   */
  constructor(
    private readonly machine: Machine,
    memoryLimit: number,
    private readonly interval?: number,
  ) {
    const { inside } = machine;
    this.pace = new Pace();
    this.history = new PageHistory(inside.memory, inside, this.point(0), memoryLimit);
    inside.memory.watchWrites(this.history);
  }

  get first(): Moment {
    return this.history.landmarks[0]?.moment ?? 0;
  }

  get bytes(): number {
    return this.history.memoryUsed;
  }

  /** The one that execution comes to next */
  get next(): Snapshot | undefined {
    return this.history.next;
  }

  /** The machine is not to run past this moment before it is asked whether a snapshot is due. */
  get stretch(): Moment {
    const { moment } = this.machine;
    if (this.interval === undefined) return moment + this.pace.stretch;
    return Math.max(moment + 1, this.history.last.moment + this.interval);
  }

  get due(): boolean {
    if (this.interval === undefined) return this.pace.due(this.history.copied);
    return this.machine.moment - this.history.last.moment >= this.interval;
  }

  /** Runs the machine, and takes the time for the pace. */
  measure<T>(run: () => T): T {
    return this.pace.measure(run, () => this.machine.moment);
  }

  /** The machine as it stands, unless that is a snapshot already. */
  take(given: number): void {
    const { history, pace, machine } = this;
    if (history.last.moment === machine.moment && history.last.given === given) return;
    pace.landmark(() => history.set(this.point(given), pace.spent));
  }

  private point(given: number): Pick<Snapshot, 'moment' | 'given' | 'state' | 'bytes'> {
    const state = this.machine.saveState();
    return { moment: this.machine.moment, given, state, bytes: bytesOf(state) };
  }

  /** From where a replay to this point would begin */
  before(moment: Moment, given: number): Snapshot {
    return this.history.landmark(moment, given);
  }

  /** The machine becomes what it was at the snapshot before a point, or at an earlier one when no way leads there. */
  goTo(moment: Moment, given: number): Snapshot {
    const snapshot = this.history.goTo(moment, given);
    this.machine.restoreState(snapshot.state);
    this.pace.spent = 0;
    return snapshot;
  }

  /** The machine has come to a point by execution: was it the next snapshot, it runs on from that. */
  arrived(given: number): boolean {
    const { next, pace } = this;
    if (next?.moment !== this.machine.moment || next.given !== given) return false;
    this.history.arrive(pace.spent);
    pace.spent = 0;
    return true;
  }

  /** What lies ahead is no future any more. */
  forgetFuture(): void {
    this.history.cut();
  }

  /** @param after whether also what was given to the machine at `to` counts */
  mayBeWritten(page: number, from: Moment, to: Moment, after: boolean): boolean {
    return this.history.mayBeWritten(page, from, after ? to + 1 : to);
  }
}

/** What a state takes, roughly */
function bytesOf({ vcpus, board, tables, secrecy }: MachineState): number {
  let sum = 1000 + board.bytes.length;
  for (const { bytes } of board.shared) sum += bytes;
  for (const { block, tlb, tracker } of vcpus) {
    sum += block.length + tlb.byteLength;
    for (const { kept } of tracker.contexts) sum += kept.length;
  }
  if (tables) sum += tables.pages.length * 8 + tables.changes.size * 200;
  return sum + sizeOf(secrecy);
}

/** What plain data takes, roughly */
function sizeOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 8;
  if (ArrayBuffer.isView(value)) return 100 + value.byteLength;
  const parts = value instanceof Map ? [...value.values()] : value instanceof Set ? [...value] : Object.values(value);
  return parts.reduce<number>((sum, part) => sum + 16 + sizeOf(part), 32);
}
