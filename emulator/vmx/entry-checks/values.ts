import { BEYOND_PHYSICAL } from '../capabilities';

/** Bits 63:47 equal (SDM vol. 1, 3.3.7.1) */
export const canonical = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address);

export const withinPhysical = (address: bigint): boolean => (address & BEYOND_PHYSICAL) === 0n;

const PAT_TYPES = new Set([0, 1, 4, 5, 6, 7]);

/** Each byte is UC, WC, WT, WP, WB or UC- (SDM vol. 3, table 12-10). */
export function validPat(pat: bigint): boolean {
  for (let shift = 0n; shift < 64n; shift += 8n) if (!PAT_TYPES.has(Number((pat >> shift) & 0xffn))) return false;
  return true;
}

/** An MSR area: 16-byte aligned, first and last byte within the physical-address width (SDM vol. 3, 27.2.1.2). */
export const msrAreaAligned = (count: number, address: bigint): boolean => count === 0 || (address & 0xfn) === 0n;
export const msrAreaWithin = (count: number, address: bigint): boolean =>
  count === 0 || (withinPhysical(address) && withinPhysical(address + BigInt(count) * 16n - 1n));

/** Granularity against the limit: small limits need G = 0, large ones G = 1 (SDM vol. 3, 27.3.1.2). */
export const granularityFits = (limit: number, rights: number): boolean => {
  const g = (rights & (1 << 15)) !== 0;
  if (g && (limit & 0xfff) !== 0xfff) return false;
  return g || (limit & 0xfff0_0000) === 0;
};
