import type { VmExitRecord } from '../../emulator/cpu/taps';
import type { Moment } from '../../emulator/timeline/api';
import { hostPhysical, linear, guestPhysical } from '../../emulator/memory/address';

/**
 * VM exits as they happened, newest last. A ring of compact records in typed arrays: a run of hours keeps the newest
 * million at 128 bytes each; a short one costs what it uses.
 */
export interface LoggedExit extends VmExitRecord {
  /** Ordinal from 1, among the exits of all vCPUs */
  readonly n: number;
  /** Number that the listener gave: the layer that was left */
  readonly layer: number;
  /** What the instruction was about (watch/exit-operand.ts) */
  readonly operand: bigint;
  /** When the exit was complete: before the first instruction of what it led to */
  readonly moment: Moment;
}

const CHUNK = 8192;
const WIDE = 8;
const NARROW = 8;

interface Chunk {
  readonly wide: BigUint64Array;
  readonly narrow: Float64Array;
}

const kindOf = (layer: number, reason: number): number => layer * 0x10000 + (reason & 0xffff);

export class ExitLog {
  private readonly chunks: Chunk[] = [];
  private readonly counts = new Map<number, number>();
  private count = 0;
  private lost = 0;
  private cuts = 0;

  /** `capacity` is rounded up to whole chunks. */
  constructor(capacity = 1 << 20) {
    this.chunkLimit = Math.max(1, Math.ceil(capacity / CHUNK));
  }
  private readonly chunkLimit: number;

  /** All exits ever recorded */
  get total(): number {
    return this.count;
  }

  /** Index of the oldest record that is still there */
  get first(): number {
    return this.lost;
  }

  /** Grows when records are cut off: what was remembered about positions may be wrong. */
  get generation(): number {
    return this.cuts;
  }

  /** How many exits of each kind were ever recorded: layer in bits 16 and up, basic reason in bits 15:0 */
  get kinds(): ReadonlyMap<number, number> {
    return this.counts;
  }

  add(record: VmExitRecord, layer: number, operand = 0n, moment: Moment = 0): void {
    const index = this.count++;
    this.lost = Math.max(this.lost, this.count - this.chunkLimit * CHUNK);
    const slot = Math.floor(index / CHUNK) % this.chunkLimit;
    const chunk = (this.chunks[slot] ??= {
      wide: new BigUint64Array(CHUNK * WIDE),
      narrow: new Float64Array(CHUNK * NARROW),
    });
    const { wide, narrow } = chunk;
    let at = (index % CHUNK) * WIDE;
    wide[at++] = record.vmcs;
    wide[at++] = record.qualification;
    wide[at++] = record.guestLinear;
    wide[at++] = record.guestPhysical;
    wide[at++] = record.rip;
    wide[at++] = record.csBase;
    wide[at++] = BigInt(record.reason >>> 0);
    wide[at] = operand;
    at = (index % CHUNK) * NARROW;
    narrow[at++] = this.count;
    narrow[at++] = record.instruction;
    narrow[at++] = record.vcpu;
    narrow[at++] = record.interruptionInformation >>> 0;
    narrow[at++] = record.interruptionErrorCode >>> 0;
    narrow[at++] = record.instructionLength;
    narrow[at++] = layer;
    narrow[at] = moment;
    const kind = kindOf(layer, record.reason);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  /** Kind of record `index`, which must be there. Reads no more of it, to look through many. */
  kind(index: number): number {
    const chunk = this.chunks[Math.floor(index / CHUNK) % this.chunkLimit];
    const at = index % CHUNK;
    return kindOf(chunk?.narrow[at * NARROW + 6] ?? 0, Number(chunk?.wide[at * WIDE + 6] ?? 0n));
  }

  /** Record `index`, counted from 0 = the first exit of the run; undefined when it never was or has been dropped. */
  get(index: number): LoggedExit | undefined {
    const chunk = this.chunks[Math.floor(index / CHUNK) % this.chunkLimit];
    if (!Number.isInteger(index) || index < this.first || index >= this.count || !chunk) return undefined;
    const wide = (field: number) => chunk.wide[(index % CHUNK) * WIDE + field] ?? 0n;
    const narrow = (field: number) => chunk.narrow[(index % CHUNK) * NARROW + field] ?? 0;
    return {
      vmcs: hostPhysical(wide(0)),
      qualification: wide(1),
      guestLinear: linear(wide(2)),
      guestPhysical: guestPhysical(wide(3)),
      rip: wide(4),
      csBase: wide(5),
      reason: Number(wide(6)),
      operand: wide(7),
      n: narrow(0),
      instruction: narrow(1),
      vcpu: narrow(2),
      interruptionInformation: narrow(3),
      interruptionErrorCode: narrow(4),
      instructionLength: narrow(5),
      layer: narrow(6),
      moment: narrow(7),
    };
  }

  /** How many exits there were up to this moment: the position of the first one behind it. Not below `first` */
  upTo(moment: Moment): number {
    let low = this.first;
    for (let high = this.count; low < high;) {
      const middle = Math.floor((low + high) / 2);
      if (this.momentOf(middle) <= moment) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The last exit from this VMCS on this vCPU up to a moment, as far as it is still there */
  lastOf(vcpu: number, vmcs: bigint, moment: Moment): LoggedExit | undefined {
    for (let index = this.upTo(moment) - 1; index >= this.first; index--) {
      const chunk = this.chunks[Math.floor(index / CHUNK) % this.chunkLimit];
      const at = index % CHUNK;
      if (chunk?.wide[at * WIDE] === vmcs && chunk.narrow[at * NARROW + 2] === vcpu) return this.get(index);
    }
    return undefined;
  }

  /** Forgets what was behind this moment. */
  cut(at: Moment): void {
    const end = this.upTo(at);
    if (end === this.count) return;
    for (let index = end; index < this.count; index++) {
      const kind = this.kind(index);
      const left = (this.counts.get(kind) ?? 0) - 1;
      if (left > 0) this.counts.set(kind, left);
      else this.counts.delete(kind);
    }
    this.count = end;
    this.cuts++;
  }

  private momentOf(index: number): number {
    return this.chunks[Math.floor(index / CHUNK) % this.chunkLimit]?.narrow[(index % CHUNK) * NARROW + 7] ?? 0;
  }

  /** Records start..start+count-1 as far as they are there. */
  slice(start: number, count: number): LoggedExit[] {
    const rows: LoggedExit[] = [];
    const from = Math.max(this.first, Math.floor(start));
    const to = Math.min(this.count, Math.floor(start) + Math.floor(count));
    for (let index = from; index < to; index++) {
      const row = this.get(index);
      if (row) rows.push(row);
    }
    return rows;
  }
}
