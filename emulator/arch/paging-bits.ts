/** Bits of paging-structure entries, all formats (SDM vol. 3, 4.3 to 4.5). */
export const PagingBit = {
  PRESENT: 1n << 0n,
  WRITABLE: 1n << 1n,
  USER: 1n << 2n,
  WRITE_THROUGH: 1n << 3n,
  CACHE_DISABLE: 1n << 4n,
  ACCESSED: 1n << 5n,
  DIRTY: 1n << 6n,
  /** 1: the entry maps a page (levels above the last) */
  LARGE: 1n << 7n,
  GLOBAL: 1n << 8n,
  EXECUTE_DISABLE: 1n << 63n,
} as const;

/** Words for an entry. @param pageSize bytes that it maps, undefined when it leads to another table */
export function describePagingEntry(entry: bigint, pageSize: number | undefined): string[] {
  if (!(entry & PagingBit.PRESENT)) return ['not present'];
  const words = ['present', entry & PagingBit.WRITABLE ? 'writable' : 'read-only'];
  words.push(entry & PagingBit.USER ? 'user' : 'supervisor');
  if (entry & PagingBit.WRITE_THROUGH) words.push('write-through');
  if (entry & PagingBit.CACHE_DISABLE) words.push('cache disabled');
  if (entry & PagingBit.ACCESSED) words.push('accessed');
  if (pageSize !== undefined) {
    if (entry & PagingBit.DIRTY) words.push('dirty');
    if (entry & PagingBit.GLOBAL) words.push('global');
    if (pageSize > 4096) words.push(describeSize(pageSize));
  }
  if (entry & PagingBit.EXECUTE_DISABLE) words.push('execute-disable');
  return words;
}

const describeSize = (bytes: number): string =>
  bytes >= 1 << 30 ? `${bytes >> 30}-GByte page` : `${bytes >> 20}-MByte page`;
