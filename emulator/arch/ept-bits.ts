/** EPT paging-structure entries, the EPT pointer and the qualification of EPT violations (SDM vol. 3, 29.3). */
export const EptBit = {
  READ: 1n << 0n,
  WRITE: 1n << 1n,
  EXECUTE: 1n << 2n,
  MEMORY_TYPE: 7n << 3n,
  IGNORE_PAT: 1n << 6n,
  /** 1: maps a 1-GByte or 2-MByte page (levels 3 and 2) */
  LARGE: 1n << 7n,
  ACCESSED: 1n << 8n,
  DIRTY: 1n << 9n,
  EXECUTE_USER: 1n << 10n,
  SUPPRESS_VE: 1n << 63n,
} as const;

export const EptPointer = {
  MEMORY_TYPE: 7n,
  /** Page-walk length minus 1 */
  WALK_LENGTH_SHIFT: 3n,
  WALK_LENGTH: 7n << 3n,
  ACCESSED_DIRTY: 1n << 6n,
  SUPERVISOR_SHADOW_STACK: 1n << 7n,
  RESERVED: 0xf00n,
  ADDRESS: 0x000f_ffff_ffff_f000n,
} as const;

export const MEMORY_TYPES: Readonly<Record<number, string>> = {
  0: 'UC',
  1: 'WC',
  4: 'WT',
  5: 'WP',
  6: 'WB',
  7: 'UC-',
};

export const EptViolation = {
  READ: 1n << 0n,
  WRITE: 1n << 1n,
  FETCH: 1n << 2n,
  WAS_READABLE: 1n << 3n,
  WAS_WRITABLE: 1n << 4n,
  WAS_EXECUTABLE: 1n << 5n,
  WAS_EXECUTABLE_USER: 1n << 6n,
  LINEAR_VALID: 1n << 7n,
  /** 1: access to the translation of a linear address; 0: access to a paging-structure entry */
  TRANSLATED: 1n << 8n,
  USER: 1n << 9n,
  WRITABLE_LINEAR: 1n << 10n,
  EXECUTE_DISABLE_LINEAR: 1n << 11n,
  NMI_UNBLOCKING_DUE_TO_IRET: 1n << 12n,
} as const;

/** "r-x", "---": the low three bits of an entry, or bits 5:3 of a violation's qualification shifted down. */
export const eptPermissions = (bits: bigint): string =>
  `${bits & 1n ? 'r' : '-'}${bits & 2n ? 'w' : '-'}${bits & 4n ? 'x' : '-'}`;

/**
 * Words for an EPT entry at a level (5 = PML5E .. 1 = PTE), `modeBased` with mode-based execute control: "read",
 * "write", "execute", "WB", "2-MByte page", ...
 */
export function describeEptEntry(entry: bigint, level: number, modeBased = false): string[] {
  const words: string[] = [];
  if (entry & EptBit.READ) words.push('read');
  if (entry & EptBit.WRITE) words.push('write');
  if (entry & EptBit.EXECUTE) words.push('execute');
  if (modeBased && entry & EptBit.EXECUTE_USER) words.push('user execute');
  if (words.length === 0) return entry & EptBit.SUPPRESS_VE ? ['not present', 'suppresses #VE'] : ['not present'];
  const large = (level === 2 || level === 3) && (entry & EptBit.LARGE) !== 0n;
  if (large) words.push(level === 2 ? '2-MByte page' : '1-GByte page');
  if (level === 1 || large) {
    const type = Number((entry >> 3n) & 7n);
    words.push(MEMORY_TYPES[type] ?? `reserved memory type ${type}`);
    if (entry & EptBit.IGNORE_PAT) words.push('ignore PAT');
    if (entry & EptBit.DIRTY) words.push('dirty');
  }
  if (entry & EptBit.ACCESSED) words.push('accessed');
  if (entry & EptBit.SUPPRESS_VE) words.push('suppresses #VE');
  return words;
}

/** "root 0x1000, WB, 4-level, accessed and dirty flags". */
export function describeEptPointer(eptp: bigint): string {
  const type = Number(eptp & EptPointer.MEMORY_TYPE);
  const length = Number((eptp >> EptPointer.WALK_LENGTH_SHIFT) & 7n) + 1;
  const words = [`root 0x${(eptp & EptPointer.ADDRESS).toString(16)}`, MEMORY_TYPES[type] ?? `memory type ${type}`];
  words.push(`${length}-level`);
  if (eptp & EptPointer.ACCESSED_DIRTY) words.push('accessed and dirty flags');
  return words.join(', ');
}
