import type { BlockSource } from '../../devices/storage/block-source';
import type { Moment } from '../api';
import { BLOCK, type DiskBlock, type DiskFailure, type DiskOperation } from './entry';

/**
 * A disk image as a machine that is recorded has it: what was once read there stays so for this run, also when somebody
 * else changes the file, or when the run is gone through again. And an access that failed fails again at its moment.
 */
export class RecordedDisk implements BlockSource {
  readonly size: number;
  readonly write?: (offset: number, bytes: Uint8Array) => void;
  readonly flush?: () => void;
  private readonly blocks = new Map<number, Uint8Array>();
  private failures: DiskFailure[] = [];
  /** To be set before the machine runs */
  now: () => Moment = () => 0;
  /** Whether the moment was gone through before: then nothing new can happen */
  replaying: () => boolean = () => false;
  /** Told of what is new */
  onNew: (entry: DiskBlock | DiskFailure) => void = () => undefined;

  constructor(
    readonly number: number,
    private readonly source: BlockSource,
  ) {
    this.size = source.size;
    if (source.write)
      this.write = (offset, bytes) =>
        this.attempt('write', Math.floor(offset / BLOCK), () => source.write?.(offset, bytes));
    if (source.flush) this.flush = () => this.attempt('flush', 0, () => source.flush?.());
  }

  /** From a recording: as if it had been read, or had failed, here */
  know(entry: DiskBlock | DiskFailure): void {
    if (entry.kind === 'block') this.blocks.set(entry.block, entry.bytes);
    else this.failures.push(entry);
  }

  /** What was recorded of it */
  *known(): Iterable<DiskBlock | DiskFailure> {
    for (const [block, bytes] of this.blocks) yield { kind: 'block', disk: this.number, block, bytes };
    yield* this.failures;
  }

  /**
   * For another machine that goes through the same run: with what is known of it so far.
   * @param sealed the image has changed since: what is not known is not read from it
   */
  copy(sealed: boolean): RecordedDisk {
    const copy = new RecordedDisk(this.number, sealed ? nothingBehind(`disk ${this.number}`, this.size) : this.source);
    for (const entry of this.known()) copy.know(entry);
    return copy;
  }

  /** What happened from this moment on did not happen. */
  forget(from: Moment): void {
    this.failures = this.failures.filter(({ moment }) => moment < from);
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const block = Math.floor((offset + done) / BLOCK);
      const within = (offset + done) % BLOCK;
      const bytes = this.block(block);
      const part = Math.min(bytes.length - within, target.length - done);
      if (part <= 0) throw new RangeError('read beyond the end of the image');
      target.set(bytes.subarray(within, within + part), done);
      done += part;
    }
  }

  private block(block: number): Uint8Array {
    this.refuseAgain('read', block);
    let bytes = this.blocks.get(block);
    if (!bytes) {
      bytes = new Uint8Array(Math.max(0, Math.min(BLOCK, this.size - block * BLOCK)));
      try {
        this.source.read(block * BLOCK, bytes);
      } catch (error) {
        this.failed('read', block);
        throw error;
      }
      this.blocks.set(block, bytes);
      this.onNew({ kind: 'block', disk: this.number, block, bytes });
    }
    return bytes;
  }

  private attempt(operation: DiskOperation, block: number, action: () => void): void {
    this.refuseAgain(operation, block);
    try {
      action();
    } catch (error) {
      // It went well the first time: the machine goes on by its own copy of what it wrote.
      if (this.replaying()) return;
      this.failed(operation, block);
      throw error;
    }
  }

  private refuseAgain(operation: DiskOperation, block: number): void {
    if (this.failures.length === 0) return;
    const now = this.now();
    if (this.failures.some((one) => one.moment === now && one.operation === operation && one.block === block))
      throw new Error('it failed here when it was recorded');
  }

  private failed(operation: DiskOperation, block: number): void {
    const entry: DiskFailure = { kind: 'failure', disk: this.number, moment: this.now(), operation, block };
    this.failures.push(entry);
    this.onNew(entry);
  }
}

/** What is behind a disk of a recording that was opened: nothing. Only blocks that were read are known. */
export const nothingBehind = (name: string, size: number): BlockSource => ({
  size,
  read: (offset) => {
    throw new Error(`the block of ${name} at byte ${offset} is not in the recording`);
  },
  write: () => undefined,
  flush: () => undefined,
});
