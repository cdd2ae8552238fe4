import type { AddressSpace, Machine, Outcome } from '../../emulator/machine/api';
import type { MachineInput } from '../../emulator/machine/input';
import { hostPhysical } from '../../emulator/memory/address';
import type { Moment, Timeline } from '../../emulator/timeline/api';
import { beginsAsRecording } from '../../emulator/timeline/recording/chunks';
import { Playback, type Divergence } from '../../emulator/timeline/recording/playback';
import { beginning, Recorder, type RecordingSink } from '../../emulator/timeline/recording/recorder';
import type { RecordedDisk } from '../../emulator/timeline/recording/disk';
import type { Recording, Step } from '../../emulator/timeline/recording/recording';
import type { FileSource } from '../session/file-source';
import { messageOf, userError } from '../session/errors';
import type { Materials } from './load';
import { recordedMachine } from './recorded-materials';

/** What is written at least so often while the machine runs: a second is promised, a slice of it is for the slice that runs */
const INTERVAL_MS = 500;
/** More than this does not wait */
const MOST_WAITING = 4 << 20;
/** The hash of the whole state may take this part of the time, and is not made more often than that */
const HASH_SHARE = 0.01;
const HASH_INTERVAL_MS = 5000;

/** A stop that a recording asks for */
export type TapeStop = { readonly why: 'end' } | { readonly why: 'diverged'; readonly divergence: Divergence };

/** What is to be told of a recording while a session goes on */
export type TapeListener = (text: string) => void;

/** A file to record into, and the bytes that it will begin with. Nothing in it has changed yet. */
export interface BlankTape {
  readonly sink: RecordingSink;
  readonly start: Awaited<ReturnType<typeof beginning>>;
}

/** @throws RequestError when the file cannot be written, or is something else than a recording */
export async function blankTape(file: string, materials: Materials, files: FileSource): Promise<BlankTape> {
  if (!files.recordTo) throw userError(`"record": files cannot be written here`);
  const start = await beginning(recordedMachine(materials));
  try {
    return { sink: await files.recordTo(file, beginsAsRecording), start };
  } catch (error) {
    throw userError(`cannot record into ${file}: ${messageOf(error)}`);
  }
}

/**
 * The recordings of a machine that runs: the one that is being made, and the one that it follows. Whoever runs the
 * machine asks `until` before and calls `ran` after each piece.
 */
export class Tape {
  private recorder: Recorder | undefined;
  private playback: Playback | undefined;
  private recording: Recording | undefined;
  private giving = false;
  private endTold = false;
  private readonly inputs: Step[] = [];
  private lastWrite = 0;
  private lastHash = 0;
  private hashTakes = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  tell: TapeListener = () => undefined;
  /** Told after each piece that was written: the file has the run up to here */
  written: (moment: Moment) => void = () => undefined;
  /** A moment that the machine is not to pass, whatever it follows */
  bound: Moment = Infinity;

  constructor(
    private readonly machine: Machine,
    private readonly timeline?: Timeline,
  ) {
    timeline?.onBranch(() => this.inputs.splice(timeline.given));
    machine.onInput((input) => this.inputGiven(input));
  }

  /** All input that was given since power-on, on this branch, and how the machine stands now */
  get journal(): readonly Step[] {
    const { machine, timeline, inputs } = this;
    const given = timeline?.recording ? timeline.given : inputs.length;
    const { moment, instructions } = machine;
    const here: Step = { kind: 'checkpoint', moment, instructions, digest: machine.digest(), stateHash: undefined };
    return [...inputs.slice(0, given), here, ...inputs.slice(given)];
  }

  /** How far this branch was executed */
  get end(): Moment {
    return Math.max(this.timeline?.end ?? 0, this.machine.moment);
  }

  get records(): boolean {
    return this.recorder !== undefined;
  }

  /** With a recording that is being made: the file has the run up to here */
  get recorded(): Moment | undefined {
    return this.recorder?.recorded;
  }

  /** The recording that is being followed, until it is left */
  get follows(): Recording | undefined {
    return this.playback?.next === undefined ? undefined : this.recording;
  }

  get agreement(): Playback['agreement'] {
    return this.playback?.agreement ?? { checkpoints: 0, hashes: 0, upTo: 0 };
  }

  get divergence(): Divergence | undefined {
    return this.playback?.divergence;
  }

  /** How far the machine may run now; undefined: as far as it likes */
  get until(): Moment | undefined {
    const next = this.playback?.next;
    return next === undefined || next > this.bound ? (this.bound === Infinity ? undefined : this.bound) : next;
  }

  /** Begins to record. The machine has not run yet. */
  record({ sink, start }: BlankTape, disks: readonly RecordedDisk[]): void {
    this.wire(disks);
    this.recorder = new Recorder(this.machine, disks, sink, start, this.timeline);
    this.lastWrite = this.lastHash = performance.now();
    this.check(sink.name);
  }

  /** Begins to follow a recording. The machine has not run yet. @param hashes also compare the whole state where it was recorded */
  follow(recording: Recording, disks: readonly RecordedDisk[], hashes = false): TapeStop | undefined {
    this.wire(disks);
    this.recording = recording;
    this.playback = new Playback(recording, this.machine, { give: (input) => this.give(input), hashes });
    // Input may have been given before the first instruction.
    this.playback.arrived();
    return this.stopWanted();
  }

  /** The machine stands still after a piece. @param ended it cannot go on */
  ran(ended: boolean): TapeStop | undefined {
    if (this.playback?.next !== undefined) {
      this.playback.arrived(ended);
      const stop = this.stopWanted();
      if (stop) return stop;
    }
    if (this.recorder) this.write(false);
    return undefined;
  }

  /** Writes what is new, now: at a stop */
  flush(): void {
    if (this.recorder?.behind) this.write(true);
  }

  /** The recording that is being made is whole. */
  close(outcome?: Outcome): void {
    clearTimeout(this.timer);
    this.recorder?.close(outcome);
    this.recorder = undefined;
  }

  /** Disks of the machine that are to fail where they failed. The machine has not run yet. */
  wire(disks: readonly RecordedDisk[]): void {
    for (const disk of disks) {
      disk.now = () => this.machine.moment;
      disk.replaying = () => this.timeline?.replaying ?? false;
    }
    this.timeline?.onBranch((at) => disks.forEach((disk) => disk.forget(at)));
  }

  private write(now: boolean): void {
    const { recorder } = this;
    if (!recorder) return;
    const time = performance.now();
    if (!now && time - this.lastWrite < INTERVAL_MS && recorder.waiting < MOST_WAITING) return;
    const since = time - this.lastHash;
    const withHash = since > HASH_INTERVAL_MS && this.hashTakes < since * HASH_SHARE;
    recorder.checkpoint(withHash);
    this.lastWrite = performance.now();
    this.written(recorder.recorded);
    if (withHash) {
      this.lastHash = this.lastWrite;
      this.hashTakes = this.lastWrite - time;
    }
    this.check('');
  }

  /** A recording that cannot be written ends; the session goes on. */
  private check(name: string): void {
    const problem = this.recorder?.problem;
    if (problem === undefined) return;
    this.recorder = undefined;
    this.tell(`The recording${name === '' ? '' : ` ${name}`} ends here, as it cannot be written: ${problem}`);
  }

  private stopWanted(): TapeStop | undefined {
    const { playback } = this;
    if (!playback || this.endTold || playback.next !== undefined) return undefined;
    this.endTold = true;
    const { divergence } = playback;
    if (divergence) this.tell(divergence.text);
    return divergence ? { why: 'diverged', divergence } : { why: 'end' };
  }

  /** By the user, unless it is what was recorded */
  private inputGiven(input: MachineInput): void {
    this.inputs.push({ kind: 'input', moment: this.machine.moment, input });
    if (!this.giving && this.playback?.next !== undefined) {
      this.playback.drop();
      this.endTold = true;
      this.tell('From here on the run is another than the recorded one.');
    }
    // While the machine stands nobody calls `ran`.
    if (this.recorder) this.timer ??= setTimeout(() => this.inputWritten(), INTERVAL_MS);
  }

  private inputWritten(): void {
    this.timer = undefined;
    this.flush();
  }

  /** As when it was given first: who keeps a journal is told. */
  private give(input: MachineInput): void {
    const { machine } = this;
    this.giving = true;
    try {
      switch (input.kind) {
        case 'serial':
          machine.serialInput(input.bytes);
          return;
        case 'memory':
          for (const { address, bytes } of input.ranges) machine.writeMemory(HOST_PHYSICAL, BigInt(address), bytes);
          return;
        case 'register':
          machine.vcpus[input.vcpu]?.registers.write(input.name, input.value);
          return;
        case 'vmcs':
          machine.writeVmcs(hostPhysical(input.region), input.encoding, input.value);
      }
    } finally {
      this.giving = false;
    }
  }
}

const HOST_PHYSICAL: AddressSpace = {
  kind: 'host-physical',
  cr0: 0n,
  cr3: 0n,
  cr4: 0n,
  efer: 0n,
  eptp: 0n,
  codeSize: 64,
};
