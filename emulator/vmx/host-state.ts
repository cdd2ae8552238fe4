import { Cr0, Cr4, Efer } from '../arch/control-registers';
import { Exit, Pin, Secondary } from '../arch/controls';
import { Rflags } from '../arch/flags';
import { InterruptionType, interruptionType } from '../arch/interruption';
import { AccessRights } from '../arch/segments';
import { Segment, State } from '../memory/layout';
import { i32, i64, type Value } from '../wasm/expression';
import type { VmxCore } from './core';
import type { Transfer } from './state-transfer';
import { Slot } from './vmcs';
import { pdpteValid, readPdptes, usesPdptes } from './pdptes';

/** Bits of CR0 that VM exits and entries leave alone: ET, NW, CD and the reserved ones (SDM vol. 3, 28.5.1). */
export const CR0_UNTOUCHED = Cr0.ET | Cr0.NW | Cr0.CD | 0xffff_ffff_0000_0000n | 0x1ffa_ffc0n;

const DR7_RESET = 0x400;
const CR4_PAE = Number(Cr4.PAE);
const CR4_PCIDE = Number(Cr4.PCIDE);
const EFER_MODE = Number(Efer.LMA | Efer.LME);
const PENDING_MTF = 8;
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
  // Without VPIDs the mappings of VPID 0 go (29.4.3.1).
  if (!(core.secondaryControls & Secondary.ENABLE_VPID)) cpu.tlb.flushVpid(0);
  core.transfers.loadHost(vmcs.wasmAddress);
  if (cpu.physical.memory.mayStore) core.offerDirectAccess();
  state.set32(State.INTERRUPTIBILITY, nmiBlocked ? INTERRUPTIBILITY_NMI : 0);
  return !usesPdptes(state) || loadHostPdptes(core);
}

/** Root operation: no VPID, no EPT, no TSC offset, no timer. */
function leaveGuestTranslation(t: Transfer): void {
  t.setState(State.VMX_ROOT, i32(1));
  t.setState(State.DIRECT_VMCS, t.vmcs);
  // EPT_CONTROLS is in the upper half of what begins with the VPID.
  for (const offset of [State.TSC_OFFSET, State.TSC_MULTIPLIER, State.EPTP, State.VPID]) t.setState64(offset, i64(0));
  // Address-range monitoring ends (28.5.6).
  t.setState(State.MONITOR_ARMED, i32(0));
  t.setState64(State.PREEMPTION_DEADLINE, i64(-1));
}

const isHost64 = (t: Transfer): Value => t.f.and(t.field(Slot.EXIT_CONTROLS), i32(Exit.HOST_ADDRESS_SPACE_SIZE));

/** SDM vol. 3, 28.5.1 */
function loadControlRegisters(t: Transfer): void {
  const { f } = t;
  const controls = f.let(t.field(Slot.EXIT_CONTROLS));
  const host64 = f.let(isHost64(t));
  loadCr0(t, Slot.HOST_CR0);
  t.load(State.CR3, Slot.HOST_CR3);
  t.load(State.CR4, Slot.HOST_CR4);
  const cr4 = f.let(t.state(State.CR4));
  t.setState(State.CR4, f.select(host64, f.or(cr4, i32(CR4_PAE)), f.and(cr4, i32(~CR4_PCIDE))));
  t.setState64(State.DR + 5 * 8, i64(DR7_RESET));
  t.setState64(State.DEBUGCTL, i64(0));
  t.setState64(State.SYSENTER_CS, t.field(Slot.HOST_IA32_SYSENTER_CS));
  t.load(State.SYSENTER_ESP, Slot.HOST_IA32_SYSENTER_ESP);
  t.load(State.SYSENTER_EIP, Slot.HOST_IA32_SYSENTER_EIP);
  t.when(controls, Exit.LOAD_EFER, () => t.load(State.EFER, Slot.HOST_IA32_EFER));
  const efer = f.let(t.state(State.EFER));
  t.setState(State.EFER, f.select(host64, f.or(efer, i32(EFER_MODE)), f.and(efer, i32(~EFER_MODE))));
  t.when(controls, Exit.LOAD_PAT, () => t.load(State.PAT, Slot.HOST_IA32_PAT));
}

/** CR0 from a field, for VM exits and entries: the upper half and CR0_UNTOUCHED stay. */
export function loadCr0(t: Transfer, slot: number): void {
  const { f } = t;
  const untouched = Number(BigInt.asIntN(32, CR0_UNTOUCHED));
  const kept = f.and(t.state(State.CR0), i32(untouched));
  t.setState(State.CR0, f.or(kept, f.and(t.field(slot), i32(~untouched))));
}

/** SDM vol. 3, 28.5.2. A null selector makes a data segment unusable; FS and GS have their base all the same. */
function loadSegments(t: Transfer): void {
  const { f } = t;
  const codeMode = f.let(f.select(isHost64(t), i32(AccessRights.LONG), i32(AccessRights.DEFAULT_BIG)));
  for (const { at, selector, base, limit, access } of HOST_SEGMENTS) {
    const value = selector === NONE ? i32(0) : f.let(t.field(selector));
    const usable = at === CODE_SEGMENT ? f.or(codeMode, i32(access)) : i32(access);
    t.setState(at, value);
    t.setState(at + 4, f.select(value, usable, i32(access | UNUSABLE)));
    t.setState(at + 8, i32(limit));
    if (base === NONE) t.setState64(at + 16, i64(0));
    else t.load(at + 16, base);
  }
  t.load(State.GDTR, Slot.HOST_GDTR_BASE);
  t.setState(State.GDTR + 8, i32(0xffff));
  t.load(State.IDTR, Slot.HOST_IDTR_BASE);
  t.setState(State.IDTR + 8, i32(0xffff));
}

/** SDM vol. 3, 28.5.3 and 28.5.5 */
function loadInstructionState(t: Transfer): void {
  t.load(State.RIP, Slot.HOST_RIP);
  t.load(State.GPR + RSP * 8, Slot.HOST_RSP);
  t.setRflags(i32(Number(Rflags.FIXED)));
  t.setState(State.ACTIVITY, i32(0));
  t.setState64(State.PENDING_DEBUG, i64(0));
  t.setState(State.PENDING_EVENTS, t.f.and(t.state(State.PENDING_EVENTS), i32(~PENDING_MTF)));
}

/** What only moves values, in order */
export const LOAD_HOST_STATE = [leaveGuestTranslation, loadControlRegisters, loadSegments, loadInstructionState];

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
