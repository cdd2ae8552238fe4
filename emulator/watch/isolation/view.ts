import type { Range } from './areas';
import { TableTree, type MappingSink, type Node, type TreePath } from './table-tree';
import type { TableFormat } from './table-format';
import type { TablePages } from './table-pages';

const PAGE = 4096;

/** The pages that are looked at: all of RAM, and single pages of devices. */
export interface PageSpace {
  readonly ramPages: number;
  /** Host-physical page numbers beyond RAM */
  readonly others: readonly number[];
}

/**
 * What one tree of tables lets its users reach: for each page how many mappings allow reading, writing and executing.
 * Changes are collected until they are taken.
 */
export class View implements MappingSink {
  readonly tree: TableTree;
  /** Grows whenever a right is taken away: what processors remember may be stale then. */
  revocations = 0;
  private readonly reads: Counts;
  private readonly writes: Counts;
  private readonly executes: Counts;
  /** Mappings of a page, with whatever right */
  private readonly mappings: Counts;
  private readonly marks = new Set<number>();
  /** The entry that changed the mapping of a page last */
  private readonly entries = new Map<number, number>();

  /** @param shared addresses (not host-physical) whose mappings do not count */
  constructor(
    pages: TablePages,
    byPage: Map<number, Set<Node>>,
    readonly format: TableFormat,
    readonly root: number,
    private readonly space: PageSpace,
    private readonly shared: readonly Range[] = [],
  ) {
    this.reads = new Counts(space);
    this.writes = new Counts(space);
    this.executes = new Counts(space);
    this.mappings = new Counts(space);
    this.tree = new TableTree(pages, byPage, format, root, space.ramPages, this);
  }

  /** Bits of Right */
  rights(page: number): number {
    return (this.reads.of(page) ? 1 : 0) | (this.writes.of(page) ? 2 : 0) | (this.executes.of(page) ? 4 : 0);
  }

  maps(page: number): boolean {
    return this.mappings.of(page) !== 0;
  }

  /** At how many addresses */
  addressesOf(page: number): number {
    return this.mappings.of(page);
  }

  paths(page: number, most?: number): TreePath[] {
    return this.tree.find(page, most);
  }

  /** Host-physical address of the entry that changed the page's mapping last */
  entryOf(page: number): number | undefined {
    return this.entries.get(page);
  }

  /** Moves the pages whose mapping has changed since the last call to a set. */
  takeChanges(to: Set<number>): void {
    for (const page of this.marks) to.add(page);
    this.marks.clear();
  }

  mapped(page: number, count: number, rights: number, input: number, entryAddress: number): void {
    this.add(page, count, rights, input, entryAddress, 1);
  }

  unmapped(page: number, count: number, rights: number, input: number, entryAddress: number): void {
    this.revocations++;
    this.add(page, count, rights, input, entryAddress, -1);
  }

  private add(first: number, count: number, rights: number, input: number, entry: number, by: 1 | -1): void {
    const { ramPages, others } = this.space;
    const end = first + count;
    for (let page = first; page < Math.min(end, ramPages); page++)
      this.addPage(page, rights, input + (page - first) * PAGE, entry, by);
    if (end > ramPages)
      for (const page of others)
        if (page >= first && page < end) this.addPage(page, rights, input + (page - first) * PAGE, entry, by);
  }

  private addPage(page: number, rights: number, input: number, entry: number, by: 1 | -1): void {
    if (this.shared.length > 0 && this.isShared(input)) return;
    if (rights & 1) this.reads.add(page, by);
    if (rights & 2) this.writes.add(page, by);
    if (rights & 4) this.executes.add(page, by);
    this.mappings.add(page, by);
    this.entries.set(page, entry);
    this.marks.add(page);
  }

  private isShared(input: number): boolean {
    const address = BigInt(input);
    return this.shared.some(({ start, end }) => address + BigInt(PAGE) > start && address < end);
  }
}

/** A number for each page that is looked at. */
class Counts {
  private readonly ram: Uint16Array;
  private readonly others = new Map<number, number>();

  constructor({ ramPages }: PageSpace) {
    this.ram = new Uint16Array(ramPages);
  }

  of(page: number): number {
    return page < this.ram.length ? (this.ram[page] ?? 0) : (this.others.get(page) ?? 0);
  }

  add(page: number, by: number): void {
    if (page < this.ram.length) this.ram[page] = (this.ram[page] ?? 0) + by;
    else this.others.set(page, this.of(page) + by);
  }
}
