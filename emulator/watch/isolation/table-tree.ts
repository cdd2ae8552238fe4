import { isLeaf, type TableFormat } from './table-format';
import type { TablePage, TablePages } from './table-pages';

const INDEX_MASK = 0x1ff;
const PAGE = 4096;
const TWO_32 = 0x1_0000_0000;
/** Tables of one tree; beyond that it must refer to itself */
const MOST_NODES = 1 << 16;

/** Told of each range of host-physical pages, RAM or not, that the tree begins or ceases to map. */
export interface MappingSink {
  mapped(page: number, count: number, rights: number, input: number, entryAddress: number): void;
  unmapped(page: number, count: number, rights: number, input: number, entryAddress: number): void;
}

/** One use of a table: where its entries lie, for which addresses, with which rights above it. */
export interface Node {
  readonly tree: TableTree;
  readonly table: TablePage;
  readonly depth: number;
  /** First address that it translates */
  readonly input: number;
  readonly rights: number;
  readonly children: Map<number, Node>;
}

/** One entry on the way to a page. */
export interface TreeStep {
  readonly name: string;
  readonly address: number;
  readonly value: bigint;
}

/** A way through the tree to a page. */
export interface TreePath {
  readonly steps: readonly TreeStep[];
  /** The address that is translated to the page's first byte */
  readonly input: number;
  readonly rights: number;
}

/**
 * A tree of translation tables as it was at the last check, kept in step by the entries that changed since. What it maps
 * goes to a sink, once for each mapping: a page may be mapped at several addresses.
 */
export class TableTree {
  /** It is larger than any sane tree, or refers to itself: not all of it is known. */
  unwalkable = false;
  private nodes = 0;
  private root: Node | undefined;

  constructor(
    private readonly pages: TablePages,
    private readonly byPage: Map<number, Set<Node>>,
    readonly format: TableFormat,
    /** Host-physical address of the first table */
    readonly rootAddress: number,
    private readonly ramPages: number,
    private readonly sink: MappingSink,
  ) {
    this.root = this.grow(rootAddress / PAGE, 0, 0, 7);
  }

  dispose(): void {
    if (this.root) this.fell(this.root);
    this.root = undefined;
  }

  /** Ways to a page, at most so many. */
  find(page: number, most = 2): TreePath[] {
    const found: TreePath[] = [];
    const visit = (node: Node, above: readonly TreeStep[]): void => {
      const level = node.tree.format.levels[node.depth];
      for (let index = 0; level && index <= INDEX_MASK && found.length < most; index++) {
        const low = node.table.words[index * 2] ?? 0;
        const high = node.table.words[index * 2 + 1] ?? 0;
        const leaf = isLeaf(level, low);
        const rights = node.rights & this.format.rights(low, high, leaf, level);
        if (rights === 0) continue;
        const value = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
        const steps = [...above, { name: level.name, address: node.table.page * PAGE + index * 8, value }];
        const child = node.children.get(index);
        if (child) visit(child, steps);
        if (!leaf) continue;
        const first = firstPage(low, high, level.span);
        if (page < first || page >= first + level.span / PAGE) continue;
        found.push({ steps, rights, input: node.input + index * level.span + (page - first) * PAGE });
      }
    };
    if (this.root) visit(this.root, []);
    return found;
  }

  private grow(page: number, depth: number, input: number, rights: number): Node | undefined {
    // A table outside RAM reads as ones or as a device: it maps nothing that concerns us.
    if (page >= this.ramPages) return undefined;
    if (this.nodes >= MOST_NODES) {
      this.unwalkable = true;
      return undefined;
    }
    this.nodes++;
    const table = this.pages.acquire(page);
    const node: Node = { tree: this, table, depth, input, rights, children: new Map() };
    let uses = this.byPage.get(page);
    if (!uses) this.byPage.set(page, (uses = new Set()));
    uses.add(node);
    const { words } = table;
    for (let index = 0; index <= INDEX_MASK; index++) {
      const low = words[index * 2] ?? 0;
      const high = words[index * 2 + 1] ?? 0;
      if ((low | high) !== 0) this.graft(node, index, low, high);
    }
    return node;
  }

  private fell(node: Node): void {
    const { words, page } = node.table;
    for (let index = 0; index <= INDEX_MASK; index++) {
      const low = words[index * 2] ?? 0;
      if (low !== 0) this.cut(node, index, low, words[index * 2 + 1] ?? 0);
    }
    const uses = this.byPage.get(page);
    uses?.delete(node);
    if (uses?.size === 0) this.byPage.delete(page);
    this.nodes--;
    this.pages.release(node.table);
  }

  /** What an entry maps, or leads to, from now on */
  graft(node: Node, index: number, low: number, high: number): void {
    const level = this.format.levels[node.depth];
    if (!level) return;
    const leaf = isLeaf(level, low);
    const rights = node.rights & this.format.rights(low, high, leaf, level);
    if (rights === 0) return;
    const input = node.input + index * level.span;
    if (leaf) {
      const first = firstPage(low, high, level.span);
      this.sink.mapped(first, level.span / PAGE, rights, input, node.table.page * PAGE + index * 8);
      return;
    }
    const child = this.grow(firstPage(low, high, PAGE), node.depth + 1, input, rights);
    if (child) node.children.set(index, child);
  }

  /** What it mapped, or led to, until now */
  cut(node: Node, index: number, low: number, high: number): void {
    const child = node.children.get(index);
    if (child) {
      this.fell(child);
      node.children.delete(index);
      return;
    }
    const level = this.format.levels[node.depth];
    if (!level || !isLeaf(level, low)) return;
    const rights = node.rights & this.format.rights(low, high, true, level);
    if (rights === 0) return;
    const first = firstPage(low, high, level.span);
    const input = node.input + index * level.span;
    this.sink.unmapped(first, level.span / PAGE, rights, input, node.table.page * PAGE + index * 8);
  }
}

/** Number of the page that an entry leads to */
export function firstPage(low: number, high: number, span: number): number {
  const base = (high & 0xfffff) * TWO_32 + ((low & 0xfffff000) >>> 0);
  return (base - (base % span)) / PAGE;
}

/**
 * Brings every tree that uses a table in step with the table's page in RAM. The deepest uses first: a table may lead to
 * itself, and then cutting one use fells another.
 */
export function refresh(pages: TablePages, byPage: Map<number, Set<Node>>, table: TablePage): void {
  const now = pages.now(table.page);
  const { words } = table;
  for (let at = 0; at < words.length; at += 2) {
    const [low = 0, high = 0] = [words[at], words[at + 1]];
    const [newLow = 0, newHigh = 0] = [now[at], now[at + 1]];
    if (low === newLow && high === newHigh) continue;
    const index = at / 2;
    const uses = [...(byPage.get(table.page) ?? [])].sort((a, b) => b.depth - a.depth);
    const isUsed = (node: Node): boolean => byPage.get(table.page)?.has(node) === true;
    words[at] = words[at + 1] = 0;
    for (const node of uses) if (isUsed(node)) node.tree.cut(node, index, low, high);
    words[at] = newLow;
    words[at + 1] = newHigh;
    for (const node of uses) if (isUsed(node)) node.tree.graft(node, index, newLow, newHigh);
  }
}
