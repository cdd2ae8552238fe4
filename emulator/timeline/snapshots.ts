import type { Machine } from '../machine/api';
import type { MachineState } from '../machine/state';
import type { Moment } from './api';
import type { RamHistory } from './ram-history';

/** A point of the run that can be gone to directly. Several may have the same moment, with inputs between them. */
export interface Snapshot {
  readonly moment: Moment;
  /** Inputs of the journal that the machine had had */
  readonly given: number;
  readonly state: MachineState;
  /** Of `state` */
  readonly bytes: number;
}

/** Transitions between two snapshots at first */
const INTERVAL = 5_000_000;

/**
 * The snapshots of a run in the order of time. RAM's part is kept by a `RamHistory`, whose numbers are indices here. Their
 * memory is bounded: when it does not suffice, snapshots are dropped so that they lie the closer together the later they are.
 */
export class Snapshots {
  private readonly list: Snapshot[] = [];
  private stateBytes = 0;

  constructor(
    private readonly machine: Machine,
    private readonly ram: RamHistory,
    private readonly memoryLimit: number,
    private readonly interval = INTERVAL,
  ) {}

  get first(): Moment {
    return this.list[0]?.moment ?? 0;
  }

  get bytes(): number {
    return this.stateBytes + this.ram.bytes;
  }

  /** The moment at which a new one is due, when what runs is new */
  get due(): Moment {
    return (this.list[this.ram.base]?.moment ?? 0) + this.interval;
  }

  /** The snapshot that the machine stands at or went on from */
  get base(): Snapshot | undefined {
    return this.list[this.ram.base];
  }

  /** The one that execution comes to next */
  get next(): Snapshot | undefined {
    return this.list[this.ram.base + 1];
  }

  /** The last one at which a machine stood that then came to this point, and its number */
  before(moment: Moment, given: number): number {
    let low = 0;
    for (let high = this.list.length; low < high;) {
      const middle = (low + high) >>> 1;
      const { moment: at, given: had } = this.at(middle);
      if (at < moment || (at === moment && had <= given)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The first one at or after a moment; their count when there is none. */
  after(moment: Moment): number {
    const index = this.list.findIndex((snapshot) => snapshot.moment >= moment);
    return index < 0 ? this.list.length : index;
  }

  at(index: number): Snapshot {
    const snapshot = this.list[index];
    if (!snapshot) throw new RangeError(`there is no snapshot ${index}`);
    return snapshot;
  }

  /** The machine as it stands, unless that is one already. */
  take(given: number): void {
    const { machine, ram, base } = this;
    const { moment } = machine;
    if (base?.moment === moment && base.given === given) return;
    const state = machine.saveState();
    ram.snapshot();
    const snapshot = { moment, given, state, bytes: bytesOf(state) };
    this.list.splice(ram.base, 0, snapshot);
    this.stateBytes += snapshot.bytes;
    while (this.bytes > this.memoryLimit && this.thin());
  }

  goTo(index: number): Snapshot {
    const snapshot = this.at(index);
    this.ram.goTo(index);
    this.machine.restoreState(snapshot.state);
    return snapshot;
  }

  /** The machine has come to a point by execution: was it the next snapshot, that is its base from now on. */
  arrived(given: number): void {
    const { next, machine } = this;
    if (next && next.moment === machine.moment && next.given === given) this.ram.arrived();
  }

  /** What lies behind the base is no future any more. */
  forgetFuture(): void {
    const { base } = this.ram;
    for (const { bytes } of this.list.splice(base + 1)) this.stateBytes -= bytes;
    this.ram.forgetAfter(base);
  }

  /** Drops the one that is missed least: its neighbours lie close together for how long ago it was. False: none is left. */
  private thin(): boolean {
    const { list, ram } = this;
    const end = this.at(list.length - 1).moment;
    let least = Infinity;
    let chosen = -1;
    for (let i = 1; i < list.length - 1; i++) {
      if (i === ram.base) continue;
      const gap = this.at(i + 1).moment - this.at(i - 1).moment;
      const weight = gap / (end - this.at(i - 1).moment + this.interval);
      if (weight >= least) continue;
      least = weight;
      chosen = i;
    }
    if (chosen < 0) return false;
    ram.drop(chosen);
    for (const { bytes } of list.splice(chosen, 1)) this.stateBytes -= bytes;
    return true;
  }
}

function bytesOf({ vcpus, board }: MachineState): number {
  let sum = board.length;
  for (const { block, tlb, tracker } of vcpus) {
    sum += block.length + tlb.byteLength;
    for (const { kept } of tracker.contexts) sum += kept.length;
  }
  return sum;
}
