import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { hostPhysical } from '../memory/address';
import { State } from '../memory/layout';
import type { CpuState } from '../cpu/state';
import { BEYOND_PHYSICAL } from './capabilities';
import type { VmxCore } from './core';

const PG = Number(BigInt.asIntN(32, Cr0.PG));
const PAE = Number(Cr4.PAE);
const LMA = Number(Efer.LMA);

/** PAE paging: the processor holds four page-directory-pointer-table entries (SDM vol. 3, 4.4.1). */
export const usesPdptes = (state: CpuState): boolean =>
  (state.get32(State.CR0) & PG) !== 0 && (state.get32(State.CR4) & PAE) !== 0 && (state.get32(State.EFER) & LMA) === 0;

/** The page-directory-pointer table at CR3, read from host-physical memory */
export const readPdptes = (core: VmxCore, cr3: bigint): bigint[] =>
  [0n, 8n, 16n, 24n].map((offset) => core.cpu.physical.read64(hostPhysical((cr3 & 0xffff_ffe0n) + offset)));

/** Bits 2:1, 8:5 and those beyond the physical-address width (SDM vol. 3, table 4-8) */
const RESERVED = 0x1e6n | BEYOND_PHYSICAL;

/** Not present, or no reserved bit set */
export const pdpteValid = (entry: bigint): boolean => (entry & 1n) === 0n || (entry & RESERVED) === 0n;
