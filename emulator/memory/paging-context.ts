import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { LEGACY, LEGACY_PSE, LONG_MODE, PAE, type PagingFormat } from './paging-format';

/** The registers that decide how a linear address is translated. */
export interface PagingRegisters {
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** 0 when EPT is not in use */
  readonly eptp: bigint;
  /** Bits of EptControl; 0 when left out */
  readonly eptControls?: number;
}

/** What of EPT is on besides the EPT pointer: bits of State.EPT_CONTROLS. */
export const EptControl = {
  MODE_BASED_EXECUTE: 1,
  PAGE_MODIFICATION_LOG: 2,
} as const;

const BITS_51_12 = 0xffffffffff000n;
/** PAE: the page-directory-pointer table is 32-byte aligned and below 4 GByte (SDM vol. 3, table 4-7). */
const PAE_ROOT = 0xffffffe0n;
const LEGACY_ROOT = 0xfffff000n;

/**
 * PagingRegisters digested for the walker. Addresses are kept as `number` here and inside the walker: a physical
 * address has at most 52 bits, which a double holds exactly, and a walk is the hottest code outside WebAssembly.
 */
export class PagingContext {
  /** VPID in bits 15:0, PCID in bits 27:16: tags of what walks cache */
  tag = 0;
  /** Undefined when paging is off */
  format: PagingFormat | undefined;
  root = 0;
  /** PAE: the four PDPTE registers as low and high halves; when `hasPdptes` is false they are read from memory. */
  readonly pdptes = new Uint32Array(8);
  hasPdptes = false;
  writeProtect = false;
  noExecute = false;
  smep = false;
  smap = false;
  global = false;
  eptInUse = false;
  eptRoot = 0;
  /** EPTP bits 51:12: the other tag */
  eptRootPage = 0;
  /** Levels of the extended page tables: 4 or 5 */
  eptLevels = 4;
  eptAccessedDirty = false;
  modeBasedExecute = false;
  logsModifications = false;
  /** Host-physical APIC-access page, to whose addresses no guest-physical access gets; -1: there is none */
  apicAccessPage = -1;

  set({ cr0, cr3, cr4, efer, eptp, eptControls = 0 }: PagingRegisters): this {
    const paging = (cr0 & Cr0.PG) !== 0n;
    const pae = (cr4 & Cr4.PAE) !== 0n;
    const long = (efer & Efer.LMA) !== 0n;
    this.format = !paging ? undefined : long ? LONG_MODE : pae ? PAE : cr4 & Cr4.PSE ? LEGACY_PSE : LEGACY;
    this.root = Number(cr3 & (long ? BITS_51_12 : pae ? PAE_ROOT : LEGACY_ROOT));
    this.hasPdptes = false;
    this.writeProtect = (cr0 & Cr0.WP) !== 0n;
    // Execute-disable exists only with PAE or 4-level paging (SDM vol. 3, 4.1.1).
    this.noExecute = pae && (efer & Efer.NXE) !== 0n;
    this.smep = (cr4 & Cr4.SMEP) !== 0n;
    this.smap = (cr4 & Cr4.SMAP) !== 0n;
    this.global = (cr4 & Cr4.PGE) !== 0n;
    this.eptInUse = eptp !== 0n;
    this.eptRoot = Number(eptp & BITS_51_12);
    this.eptRootPage = this.eptRoot / 4096;
    const eptFlags = Number(eptp & 0x78n);
    this.eptLevels = (eptFlags >> 3) % 8 === 4 ? 5 : 4;
    this.eptAccessedDirty = (eptFlags & 0x40) !== 0;
    this.modeBasedExecute = (eptControls & EptControl.MODE_BASED_EXECUTE) !== 0;
    this.logsModifications = (eptControls & EptControl.PAGE_MODIFICATION_LOG) !== 0;
    return this;
  }

  setPdpte(index: number, value: bigint): void {
    this.pdptes[index * 2] = Number(value & 0xffffffffn);
    this.pdptes[index * 2 + 1] = Number(value >> 32n);
    this.hasPdptes = true;
  }
}
