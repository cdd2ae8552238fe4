import { BEYOND_PHYSICAL, type PagingFormat, type PagingLevel } from '../../memory/paging-format';
import { FaultReason } from './fault-reasons';
import { tableAddress, type HostMemory } from './host-memory';

const KIB = 1024;
const MIB = KIB * KIB;
const GIB = KIB * MIB;
const LARGE = 0x80;
/** Without snoop control and device TLBs, SNP (bit 11) and TM (bit 62) are reserved. */
const SNOOP = 0x800;
const TRANSIENT_MAPPING = 0x40000000;

/** These tables are never cached by the processor: one tag serves all. */
const SECOND_STAGE_CODE = 10;

const LEVELS: readonly PagingLevel[] = [
  { name: 'SS-PML4E', span: 512 * GIB, leaf: 'never', reservedLow: SNOOP | LARGE, reservedLeafLow: 0 },
  { name: 'SS-PDPTE', span: GIB, leaf: 'bit 7', reservedLow: SNOOP, reservedLeafLow: SNOOP | 0x3ffff000 },
  { name: 'SS-PDE', span: 2 * MIB, leaf: 'bit 7', reservedLow: SNOOP, reservedLeafLow: SNOOP | 0x1ff000 },
  { name: 'SS-PTE', span: 4 * KIB, leaf: 'always', reservedLow: 0, reservedLeafLow: SNOOP },
];

const format = (name: string, levels: readonly PagingLevel[], size: number): PagingFormat => ({
  name,
  code: SECOND_STAGE_CODE,
  entrySize: 8,
  indexMask: 0x1ff,
  reservedHigh: BEYOND_PHYSICAL | TRANSIENT_MAPPING,
  levels,
  size,
});

/** Second-stage tables by the AW field of a context entry (VT-d specification, "Second-Stage Paging Entries") */
export const SECOND_STAGE: Readonly<Record<number, PagingFormat>> = {
  1: format('second stage, 3 levels', LEVELS.slice(1), 512 * GIB),
  2: format('second stage, 4 levels', LEVELS, 256 * 1024 * GIB),
};

export const Right = { READ: 1, WRITE: 2 } as const;

/** Shown each entry of a walk */
export type EntrySink = (
  name: string,
  level: number,
  entryAddress: number,
  low: number,
  high: number,
  output: number,
  leaf: boolean,
) => void;

/** Walks second-stage tables; the result of the last walk is in its fields. */
export class SecondStageWalker {
  /** First byte of the page, host-physical */
  page = 0;
  pageSize = 0;
  /** AND of the R and W bits of all entries */
  rights = 0;

  constructor(private readonly memory: HostMemory) {}

  /**
   * @param needed rights that the access needs; 0 = only look
   * @returns 0, or why the request is blocked
   */
  walk(tables: PagingFormat, root: number, address: number, needed: number, sink?: EntrySink): FaultReason | 0 {
    const { levels } = tables;
    let table = root;
    this.rights = Right.READ | Right.WRITE;
    for (const [depth, level] of levels.entries()) {
      const at = table + (Math.floor(address / level.span) & tables.indexMask) * 8;
      if (!this.memory.load(at, 2)) return FaultReason.PagingAccess;
      const { low, high } = this.memory;
      const leaf = level.leaf === 'always' || (level.leaf === 'bit 7' && (low & LARGE) !== 0);
      const base = tableAddress(low, high);
      this.rights &= low;
      sink?.(level.name, levels.length - depth, at, low, high, leaf ? base + (address % level.span) : base, leaf);
      if ((this.rights & needed) !== needed || this.rights === 0) {
        return needed & Right.WRITE ? FaultReason.NotWritable : FaultReason.NotReadable;
      }
      if (high & tables.reservedHigh || low & (leaf ? level.reservedLeafLow : level.reservedLow)) {
        return FaultReason.PagingReserved;
      }
      if (leaf) {
        this.page = base;
        this.pageSize = level.span;
        return 0;
      }
      table = base;
    }
    return FaultReason.PagingAccess;
  }
}
