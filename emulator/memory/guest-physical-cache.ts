import { TLB_AREA, TLB_AREA_SIZE, TlbArea } from './layout';
import type { MachineMemory } from './machine-memory';
import type { EntryTable } from './sparse-entries';

const ENTRIES = 1024;
/** Guest-physical page number, EPT root, host-physical page number, flags */
const WORDS = 4;
const FLAGS = 3;

/** Flags of a mapping; the low four are permissions as in EptWalker. */
export const MappingFlag = {
  PERMISSIONS: 15,
  /** Writes need set no dirty flag. */
  DIRTY: 16,
  MODE_BASED: 32,
  VALID: 64,
} as const;

/**
 * Guest-physical mappings (SDM vol. 3, 29.4.1), of 4 KByte whatever the EPT's page size, tagged by EPT root (EPTP bits
 * 51:12). They serve every walk under that root: a forgotten INVEPT shows at linear addresses never used before.
 * Direct-mapped in the vCPU's area of the machine's memory.
 */
export class GuestPhysicalCache {
  private readonly words: Int32Array;
  private readonly base: number;

  constructor(memory: MachineMemory, vcpu: number) {
    this.words = memory.i32;
    this.base = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.GUEST_PHYSICAL) >>> 2;
  }

  private at(page: number): number {
    return this.base + (page & (ENTRIES - 1)) * WORDS;
  }

  /** Flags of the cached mapping, 0 when there is none; `page` then tells where it leads. */
  find(root: number, page: number): number {
    const { words } = this;
    const at = this.at(page);
    return words[at] === (page | 0) && words[at + 1] === (root | 0) ? (words[at + FLAGS] ?? 0) : 0;
  }

  /** The host-physical page number of a mapping that `find` found */
  target(page: number): number {
    return (this.words[this.at(page) + 2] ?? 0) >>> 0;
  }

  fill(root: number, page: number, hostPage: number, flags: number): void {
    const { words } = this;
    const at = this.at(page);
    words[at] = page;
    words[at + 1] = root;
    words[at + 2] = hostPage;
    words[at + FLAGS] = flags | MappingFlag.VALID;
  }

  /** What an EPT violation invalidates (SDM vol. 3, 29.4.3.1) */
  drop(root: number, page: number): void {
    if (this.find(root, page) !== 0) this.words[this.at(page) + FLAGS] = 0;
  }

  flushRoot(root: number): void {
    const { words, base } = this;
    for (let at = base; at < base + ENTRIES * WORDS; at += WORDS)
      if (words[at + 1] === (root | 0)) words[at + FLAGS] = 0;
  }

  clear(): void {
    this.words.fill(0, this.base, this.base + ENTRIES * WORDS);
  }

  /** Where the entries lie, for a snapshot */
  get entries(): EntryTable {
    return { first: this.base, count: ENTRIES, size: WORDS, flags: FLAGS, valid: MappingFlag.VALID };
  }
}
