import { SECOND_STAGE } from '../../devices/iommu/second-stage';
import { misconfigured } from '../../memory/ept-walker';
import { EPT, EPT_5, type PagingLevel } from '../../memory/paging-format';

/** Rights in the order of EPT entries; those of the IOMMU are the same but for EXECUTE. */
export const Right = { READ: 1, WRITE: 2, EXECUTE: 4, ALL: 7 } as const;

/** How the sanitizer reads the entries of one kind of table. */
export interface TableFormat {
  readonly name: string;
  readonly levels: readonly PagingLevel[];
  /** What the entry allows; 0: it maps nothing, or faults for a reserved bit */
  rights(low: number, high: number, leaf: boolean, level: PagingLevel): number;
}

const LEAF = 0x80;
/** Bit 10: execute for user-mode linear addresses, with mode-based execute control */
const EXECUTE_USER = 0x400;

export const isLeaf = (level: PagingLevel, low: number): boolean =>
  level.leaf === 'always' || (level.leaf === 'bit 7' && (low & LEAF) !== 0);

function ept(levels: readonly PagingLevel[], name: string, modeBased: boolean): TableFormat {
  return {
    name,
    levels,
    rights: (low, high, leaf, level) => {
      const rights = (low & 7) | (modeBased && low & EXECUTE_USER ? Right.EXECUTE : 0);
      if (rights === 0 || misconfigured(low, high, leaf, level.reservedLow, level.reservedLeafLow)) return 0;
      return rights;
    },
  };
}

/** The format that an EPT pointer and the controls beside it choose */
export function eptFormat(levels: number, modeBased: boolean): TableFormat {
  return levels === 5 ? ept(EPT_5.levels, 'EPT', modeBased) : ept(EPT.levels, 'EPT', modeBased);
}

/** By the AW field of a context entry; undefined: reserved */
export function secondStageFormat(width: number): TableFormat | undefined {
  const format = SECOND_STAGE[width];
  if (!format) return undefined;
  return {
    name: 'second stage',
    levels: format.levels,
    rights: (low, high, leaf, level) => {
      if (high & format.reservedHigh || low & (leaf ? level.reservedLeafLow : level.reservedLow)) return 0;
      return low & 3;
    },
  };
}
