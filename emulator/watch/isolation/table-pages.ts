import { RAM_BASE } from '../../memory/layout';
import type { WriteWatcher } from '../../memory/write-watchers';
import type { Platform } from '../../machine/platform';
import type { Writer } from './writer';

const PAGE = 4096;
const WORDS = PAGE / 4;

/** A RAM page that holds a translation table in force, as it was at the last check. */
export interface TablePage {
  readonly page: number;
  /** Tables of how many trees lie here */
  references: number;
  readonly words: Int32Array;
}

/**
 * The pages of all tables in force. Every store to them is seen, so that a check reads again only what has changed; who
 * stored each entry last is kept.
 */
export class TablePages implements WriteWatcher {
  /** Told before a store to an entry: the page, the index of the entry's 8 bytes */
  storing: ((page: number, index: number) => void) | undefined;
  private readonly tables = new Map<number, TablePage>();
  private readonly watched: Uint8Array;
  private readonly changed = new Set<number>();
  private moved: number[] = [];
  private readonly writers = new Map<number, Writer>();
  private readonly words: Int32Array;
  private readonly end: () => void;

  constructor(
    private readonly platform: Platform,
    private readonly writer: () => Writer,
  ) {
    const { memory } = platform;
    this.watched = new Uint8Array(memory.ramSize / PAGE);
    this.words = memory.i32;
    this.end = memory.watchWrites(this);
  }

  dispose(): void {
    this.end();
  }

  get count(): number {
    return this.tables.size;
  }

  /** The words of the page in RAM now */
  now(page: number): Int32Array {
    const at = (RAM_BASE + page * PAGE) / 4;
    return this.words.subarray(at, at + WORDS);
  }

  acquire(page: number): TablePage {
    let table = this.tables.get(page);
    if (!table) {
      table = { page, references: 0, words: this.now(page).slice() };
      this.tables.set(page, table);
      this.watched[page] = 1;
      this.moved.push(page);
      this.platform.processors.current.tlb.withdrawWrite(RAM_BASE + page * PAGE);
    }
    table.references++;
    return table;
  }

  release(table: TablePage): void {
    if (--table.references > 0) return;
    this.tables.delete(table.page);
    this.changed.delete(table.page);
    this.watched[table.page] = 0;
    this.moved.push(table.page);
  }

  /** Pages that were written since the last call, in the order of the writes */
  takeChanged(): TablePage[] {
    if (this.changed.size === 0) return [];
    const pages = [...this.changed].flatMap((page) => this.tables.get(page) ?? []);
    this.changed.clear();
    return pages;
  }

  /** Pages that have become tables, or ceased to be, since the last call */
  takeMoved(): readonly number[] {
    const { moved } = this;
    if (moved.length > 0) this.moved = [];
    return moved;
  }

  isTable(page: number): boolean {
    return this.watched[page] === 1;
  }

  /** Who wrote the 8 bytes at a host-physical address last, since a table lies there */
  writerOf(address: number): Writer | undefined {
    return this.writers.get(address - (address % 8));
  }

  writing(wasmAddress: number, length: number): void {
    const first = wasmAddress - RAM_BASE;
    const last = first + length - 1;
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page++) {
      if (this.watched[page] !== 1) continue;
      this.changed.add(page);
      const from = Math.max(first, page * PAGE);
      const to = Math.min(last, page * PAGE + PAGE - 1);
      const writer = this.writer();
      for (let entry = from - (from % 8); entry <= to; entry += 8) {
        this.storing?.(page, (entry % PAGE) / 8);
        this.writers.set(entry, writer);
      }
    }
  }

  mayStore(ramPage: number): boolean {
    return this.watched[(ramPage - RAM_BASE) / PAGE] !== 1;
  }

  /** The writer of an entry is named. */
  storesAlone(wasmAddress: number): boolean {
    return this.watched[(wasmAddress - RAM_BASE) >>> 12] === 1;
  }
}
