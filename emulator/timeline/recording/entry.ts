import { StateReader, StateWriter } from '../../devices/device';
import type { MachineInput } from '../../machine/input';
import type { Moment } from '../api';
import { readInput, writeInput } from './input';

/** What a recording keeps of a run, in the order in which it happened. */
export type Entry =
  | { readonly kind: 'input'; readonly moment: Moment; readonly input: MachineInput }
  /**
   * Input was given in the past: what was recorded behind this moment did not happen, and of all inputs before only the
   * first `inputs` did
   */
  | { readonly kind: 'branch'; readonly moment: Moment; readonly inputs: number }
  | DiskBlock
  | DiskFailure
  | Checkpoint;

/** What a disk image held when the machine first read there */
export interface DiskBlock {
  readonly kind: 'block';
  readonly disk: number;
  /** In blocks of 4096 bytes; the last one of an image may be shorter */
  readonly block: number;
  readonly bytes: Uint8Array;
}

/** A disk image that could not be read or written: the machine saw an error */
export interface DiskFailure {
  readonly kind: 'failure';
  readonly disk: number;
  readonly moment: Moment;
  readonly operation: DiskOperation;
  readonly block: number;
}

export type DiskOperation = 'read' | 'write' | 'flush';

/** How the machine stood at a moment: by it a replay is compared */
export interface Checkpoint {
  readonly kind: 'checkpoint';
  readonly moment: Moment;
  readonly instructions: number;
  /** Machine.digest */
  readonly digest: number;
  /** Machine.stateHash, now and then */
  readonly stateHash: string | undefined;
}

const Tag = { INPUT: 1, BRANCH: 2, BLOCK: 3, FAILURE: 4, CHECKPOINT: 5 } as const;
const OPERATIONS: readonly DiskOperation[] = ['read', 'write', 'flush'];
const HASH = 32;

export function writeEntry(out: StateWriter, entry: Entry): void {
  switch (entry.kind) {
    case 'input':
      out.u8(Tag.INPUT);
      out.f64(entry.moment);
      writeInput(out, entry.input);
      return;
    case 'branch':
      out.u8(Tag.BRANCH);
      out.f64(entry.moment);
      out.f64(entry.inputs);
      return;
    case 'block': {
      out.u8(Tag.BLOCK);
      out.u8(entry.disk);
      out.f64(entry.block);
      out.u32(entry.bytes.length);
      // The zeros at the end, which most of a disk is, are left out.
      out.blob(entry.bytes.subarray(0, entry.bytes.findLastIndex((byte) => byte !== 0) + 1));
      return;
    }
    case 'failure':
      out.u8(Tag.FAILURE);
      out.u8(entry.disk);
      out.f64(entry.moment);
      out.u8(OPERATIONS.indexOf(entry.operation));
      out.f64(entry.block);
      return;
    case 'checkpoint':
      out.u8(Tag.CHECKPOINT);
      out.f64(entry.moment);
      out.f64(entry.instructions);
      out.u32(entry.digest);
      out.blob(entry.stateHash === undefined ? new Uint8Array() : fromHex(entry.stateHash));
  }
}

/** @throws RangeError when the bytes are no entries */
export function readEntries(bytes: Uint8Array): Entry[] {
  const from = new StateReader(bytes);
  const entries: Entry[] = [];
  while (from.left > 0) entries.push(readEntry(from));
  return entries;
}

function readEntry(from: StateReader): Entry {
  switch (from.u8()) {
    case Tag.INPUT:
      return { kind: 'input', moment: count(from.f64()), input: readInput(from) };
    case Tag.BRANCH:
      return { kind: 'branch', moment: count(from.f64()), inputs: count(from.f64()) };
    case Tag.BLOCK: {
      const [disk, block, length] = [from.u8(), count(from.f64()), from.u32()];
      const kept = from.blob();
      if (length > BLOCK || kept.length > length) throw new RangeError('a block of a disk is too long');
      const whole = new Uint8Array(length);
      whole.set(kept);
      return { kind: 'block', disk, block, bytes: whole };
    }
    case Tag.FAILURE: {
      const [disk, moment, operation, block] = [from.u8(), count(from.f64()), OPERATIONS[from.u8()], from.f64()];
      if (!operation) throw new RangeError('unknown operation of a disk');
      return { kind: 'failure', disk, moment, operation, block: count(block) };
    }
    case Tag.CHECKPOINT: {
      const [moment, instructions, digest, hash] = [count(from.f64()), count(from.f64()), from.u32(), from.blob()];
      if (hash.length !== 0 && hash.length !== HASH) throw new RangeError('a state hash has another length');
      return {
        kind: 'checkpoint',
        moment,
        instructions,
        digest,
        stateHash: hash.length === 0 ? undefined : toHex(hash),
      };
    }
    default:
      throw new RangeError('an entry of an unknown kind');
  }
}

export const BLOCK = 4096;

function count(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is no moment and no count`);
  return value;
}

const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
const fromHex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
