import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { Exit, Pin, Secondary } from '../arch/controls';
import { Rflags } from '../arch/flags';
import { InterruptionType, interruptionType } from '../arch/interruption';
import { AccessRights } from '../arch/segments';
import { Segment, State } from '../memory/layout';
import type { VmxCore } from './core';
import { Slot } from './vmcs';
import { pdpteValid, readPdptes, usesPdptes } from './pdptes';

/** Bits of CR0 that VM exits and entries leave alone: ET, NW, CD and the reserved ones (SDM vol. 3, 28.5.1). */
export const CR0_UNTOUCHED = Cr0.ET | Cr0.NW | Cr0.CD | 0xffff_ffff_0000_0000n | 0x1ffa_ffc0n;

const DR7_RESET = 0x400n;
const NEVER = 0xffff_ffff_ffff_ffffn;
const UNUSABLE = AccessRights.UNUSABLE;
const CODE = 0xb | AccessRights.CODE_OR_DATA | AccessRights.PRESENT | AccessRights.GRANULARITY;
const DATA =
  0x3 | AccessRights.CODE_OR_DATA | AccessRights.PRESENT | AccessRights.GRANULARITY | AccessRights.DEFAULT_BIG;
const BUSY_TSS = 0xb | AccessRights.PRESENT;
const TSS_LIMIT = 0x67;
const INTERRUPTIBILITY_NMI = 8;

/**
 * VM exit, phase "loading host state" (SDM vol. 3, 28.5). Afterwards the processor is in root operation.
 * @param nmiBlocked blocking by NMI afterwards
 * @returns false when a host PDPTE has reserved bits set
 */
export function loadHostState(core: VmxCore, nmiBlocked: boolean): boolean {
  const { cpu, vmcs } = core;
  const { state } = cpu;
  const host64 = (vmcs.get32(Slot.EXIT_CONTROLS) & Exit.HOST_ADDRESS_SPACE_SIZE) !== 0;
  leaveGuestTranslation(core);
  loadControlRegisters(core, host64);
  loadSegments(core, host64);
  state.rip = vmcs.get64(Slot.HOST_RIP);
  state.setGpr(4, vmcs.get64(Slot.HOST_RSP));
  state.rflags = Rflags.FIXED;
  state.set32(State.ACTIVITY, 0);
  state.set32(State.INTERRUPTIBILITY, nmiBlocked ? INTERRUPTIBILITY_NMI : 0);
  state.set64(State.PENDING_DEBUG, 0n);
  state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~8);
  return !usesPdptes(state.cr0, state.cr4, state.efer) || loadHostPdptes(core);
}

/** Root operation: no VPID, no EPT, no TSC offset, no timer. Without VPIDs the mappings of VPID 0 go (29.4.3.1). */
function leaveGuestTranslation(core: VmxCore): void {
  const { cpu } = core;
  const { state } = cpu;
  if (!(core.secondaryControls & Secondary.ENABLE_VPID)) cpu.tlb.flushVpid(0);
  state.set32(State.VMX_ROOT, 1);
  state.set64(State.TSC_OFFSET, 0n);
  state.set64(State.EPTP, 0n);
  state.set64(State.VPID, 0n);
  state.set64(State.PREEMPTION_DEADLINE, NEVER);
}

/** SDM vol. 3, 28.5.1 */
function loadControlRegisters(core: VmxCore, host64: boolean): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  const controls = vmcs.get32(Slot.EXIT_CONTROLS);
  state.cr0 = (state.cr0 & CR0_UNTOUCHED) | (vmcs.get64(Slot.HOST_CR0) & ~CR0_UNTOUCHED);
  state.cr3 = vmcs.get64(Slot.HOST_CR3);
  const cr4 = vmcs.get64(Slot.HOST_CR4);
  state.cr4 = host64 ? cr4 | Cr4.PAE : cr4 & ~Cr4.PCIDE;
  state.set64(State.DR + 5 * 8, DR7_RESET);
  state.set64(State.DEBUGCTL, 0n);
  state.set64(State.SYSENTER_CS, BigInt(vmcs.get32(Slot.HOST_IA32_SYSENTER_CS)));
  state.set64(State.SYSENTER_ESP, vmcs.get64(Slot.HOST_IA32_SYSENTER_ESP));
  state.set64(State.SYSENTER_EIP, vmcs.get64(Slot.HOST_IA32_SYSENTER_EIP));
  const efer = controls & Exit.LOAD_EFER ? vmcs.get64(Slot.HOST_IA32_EFER) : state.efer;
  const mode = Efer.LMA | Efer.LME;
  state.efer = host64 ? efer | mode : efer & ~mode;
  if (controls & Exit.LOAD_PAT) state.set64(State.PAT, vmcs.get64(Slot.HOST_IA32_PAT));
}

/** SDM vol. 3, 28.5.2 */
function loadSegments(core: VmxCore, host64: boolean): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  state.setSegment(Segment.CS, {
    selector: vmcs.get32(Slot.HOST_CS_SELECTOR),
    base: 0n,
    limit: 0xffff_ffff,
    access: CODE | (host64 ? AccessRights.LONG : AccessRights.DEFAULT_BIG),
  });
  loadData(core, Segment.SS, Slot.HOST_SS_SELECTOR, 0n);
  loadData(core, Segment.DS, Slot.HOST_DS_SELECTOR, 0n);
  loadData(core, Segment.ES, Slot.HOST_ES_SELECTOR, 0n);
  loadData(core, Segment.FS, Slot.HOST_FS_SELECTOR, vmcs.get64(Slot.HOST_FS_BASE));
  loadData(core, Segment.GS, Slot.HOST_GS_SELECTOR, vmcs.get64(Slot.HOST_GS_BASE));
  state.setSegment(Segment.TR, {
    selector: vmcs.get32(Slot.HOST_TR_SELECTOR),
    base: vmcs.get64(Slot.HOST_TR_BASE),
    limit: TSS_LIMIT,
    access: BUSY_TSS,
  });
  state.setSegment(Segment.LDTR, { selector: 0, base: 0n, limit: 0, access: UNUSABLE });
  state.set64(State.GDTR, vmcs.get64(Slot.HOST_GDTR_BASE));
  state.set32(State.GDTR + 8, 0xffff);
  state.set64(State.IDTR, vmcs.get64(Slot.HOST_IDTR_BASE));
  state.set32(State.IDTR + 8, 0xffff);
}

/** A null selector makes the segment unusable; FS and GS have their base all the same. */
function loadData(core: VmxCore, segment: Segment, slot: number, base: bigint): void {
  const selector = core.vmcs.get32(slot);
  core.cpu.state.setSegment(segment, {
    selector,
    base,
    limit: 0xffff_ffff,
    access: selector === 0 ? UNUSABLE | DATA : DATA,
  });
}

/** SDM vol. 3, 28.5.4: outside EPT, from host-physical memory */
function loadHostPdptes(core: VmxCore): boolean {
  const table = readPdptes(core, core.cpu.state.cr3);
  if (!table.every(pdpteValid)) return false;
  table.forEach((entry, i) => core.cpu.state.set64(State.PDPTE + i * 8, entry));
  return true;
}

/** Whether NMIs are blocked in root operation after this exit (SDM vol. 3, 28.5.5). */
export function blocksNmiAfterExit(core: VmxCore): boolean {
  const { vmcs, exit } = core;
  const byNmi = exit.reason === 0 && interruptionType(exit.interruptionInformation) === InterruptionType.NMI;
  if (byNmi) return true;
  // With virtual NMIs bit 3 is virtual-NMI blocking, and NMIs themselves are not blocked.
  if (vmcs.get32(Slot.PIN_BASED_CONTROLS) & Pin.VIRTUAL_NMIS) return false;
  return (core.cpu.state.get32(State.INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI) !== 0;
}
