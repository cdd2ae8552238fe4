import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { hostPhysical } from '../memory/address';
import { BEYOND_PHYSICAL } from './capabilities';
import type { VmxCore } from './core';

/** PAE paging: the processor holds four page-directory-pointer-table entries (SDM vol. 3, 4.4.1). */
export const usesPdptes = (cr0: bigint, cr4: bigint, efer: bigint): boolean =>
  (cr0 & Cr0.PG) !== 0n && (cr4 & Cr4.PAE) !== 0n && (efer & Efer.LMA) === 0n;

/** The page-directory-pointer table at CR3, read from host-physical memory */
export const readPdptes = (core: VmxCore, cr3: bigint): bigint[] =>
  [0n, 8n, 16n, 24n].map((offset) => core.cpu.physical.read64(hostPhysical((cr3 & 0xffff_ffe0n) + offset)));

/** Bits 2:1, 8:5 and those beyond the physical-address width (SDM vol. 3, table 4-8) */
const RESERVED = 0x1e6n | BEYOND_PHYSICAL;

/** Not present, or no reserved bit set */
export const pdpteValid = (entry: bigint): boolean => (entry & 1n) === 0n || (entry & RESERVED) === 0n;
