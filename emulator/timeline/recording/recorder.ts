import { StateWriter } from '../../devices/device';
import type { Machine, Outcome } from '../../machine/api';
import type { Moment, Timeline } from '../api';
import { chunk, ChunkType, preamble } from './chunks';
import type { RecordedDisk } from './disk';
import { writeEntry, type Entry } from './entry';
import { headerChunks, type RecordedMachine } from './header';

/** Where a recording goes. What `append` was given is safe from the end of this process once it returns. May throw. */
export interface RecordingSink {
  /** For messages */
  readonly name: string;
  append(bytes: Uint8Array): void;
  close(): void;
}

/** The bytes that a recording begins with. Made before the machine runs; compressing takes its time. */
export async function beginning(machine: RecordedMachine): Promise<{ bytes: Uint8Array; chunks: number }> {
  const chunks = await headerChunks(machine);
  const parts = [preamble(), ...chunks.map(({ type, payload }, number) => chunk(type, number, payload))];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { bytes, chunks: chunks.length };
}

/**
 * Writes down all that decides how a machine goes on, from power-on. Each `checkpoint` appends one chunk: all since the
 * last one and where the machine stands, so that whatever ends the process loses only what came after it.
 * How often is for the caller to say: nothing here knows a real clock.
 */
export class Recorder {
  private readonly pending: Entry[] = [];
  /** The furthest moment of this branch that was written down */
  private written: Moment = 0;
  private chunks: number;
  private readonly removals: (() => void)[] = [];
  private closed = false;
  private failure: string | undefined;

  /**
   * @param start what `beginning` made. It is appended at once
   * @param timeline of the machine, when there is one
   */
  constructor(
    private readonly machine: Machine,
    disks: readonly RecordedDisk[],
    private readonly sink: RecordingSink,
    start: { readonly bytes: Uint8Array; readonly chunks: number },
    timeline?: Timeline,
  ) {
    this.chunks = start.chunks;
    for (const disk of disks) {
      for (const entry of disk.known()) this.pending.push(entry);
      disk.onNew = (entry) => this.add(entry);
      this.removals.push(() => (disk.onNew = () => undefined));
    }
    this.removals.push(
      machine.onInput((input) => this.add({ kind: 'input', moment: machine.moment, input })),
      timeline?.onBranch((at) => this.branched(at, timeline.given)) ?? (() => undefined),
    );
    this.append(start.bytes);
  }

  /** Why it ended before it was closed; undefined: it has not */
  get problem(): string | undefined {
    return this.failure;
  }

  /** Whether there is anything that the file does not have yet */
  get behind(): boolean {
    return !this.closed && (this.pending.length > 0 || this.machine.moment > this.written);
  }

  /** The file has the run up to here */
  get recorded(): Moment {
    return this.written;
  }

  /** What waits to be written, in bytes or so */
  get waiting(): number {
    return this.pending.length * 64 + this.pendingBytes;
  }
  private pendingBytes = 0;

  /** Appends what is new. The machine stands still. @param withHash also the hash of the whole state, which takes longer */
  checkpoint(withHash = false): void {
    if (this.behind) this.append(this.segment(withHash));
  }

  /** In the past nothing is new but input, which is in `pending` and has made its own branch. */
  private segment(withHash: boolean): Uint8Array {
    const { machine, pending } = this;
    const { moment, instructions } = machine;
    if (moment >= this.written) {
      const stateHash = withHash ? machine.stateHash() : undefined;
      pending.push({ kind: 'checkpoint', moment, instructions, digest: machine.digest(), stateHash });
      this.written = moment;
    }
    const out = new StateWriter();
    for (const entry of pending) writeEntry(out, entry);
    pending.length = this.pendingBytes = 0;
    return chunk(ChunkType.SEGMENT, this.chunks++, out.finish());
  }

  /** The last checkpoint, and the mark that the recording is whole. @param outcome how the machine ended, if it has */
  close(outcome?: Outcome): void {
    if (this.closed) return;
    // Where the machine stands in its past, the end has its checkpoint.
    if (this.behind || this.machine.moment >= this.written) this.append(this.segment(true));
    const end = { moment: this.written, outcome: outcome ?? null };
    this.append(chunk(ChunkType.END, this.chunks++, new TextEncoder().encode(JSON.stringify(end))));
    this.stop();
  }

  private add(entry: Entry): void {
    this.pending.push(entry);
    if (entry.kind === 'block') this.pendingBytes += entry.bytes.length;
  }

  private branched(at: Moment, inputs: number): void {
    this.written = Math.min(this.written, at);
    this.pending.push({ kind: 'branch', moment: at, inputs });
  }

  private append(bytes: Uint8Array): void {
    if (this.closed) return;
    try {
      this.sink.append(bytes);
    } catch (error) {
      this.failure = error instanceof Error ? error.message : String(error);
      this.stop();
    }
  }

  private stop(): void {
    this.closed = true;
    for (const remove of this.removals) remove();
    this.sink.close();
  }
}
