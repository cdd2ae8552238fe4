import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment, State } from '../memory/layout';
import type { Processor } from './processor';

/** CR4 bits of features that CPUID announces; all others are reserved. VMXE is added when VT-x is present. */
export const CR4_SUPPORTED =
  Cr4.TSD |
  Cr4.DE |
  Cr4.PSE |
  Cr4.PAE |
  Cr4.MCE |
  Cr4.PGE |
  Cr4.OSFXSR |
  Cr4.UMIP |
  Cr4.PCIDE |
  Cr4.OSXSAVE |
  Cr4.SMEP |
  Cr4.SMAP;
const EFER_SUPPORTED = Efer.SCE | Efer.LME | Efer.LMA | Efer.NXE;
const CR0_DEFINED = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;
/** Changes of these reload the PDPTEs in PAE paging (SDM vol. 3, 4.4.1). */
const CR0_PDPTE = Cr0.PG | Cr0.CD | Cr0.NW;
const CR4_PDPTE = Cr4.PAE | Cr4.PGE | Cr4.PSE | Cr4.SMEP;
/** Changes that invalidate the mappings of the current PCID (SDM vol. 3, 4.10.4.1); PSE changes what the tables mean. */
const CR4_FLUSH = Cr4.PAE | Cr4.PSE | Cr4.SMEP;
const CR3_RESERVED = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n);
const CR3_PCID = 0xfffn;
/** MOV to CR3 with CR4.PCIDE: nothing is invalidated */
const CR3_KEEP = 1n << 63n;
const BUSY_TSS_16 = 3;

/** Bits that this processor lets CR4 have, apart from what VMX operation fixes. */
export const cr4Supported = (cpu: Processor): bigint =>
  CR4_SUPPORTED | (cpu.virtualization.present ? Cr4.VMXE : 0n) | (cpu.saferMode ? Cr4.SMXE : 0n);

/** The current PCID: 0 without CR4.PCIDE (SDM vol. 3, 4.10.1) */
export const pcidOf = ({ state }: Processor): number => (state.cr4 & Cr4.PCIDE ? Number(state.cr3 & CR3_PCID) : 0);

const vpid = (cpu: Processor): number => cpu.state.get32(State.VPID) & 0xffff;
const generalProtection = (cpu: Processor): Error => cpu.fault(Vector.GP, 0);
const paePaging = (cr0: bigint, cr4: bigint, efer: bigint): boolean =>
  (cr0 & Cr0.PG) !== 0n && (cr4 & Cr4.PAE) !== 0n && (efer & Efer.LMA) === 0n;

/**
 * MOV to CR0, and what LMSW and CLTS come to (SDM vol. 2, "MOV-Move to/from Control Registers"; vol. 3, 2.5, 4.1.2 and
 * 10.8.5). Raises #GP(0) for every illegal combination before anything changes.
 */
export function writeCr0(cpu: Processor, requested: bigint): void {
  const { state, virtualization } = cpu;
  if (requested >> 32n) throw generalProtection(cpu);
  const old = state.cr0;
  const value = (virtualization.ownedCr0(requested) & CR0_DEFINED) | Cr0.ET;
  if ((value & Cr0.NW && !(value & Cr0.CD)) || (value & Cr0.PG && !(value & Cr0.PE))) throw generalProtection(cpu);
  if (!virtualization.fixedCr0(value)) throw generalProtection(cpu);
  let { efer } = state;
  const codeAccess = state.segmentAccess(Segment.CS);
  if (value & ~old & Cr0.PG && efer & Efer.LME) {
    const longCode = (codeAccess & AccessRights.LONG) !== 0;
    const task16 = (state.segmentAccess(Segment.TR) & AccessRights.TYPE) === BUSY_TSS_16;
    if (!(state.cr4 & Cr4.PAE) || longCode || task16) throw generalProtection(cpu);
    efer |= Efer.LMA;
  }
  if (old & ~value & Cr0.PG) {
    if (cpu.codeSize === 64 || state.cr4 & Cr4.PCIDE) throw generalProtection(cpu);
    efer &= ~Efer.LMA;
  }
  const reload = paePaging(value, state.cr4, efer) && ((value ^ old) & CR0_PDPTE) !== 0n;
  if (reload && !cpu.loadPdptes(state.cr3)) throw generalProtection(cpu);
  state.cr0 = value;
  state.efer = efer;
  if ((value ^ old) & (Cr0.PG | Cr0.PE)) cpu.tlb.flushVpid(vpid(cpu));
  if (!(value & Cr0.PE)) enterRealMode(cpu);
  cpu.contextChanged();
  cpu.taps.controlRegister?.(0, value, cpu.index);
}

/** Clearing PE: the privilege level is 0; hidden parts of segment registers stay (SDM vol. 3, 10.9.2). */
function enterRealMode(cpu: Processor): void {
  const ss = cpu.state.segment(Segment.SS);
  cpu.state.setSegment(Segment.SS, { ...ss, access: ss.access & ~(3 << AccessRights.DPL_SHIFT) });
}

/**
 * MOV to CR3: invalidates what is not global of the PCID that it selects, unless bit 63 says with CR4.PCIDE that this
 * PCID's mappings are still good (SDM vol. 3, 4.10.4.1). Bit 63 is not kept.
 */
export function writeCr3(cpu: Processor, requested: bigint): void {
  const { state } = cpu;
  const pcids = (state.cr4 & Cr4.PCIDE) !== 0n;
  const value = pcids ? requested & ~CR3_KEEP : requested;
  if (cpu.longMode && value & CR3_RESERVED) throw generalProtection(cpu);
  if (paePaging(state.cr0, state.cr4, state.efer) && !cpu.loadPdptes(value)) throw generalProtection(cpu);
  state.cr3 = value;
  if (value === requested) cpu.tlb.flushPcid(vpid(cpu), pcidOf(cpu));
  cpu.contextChanged();
  cpu.taps.controlRegister?.(3, value, cpu.index);
}

/** MOV to CR4 (SDM vol. 3, 2.5). */
export function writeCr4(cpu: Processor, requested: bigint): void {
  const { state, virtualization } = cpu;
  if (requested & ~cr4Supported(cpu)) throw generalProtection(cpu);
  const old = state.cr4;
  const value = virtualization.ownedCr4(requested);
  if (!virtualization.fixedCr4(value)) throw generalProtection(cpu);
  if (cpu.longMode && !(value & Cr4.PAE)) throw generalProtection(cpu);
  // PCIDs begin in IA-32e mode with PCID 0 (SDM vol. 3, 4.10.1).
  if (value & ~old & Cr4.PCIDE && (!cpu.longMode || state.cr3 & CR3_PCID)) throw generalProtection(cpu);
  const reload = paePaging(state.cr0, value, state.efer) && ((value ^ old) & CR4_PDPTE) !== 0n;
  if (reload && !cpu.loadPdptes(state.cr3)) throw generalProtection(cpu);
  state.cr4 = value;
  if ((value ^ old) & Cr4.PGE || old & ~value & Cr4.PCIDE) cpu.tlb.flushVpid(vpid(cpu));
  else if ((value ^ old) & CR4_FLUSH) cpu.tlb.flushPcid(vpid(cpu), pcidOf(cpu), false);
  cpu.contextChanged();
  cpu.taps.controlRegister?.(4, value, cpu.index);
}

/** WRMSR to IA32_EFER; false when it must raise #GP(0). LMA is read-only and ignored (SDM vol. 3, 2.2.1). */
export function writeEfer(cpu: Processor, value: bigint): boolean {
  const { state } = cpu;
  if (value & ~EFER_SUPPORTED) return false;
  const old = state.efer;
  if ((value ^ old) & Efer.LME && state.cr0 & Cr0.PG) return false;
  state.efer = (value & ~Efer.LMA) | (old & Efer.LMA);
  cpu.contextChanged();
  return true;
}
