import { TLB_AREA, TLB_AREA_SIZE, TlbArea } from './layout';
import type { MachineMemory } from './machine-memory';
import type { PagingContext } from './paging-context';
import type { PagingLevel } from './paging-format';
import type { EntryTable } from './sparse-entries';

const LEVELS = 4;
const ENTRIES = 64;
/** Tag, EPT root, prefix of the linear address (two words, the second with the format), rights, table page number */
const WORDS = 8;
const ROOT = 1;
const PREFIX = 2;
const PREFIX_HIGH = 3;
const RIGHTS = 4;
const TABLE = 5;
const VALID = 0x100;
const FORMAT_SHIFT = 16;
const TWO_32 = 0x100000000;
const SIZE = LEVELS * ENTRIES * WORDS;

/**
 * The paging-structure caches (SDM vol. 3, 4.10.3): what the entries above the last level came to for a prefix of a
 * linear address, tagged by VPID, PCID and EPT root. Only entries whose accessed flags are set are cached. `level` is 1
 * for page-directory entries, 2 for PDPTEs and so on. Direct-mapped in the vCPU's area of the machine's memory.
 */
export class StructureCache {
  /** Of the entry that `find` found last: guest-physical address of the table it leads to, and the rights it leaves */
  table = 0;
  rights = 0;
  private readonly words: Int32Array;
  private readonly base: number;

  constructor(memory: MachineMemory, vcpu: number) {
    this.words = memory.i32;
    this.base = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.STRUCTURES) >>> 2;
  }

  private at(level: number, prefix: number): number {
    return this.base + ((level - 1) * ENTRIES + (prefix & (ENTRIES - 1))) * WORDS;
  }

  private matches(at: number, context: PagingContext, prefix: number): boolean {
    const { words } = this;
    const high = Math.floor(prefix / TWO_32) | ((context.format?.code ?? 0) << FORMAT_SHIFT);
    return (
      words[at + PREFIX] === (prefix | 0) &&
      words[at + PREFIX_HIGH] === high &&
      words[at] === context.tag &&
      words[at + ROOT] === (context.eptRootPage | 0) &&
      ((words[at + RIGHTS] ?? 0) & VALID) !== 0
    );
  }

  /** The depth below the lowest cached entry for a linear address, 0 when there is none; `table` and `rights` are its. */
  find(context: PagingContext, levels: readonly PagingLevel[], address: number): number {
    for (let depth = levels.length - 2; depth >= 0; depth--) {
      const prefix = prefixOf(levels, depth, address);
      const at = this.at(levels.length - 1 - depth, prefix);
      if (!this.matches(at, context, prefix)) continue;
      this.rights = (this.words[at + RIGHTS] ?? 0) & ~VALID;
      this.table = ((this.words[at + TABLE] ?? 0) >>> 0) * 4096;
      return depth + 1;
    }
    return 0;
  }

  /** Caches an entry that a walk has read at a depth; its accessed flag is set. */
  fill(
    context: PagingContext,
    levels: readonly PagingLevel[],
    depth: number,
    address: number,
    table: number,
    rights: number,
  ): void {
    const { words } = this;
    const prefix = prefixOf(levels, depth, address);
    const at = this.at(levels.length - 1 - depth, prefix);
    words[at] = context.tag;
    words[at + ROOT] = context.eptRootPage;
    words[at + PREFIX] = prefix;
    words[at + PREFIX_HIGH] = Math.floor(prefix / TWO_32) | ((context.format?.code ?? 0) << FORMAT_SHIFT);
    words[at + RIGHTS] = rights | VALID;
    words[at + TABLE] = table / 4096;
  }

  /** What a page fault invalidates: all entries for the address (SDM vol. 3, 4.10.4.1) */
  forget(context: PagingContext, levels: readonly PagingLevel[], address: number): void {
    for (let depth = 0; depth < levels.length - 1; depth++) {
      const prefix = prefixOf(levels, depth, address);
      const at = this.at(levels.length - 1 - depth, prefix);
      if (this.matches(at, context, prefix)) this.words[at + RIGHTS] = 0;
    }
  }

  /** Entries whose tag, under `mask`, is `tag`: a VPID (mask FFFFH), or a VPID with its PCID */
  flush(tag: number, mask: number): void {
    const { words, base } = this;
    for (let at = base; at < base + SIZE; at += WORDS) if (((words[at] ?? 0) & mask) === tag) words[at + RIGHTS] = 0;
  }

  /** Of every VPID but 0 */
  flushVpids(): void {
    const { words, base } = this;
    for (let at = base; at < base + SIZE; at += WORDS) if (((words[at] ?? 0) & 0xffff) !== 0) words[at + RIGHTS] = 0;
  }

  flushRoot(root: number): void {
    const { words, base } = this;
    for (let at = base; at < base + SIZE; at += WORDS) if (words[at + ROOT] === (root | 0)) words[at + RIGHTS] = 0;
  }

  /** Of every EPT root: what was cached without EPT stays. */
  flushRoots(): void {
    const { words, base } = this;
    for (let at = base; at < base + SIZE; at += WORDS) if (words[at + ROOT] !== 0) words[at + RIGHTS] = 0;
  }

  clear(): void {
    this.words.fill(0, this.base, this.base + SIZE);
  }

  /** Where the entries lie, for a snapshot */
  get entries(): EntryTable {
    return { first: this.base, count: LEVELS * ENTRIES, size: WORDS, flags: RIGHTS, valid: VALID };
  }
}

const prefixOf = (levels: readonly PagingLevel[], depth: number, address: number): number =>
  Math.floor(address / (levels[depth]?.span ?? 1));
