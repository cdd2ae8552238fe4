import type { Machine } from '../../machine/api';
import type { MachineInput } from '../../machine/input';
import type { Moment } from '../api';
import { nothingBehind, RecordedDisk } from './disk';
import type { Checkpoint } from './entry';
import type { Recording } from './recording';

/** Where a run is not as it was recorded */
export interface Divergence {
  /** The first comparison that failed, and the last one that did not: it happened between them */
  readonly moment: Moment;
  readonly after: Moment;
  readonly text: string;
}

/** The disks of a recording: what was read of them, and nothing behind. */
export function recordedDisks({ machine, disks }: Pick<Recording, 'machine' | 'disks'>): RecordedDisk[] {
  const made = machine.disks.map(({ name, size }, number) => new RecordedDisk(number, nothingBehind(name, size)));
  for (const entry of disks) made[entry.disk]?.know(entry);
  return made;
}

/**
 * Leads a machine through what was recorded: the caller runs it no further than `next`, and calls `arrived` whenever it
 * stands still there. Then input that is due is given, and the machine compared with the one that was recorded.
 */
export class Playback {
  private at = 0;
  private agreed: Moment = 0;
  private found: Divergence | undefined;
  private dropped = false;
  private compared = 0;
  private hashed = 0;

  constructor(
    private readonly recording: Recording,
    private readonly machine: Machine,
    private readonly options: {
      readonly give: (input: MachineInput) => void;
      /** Also compare the hashes of the whole state, where there are any */
      readonly hashes: boolean;
    },
  ) {}

  /** How far the machine may run; undefined: the recording is at its end, or no longer followed */
  get next(): Moment | undefined {
    if (this.dropped || this.found) return undefined;
    return this.recording.steps[this.at]?.moment;
  }

  get divergence(): Divergence | undefined {
    return this.found;
  }

  /** How many checkpoints agreed, and how many of them with the whole state */
  get agreement(): { readonly checkpoints: number; readonly hashes: number; readonly upTo: Moment } {
    return { checkpoints: this.compared, hashes: this.hashed, upTo: this.agreed };
  }

  /** The user changes the past: what was recorded does not follow any more. */
  drop(): void {
    this.dropped = true;
  }

  /**
   * The machine stands still.
   * @param ended it cannot go on
   */
  arrived(ended = false): void {
    const { machine } = this;
    const { steps } = this.recording;
    for (let step = steps[this.at]; step && !this.dropped && !this.found; step = steps[this.at]) {
      if (machine.moment < step.moment) {
        if (ended)
          this.differ(`the machine ended at moment ${machine.moment}, and was recorded up to ${this.recording.end}`);
        return;
      }
      if (machine.moment > step.moment) {
        this.differ(`the machine passed over moment ${step.moment} without coming to it`);
        return;
      }
      this.at++;
      if (step.kind === 'input') this.options.give(step.input);
      else this.compare(step);
    }
  }

  private compare(expected: Checkpoint): void {
    const { machine } = this;
    if (machine.instructions !== expected.instructions)
      return this.differ(`${machine.instructions} instructions were executed instead of ${expected.instructions}`);
    if (machine.digest() !== expected.digest) return this.differ("the processors' registers are others");
    this.compared++;
    if (this.options.hashes && expected.stateHash !== undefined) {
      if (machine.stateHash() !== expected.stateHash) return this.differ('memory or a device is another');
      this.hashed++;
    }
    this.agreed = expected.moment;
  }

  private differ(how: string): void {
    const { moment } = this.machine;
    const text =
      `The run is not as it was recorded: at moment ${moment}, ${how}. Up to moment ${this.agreed} it was. ` +
      `It was recorded by another version of Undervisor, or the file is damaged.`;
    this.found = { moment, after: this.agreed, text };
  }
}
