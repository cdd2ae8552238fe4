import { RAM_BASE } from './layout';
import { pageOf, type MachineMemory } from './machine-memory';

/** Who stored to a translation table. */
export interface TableWriter {
  /** -1: a device */
  readonly vcpu: number;
  readonly instruction: number;
  readonly rip: bigint;
  /** In VMX root operation, or outside VMX operation */
  readonly root: boolean;
}

/** A store that changed an entry (or the pair of entries in 8 aligned bytes). */
export interface TableChange {
  readonly sequence: number;
  readonly before: bigint;
  readonly after: bigint;
  readonly writer: TableWriter;
}

export interface TableWatchState {
  readonly sequence: number;
  /** Numbers of the watched pages of the wasm memory */
  readonly pages: readonly number[];
  readonly changes: ReadonlyMap<number, TableChange>;
}

/**
 * Strict mode's knowledge of translation tables: the RAM pages that walks have read entries from, and what was stored
 * there since. One for all vCPUs. Such a page never gets a write tag, so that each store passes by here.
 */
export class TableWatch {
  /** Of the latest change */
  sequence = 0;
  private readonly pages: Uint8Array;
  private changes = new Map<number, TableChange>();
  private readonly view: DataView;
  private readonly before = new BigUint64Array(2);

  /**
   * @param pageWatched write tags of this RAM page are to be withdrawn
   * @param changed every cached translation is to be compared with the tables before its next use
   */
  constructor(
    memory: MachineMemory,
    private readonly pageWatched: (ramPage: number) => void,
    private readonly changed: () => void,
  ) {
    this.view = memory.view;
    this.pages = new Uint8Array((RAM_BASE + memory.ramSize) / 4096);
  }

  watches(wasmAddress: number): boolean {
    return this.pages[wasmAddress >>> 12] !== 0;
  }

  /** An entry was read from here by a walk. */
  watch(wasmAddress: number): void {
    if (this.watches(wasmAddress)) return;
    this.pages[wasmAddress >>> 12] = 1;
    this.pageWatched(pageOf(wasmAddress));
  }

  /** To be called before a store to a watched page, and `stored` after it. It does not cross the page. */
  storing(wasmAddress: number, size: number): void {
    this.before[0] = this.entryAt(wasmAddress);
    this.before[1] = this.entryAt(wasmAddress + size - 1);
  }

  stored(wasmAddress: number, size: number, writer: TableWriter): void {
    const first = this.compare(wasmAddress, this.before[0] ?? 0n, writer);
    const last = this.compare(wasmAddress + size - 1, this.before[1] ?? 0n, writer);
    if (first || last) this.changed();
  }

  /** Bytes changed that nobody announced: DMA. */
  overwritten(wasmAddress: number, size: number, writer: TableWriter): void {
    for (let at = wasmAddress - (wasmAddress % 8); at < wasmAddress + size; at += 8) {
      if (!this.watches(at)) continue;
      this.record(at, this.entryAt(at), this.entryAt(at), writer);
      this.changed();
    }
  }

  /** The latest change of the entry at a host-physical address */
  changeOf(hostPhysical: number): TableChange | undefined {
    return this.changes.get(hostPhysical - (hostPhysical % 8));
  }

  save(): TableWatchState {
    const pages: number[] = [];
    this.pages.forEach((watched, page) => watched && pages.push(page));
    return { sequence: this.sequence, pages, changes: new Map(this.changes) };
  }

  /** Nothing may hold a write tag then. */
  restore(saved: TableWatchState): void {
    this.sequence = saved.sequence;
    this.pages.fill(0);
    for (const page of saved.pages) this.pages[page] = 1;
    this.changes = new Map(saved.changes);
  }

  private compare(wasmAddress: number, before: bigint, writer: TableWriter): boolean {
    const after = this.entryAt(wasmAddress);
    if (after === before) return false;
    this.record(wasmAddress, before, after, writer);
    return true;
  }

  private record(wasmAddress: number, before: bigint, after: bigint, writer: TableWriter): void {
    this.sequence++;
    const key = wasmAddress - (wasmAddress % 8) - RAM_BASE;
    this.changes.set(key, { sequence: this.sequence, before, after, writer });
  }

  private entryAt(wasmAddress: number): bigint {
    return this.view.getBigUint64(wasmAddress - (wasmAddress % 8), true);
  }
}
