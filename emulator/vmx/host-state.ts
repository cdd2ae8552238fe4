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
const UNUSABLE = AccessRights.UNUSABLE;
const CODE = 0xb | AccessRights.CODE_OR_DATA | AccessRights.PRESENT | AccessRights.GRANULARITY;
const DATA =
  0x3 | AccessRights.CODE_OR_DATA | AccessRights.PRESENT | AccessRights.GRANULARITY | AccessRights.DEFAULT_BIG;
const BUSY_TSS = 0xb | AccessRights.PRESENT;
const FLAT_LIMIT = 0xffff_ffff;
const TSS_LIMIT = 0x67;
const RSP = 4;
/** No slot: the value is 0 */
const NONE = 0;
const CODE_SEGMENT = State.SEGMENTS + Segment.CS * 32;

interface HostSegment {
  /** Offset in the state block */
  readonly at: number;
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly access: number;
}

const hostSegment = (segment: Segment, selector: number, base: number, limit: number, access: number): HostSegment => ({
  at: State.SEGMENTS + segment * 32,
  selector,
  base,
  limit,
  access,
});

/** What becomes of each segment register. CS and TR are never null (a check of VM entry), LDTR always. */
const HOST_SEGMENTS: readonly HostSegment[] = [
  hostSegment(Segment.CS, Slot.HOST_CS_SELECTOR, NONE, FLAT_LIMIT, CODE),
  hostSegment(Segment.SS, Slot.HOST_SS_SELECTOR, NONE, FLAT_LIMIT, DATA),
  hostSegment(Segment.DS, Slot.HOST_DS_SELECTOR, NONE, FLAT_LIMIT, DATA),
  hostSegment(Segment.ES, Slot.HOST_ES_SELECTOR, NONE, FLAT_LIMIT, DATA),
  hostSegment(Segment.FS, Slot.HOST_FS_SELECTOR, Slot.HOST_FS_BASE, FLAT_LIMIT, DATA),
  hostSegment(Segment.GS, Slot.HOST_GS_SELECTOR, Slot.HOST_GS_BASE, FLAT_LIMIT, DATA),
  hostSegment(Segment.TR, Slot.HOST_TR_SELECTOR, Slot.HOST_TR_BASE, TSS_LIMIT, BUSY_TSS),
  hostSegment(Segment.LDTR, NONE, NONE, 0, 0),
];
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
  vmcs.load(State.RIP, Slot.HOST_RIP);
  vmcs.load(State.GPR + RSP * 8, Slot.HOST_RSP);
  state.rflags = Rflags.FIXED;
  state.set32(State.ACTIVITY, 0);
  state.set32(State.INTERRUPTIBILITY, nmiBlocked ? INTERRUPTIBILITY_NMI : 0);
  clear(core, State.PENDING_DEBUG);
  state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~8);
  return !usesPdptes(state.cr0, state.cr4, state.efer) || loadHostPdptes(core);
}

/** Root operation: no VPID, no EPT, no TSC offset, no timer. Without VPIDs the mappings of VPID 0 go (29.4.3.1). */
function leaveGuestTranslation(core: VmxCore): void {
  const { cpu } = core;
  const { state } = cpu;
  if (!(core.secondaryControls & Secondary.ENABLE_VPID)) cpu.tlb.flushVpid(0);
  state.set32(State.VMX_ROOT, 1);
  clear(core, State.TSC_OFFSET);
  clear(core, State.EPTP);
  clear(core, State.EPT_CONTROLS);
  clear(core, State.VPID);
  core.stopTimer();
}

function clear(core: VmxCore, offset: number): void {
  core.cpu.state.set32(offset, 0);
  core.cpu.state.set32(offset + 4, 0);
}

/** SDM vol. 3, 28.5.1 */
function loadControlRegisters(core: VmxCore, host64: boolean): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  const controls = vmcs.get32(Slot.EXIT_CONTROLS);
  state.cr0 = (state.cr0 & CR0_UNTOUCHED) | (vmcs.get64(Slot.HOST_CR0) & ~CR0_UNTOUCHED);
  vmcs.load(State.CR3, Slot.HOST_CR3);
  const cr4 = vmcs.get64(Slot.HOST_CR4);
  state.cr4 = host64 ? cr4 | Cr4.PAE : cr4 & ~Cr4.PCIDE;
  state.set64(State.DR + 5 * 8, DR7_RESET);
  clear(core, State.DEBUGCTL);
  state.set64(State.SYSENTER_CS, BigInt(vmcs.get32(Slot.HOST_IA32_SYSENTER_CS)));
  vmcs.load(State.SYSENTER_ESP, Slot.HOST_IA32_SYSENTER_ESP);
  vmcs.load(State.SYSENTER_EIP, Slot.HOST_IA32_SYSENTER_EIP);
  const efer = controls & Exit.LOAD_EFER ? vmcs.get64(Slot.HOST_IA32_EFER) : state.efer;
  const mode = Efer.LMA | Efer.LME;
  state.efer = host64 ? efer | mode : efer & ~mode;
  if (controls & Exit.LOAD_PAT) vmcs.load(State.PAT, Slot.HOST_IA32_PAT);
}

/** SDM vol. 3, 28.5.2. A null selector makes a data segment unusable; FS and GS have their base all the same. */
function loadSegments(core: VmxCore, host64: boolean): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  for (const { at, selector, base, limit, access } of HOST_SEGMENTS) {
    const value = selector === NONE ? 0 : vmcs.get32(selector);
    const mode = at === CODE_SEGMENT ? (host64 ? AccessRights.LONG : AccessRights.DEFAULT_BIG) : 0;
    state.set32(at, value);
    state.set32(at + 4, value === 0 ? access | UNUSABLE : access | mode);
    state.set32(at + 8, limit);
    if (base === NONE) clear(core, at + 16);
    else vmcs.load(at + 16, base);
  }
  vmcs.load(State.GDTR, Slot.HOST_GDTR_BASE);
  state.set32(State.GDTR + 8, 0xffff);
  vmcs.load(State.IDTR, Slot.HOST_IDTR_BASE);
  state.set32(State.IDTR + 8, 0xffff);
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
