import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';

/**
 * The formats of translation tables as data (SDM vol. 3, chapter 4, and "EPT Translation Mechanism"). The walker knows
 * no format; it follows these rows. Masks are split in the low and the high 32 bits of an entry.
 */
export interface PagingLevel {
  /** Of the entry at this level: 'PML4E', 'PDE', ... */
  readonly name: string;
  /** Bytes of linear address space that one entry covers: the page's size when the entry maps a page */
  readonly span: number;
  /** Whether an entry can map a page: never, always, or when its bit 7 is set */
  readonly leaf: 'never' | 'always' | 'bit 7';
  /** Bits that must be 0 in an entry that refers to another table */
  readonly reservedLow: number;
  /** Bits that must be 0 in an entry that maps a page */
  readonly reservedLeafLow: number;
}

export interface PagingFormat {
  readonly name: string;
  /** Tells formats apart in tags: not 0 */
  readonly code: number;
  readonly entrySize: 4 | 8;
  /** Entries of a table, minus 1 */
  readonly indexMask: number;
  /** Highest first. For PAE without the PDPTE level, which lives in registers. */
  readonly levels: readonly PagingLevel[];
  /** High-half bits that must be 0 in every entry; bit 31 (execute-disable) is judged separately */
  readonly reservedHigh: number;
  /** Bytes of address space that the format translates */
  readonly size: number;
}

const KIB = 1024;
const MIB = KIB * KIB;
const GIB = KIB * MIB;

/** Bits 51:MAXPHYADDR, in the high half */
export const BEYOND_PHYSICAL = 0xfffff & ~((1 << (PHYSICAL_ADDRESS_BITS - 32)) - 1);
/** Bits 62:52, which only PAE paging reserves */
const PAE_RESERVED = 0x7ff00000;
/** Bits 21:(M-19) of a 4-MByte page's entry, M at most 40 (SDM vol. 3, table 4-4) */
const PSE_RESERVED = 0x3fffff & ~((1 << (Math.min(PHYSICAL_ADDRESS_BITS, 40) - 19)) - 1);

export const LONG_MODE: PagingFormat = {
  name: '4-level paging',
  code: 3,
  entrySize: 8,
  indexMask: 0x1ff,
  reservedHigh: BEYOND_PHYSICAL,
  size: 256 * 1024 * GIB,
  levels: [
    { name: 'PML4E', span: 512 * GIB, leaf: 'never', reservedLow: 0x80, reservedLeafLow: 0 },
    { name: 'PDPTE', span: GIB, leaf: 'bit 7', reservedLow: 0, reservedLeafLow: 0x3fffe000 },
    { name: 'PDE', span: 2 * MIB, leaf: 'bit 7', reservedLow: 0, reservedLeafLow: 0x1fe000 },
    { name: 'PTE', span: 4 * KIB, leaf: 'always', reservedLow: 0, reservedLeafLow: 0 },
  ],
};

export const PAE: PagingFormat = {
  name: 'PAE paging',
  code: 2,
  entrySize: 8,
  indexMask: 0x1ff,
  reservedHigh: BEYOND_PHYSICAL | PAE_RESERVED,
  size: 4 * GIB,
  levels: LONG_MODE.levels.slice(2),
};

export const LEGACY: PagingFormat = {
  name: '32-bit paging',
  code: 1,
  entrySize: 4,
  indexMask: 0x3ff,
  reservedHigh: 0,
  size: 4 * GIB,
  levels: [
    { name: 'PDE', span: 4 * MIB, leaf: 'never', reservedLow: 0, reservedLeafLow: 0 },
    { name: 'PTE', span: 4 * KIB, leaf: 'always', reservedLow: 0, reservedLeafLow: 0 },
  ],
};

export const LEGACY_PSE: PagingFormat = {
  ...LEGACY,
  name: '32-bit paging with 4-MByte pages',
  code: 4,
  levels: [
    { name: 'PDE', span: 4 * MIB, leaf: 'bit 7', reservedLow: 0, reservedLeafLow: PSE_RESERVED },
    { name: 'PTE', span: 4 * KIB, leaf: 'always', reservedLow: 0, reservedLeafLow: 0 },
  ],
};

/** EPT with a page-walk length of 4. Reserved low bits: SDM vol. 3, tables "Format of an EPT ... Entry". */
export const EPT: PagingFormat = {
  name: 'EPT',
  code: 8,
  entrySize: 8,
  indexMask: 0x1ff,
  reservedHigh: BEYOND_PHYSICAL,
  size: 256 * 1024 * GIB,
  levels: [
    { name: 'EPT PML4E', span: 512 * GIB, leaf: 'never', reservedLow: 0xf8, reservedLeafLow: 0 },
    { name: 'EPT PDPTE', span: GIB, leaf: 'bit 7', reservedLow: 0x78, reservedLeafLow: 0x3ffff000 },
    { name: 'EPT PDE', span: 2 * MIB, leaf: 'bit 7', reservedLow: 0x78, reservedLeafLow: 0x1ff000 },
    { name: 'EPT PTE', span: 4 * KIB, leaf: 'always', reservedLow: 0, reservedLeafLow: 0 },
  ],
};

/** EPT with a page-walk length of 5 */
export const EPT_5: PagingFormat = {
  ...EPT,
  name: '5-level EPT',
  code: 9,
  size: 512 * EPT.size,
  levels: [
    { name: 'EPT PML5E', span: 256 * 1024 * GIB, leaf: 'never', reservedLow: 0xf8, reservedLeafLow: 0 },
    ...EPT.levels,
  ],
};

/** Bits of a PAE PDPTE that must be 0 when it is present: 63:MAXPHYADDR, 8:5 and 2:1 (SDM vol. 3, table 4-8). */
export const PDPTE_RESERVED_LOW = 0x1e6;
export const PDPTE_RESERVED_HIGH = (0xfff00000 | BEYOND_PHYSICAL) >>> 0;
