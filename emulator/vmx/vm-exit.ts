import { Efer } from '../arch/control-registers';
import { Entry, Exit, Secondary } from '../arch/controls';
import { Rflags } from '../arch/flags';
import type { WrittenField } from '../memory/access-watch';
import { Actor } from '../memory/actor';
import { State } from '../memory/layout';
import { i32 } from '../wasm/expression';
import { leaveApicVirtualization } from './apic-virtualization';
import { PREEMPTION_TIMER_SHIFT } from './capabilities';
import type { VmxCore } from './core';
import { GUEST_PDPTES, GUEST_SEGMENTS } from './guest-state';
import { blocksNmiAfterExit, loadHostState } from './host-state';
import { loadMsrArea, storeMsrArea } from './msr-areas';
import { usesPdptes } from './pdptes';
import { writtenFields, type Transfer } from './state-transfer';
import { Slot } from './vmcs';

const RSP = 4;
const EFER_LMA = Number(Efer.LMA);
const RF = Number(Rflags.RF);

/** VMX-abort indicators (SDM vol. 3, 28.7) */
export const VmxAbort = {
  SAVING_GUEST_MSRS: 1,
  HOST_PDPTES: 2,
  LOADING_HOST_MSRS: 4,
  HOST_NOT_64_BIT: 6,
} as const;

/**
 * A VM exit (SDM vol. 3, chapter 28), as `core.exit` describes it. Guest state is in the processor on entry; root state
 * at the host RIP on return, unless the exit ended in a VMX abort.
 */
export function vmExit(core: VmxCore): void {
  const { memory } = core.cpu.physical;
  const { actor, actorDetail } = memory;
  memory.actor = Actor.VmExit;
  memory.actorDetail = core.exit.reason;
  takeExit(core);
  memory.actor = actor;
  memory.actorDetail = actorDetail;
}

function takeExit(core: VmxCore): void {
  const { cpu, exit } = core;
  cpu.taps.vmExitBegin?.(exit.reason, cpu.index);
  core.vmcs.beginWrites();
  recordInformation(core);
  saveGuestState(core);
  core.vmcs.endWrites();
  const n = core.nextExit();
  core.delivery.active = false;
  if (storeMsrArea(core, Slot.EXIT_MSR_STORE_ADDRESS, Slot.EXIT_MSR_STORE_COUNT) !== 0)
    return vmxAbort(core, VmxAbort.SAVING_GUEST_MSRS);
  leaveNonRoot(core, blocksNmiAfterExit(core));
  if (cpu.taps.vmExit) cpu.taps.vmExit(core.describeExit(n));
}

/**
 * The part of a VM exit that a VM-entry failure shares (SDM vol. 3, 27.8): host state and the VM-exit MSR-load area.
 */
export function leaveNonRoot(core: VmxCore, nmiBlocked: boolean): void {
  const { cpu, vmcs } = core;
  const host64 = (vmcs.get32(Slot.EXIT_CONTROLS) & Exit.HOST_ADDRESS_SPACE_SIZE) !== 0;
  if (!host64 && cpu.state.get32(State.EFER) & EFER_LMA) return vmxAbort(core, VmxAbort.HOST_NOT_64_BIT);
  if (!loadHostState(core, nmiBlocked)) return vmxAbort(core, VmxAbort.HOST_PDPTES);
  if (loadMsrArea(core, Slot.EXIT_MSR_LOAD_ADDRESS, Slot.EXIT_MSR_LOAD_COUNT) !== 0)
    return vmxAbort(core, VmxAbort.LOADING_HOST_MSRS);
  cpu.contextChanged();
}

function vmxAbort(core: VmxCore, code: number): void {
  core.vmcs.abortIndicator = code;
  core.cpu.vmxAbort(code);
}

/** Phase 1 (SDM vol. 3, 28.2): VM-exit information fields; the VM-entry interruption information becomes invalid. */
function recordInformation(core: VmxCore): void {
  const { vmcs, exit, delivery } = core;
  vmcs.set32(Slot.EXIT_REASON, exit.reason);
  vmcs.set64(Slot.EXIT_QUALIFICATION, exit.qualification);
  vmcs.set64(Slot.GUEST_LINEAR_ADDRESS, exit.guestLinear);
  vmcs.set64(Slot.GUEST_PHYSICAL_ADDRESS, exit.guestPhysical);
  vmcs.set32(Slot.EXIT_INTERRUPTION_INFORMATION, exit.interruptionInformation);
  vmcs.set32(Slot.EXIT_INTERRUPTION_ERROR_CODE, exit.interruptionErrorCode);
  vmcs.set32(Slot.IDT_VECTORING_INFORMATION, delivery.active ? delivery.information : 0);
  vmcs.set32(Slot.IDT_VECTORING_ERROR_CODE, delivery.active ? delivery.errorCode : 0);
  const length = exit.instructionLength || (delivery.active ? delivery.instructionLength : 0);
  vmcs.set32(Slot.EXIT_INSTRUCTION_LENGTH, length);
  vmcs.set32(Slot.EXIT_INSTRUCTION_INFORMATION, exit.instructionInformation);
  vmcs.set32(Slot.ENTRY_INTERRUPTION_INFORMATION, vmcs.get32(Slot.ENTRY_INTERRUPTION_INFORMATION) & 0x7fff_ffff);
}

/** Phase 2 (SDM vol. 3, 28.3): the guest-state area. */
function saveGuestState(core: VmxCore): void {
  core.vmcs.announceWrites(savedFields(), core.vmcs.get32(Slot.EXIT_CONTROLS));
  core.transfers.saveGuest(core.vmcs.wasmAddress);
  saveResumeFlag(core);
  saveTimer(core);
  savePdptes(core);
  if (core.cpu.state.get32(State.APIC_VIRTUALIZATION) !== 0) leaveApicVirtualization(core);
}

/** SDM vol. 3, 28.3.1 */
function saveControlRegisters(t: Transfer): void {
  const { f } = t;
  const controls = f.let(t.field(Slot.EXIT_CONTROLS));
  t.save(Slot.GUEST_CR0, State.CR0);
  t.save(Slot.GUEST_CR3, State.CR3);
  t.save(Slot.GUEST_CR4, State.CR4);
  t.save32(Slot.GUEST_IA32_SYSENTER_CS, State.SYSENTER_CS);
  t.save(Slot.GUEST_IA32_SYSENTER_ESP, State.SYSENTER_ESP);
  t.save(Slot.GUEST_IA32_SYSENTER_EIP, State.SYSENTER_EIP);
  t.when(controls, Exit.SAVE_DEBUG_CONTROLS, () => {
    t.save(Slot.GUEST_DR7, State.DR + 5 * 8);
    t.save(Slot.GUEST_IA32_DEBUGCTL, State.DEBUGCTL);
  });
  t.when(controls, Exit.SAVE_PAT, () => t.save(Slot.GUEST_IA32_PAT, State.PAT));
  t.when(controls, Exit.SAVE_EFER, () => t.save(Slot.GUEST_IA32_EFER, State.EFER));
  // IA32_VMX_MISC bit 5: "IA-32e mode guest" follows EFER.LMA.
  const entry = f.and(t.field(Slot.ENTRY_CONTROLS), i32(~Entry.IA32E_MODE_GUEST));
  const long = f.and(t.state(State.EFER), i32(EFER_LMA));
  t.setField(Slot.ENTRY_CONTROLS, f.or(entry, f.select(long, i32(Entry.IA32E_MODE_GUEST), i32(0))));
}

/** SDM vol. 3, 28.3.2 */
function saveSegments(t: Transfer): void {
  for (const { selector, base, limit, access, state: at } of GUEST_SEGMENTS) {
    t.setField(selector, t.f.and(t.state(at), i32(0xffff)));
    t.save32(access, at + 4);
    t.save32(limit, at + 8);
    t.save(base, at + 16);
  }
  t.save(Slot.GUEST_GDTR_BASE, State.GDTR);
  t.save32(Slot.GUEST_GDTR_LIMIT, State.GDTR + 8);
  t.save(Slot.GUEST_IDTR_BASE, State.IDTR);
  t.save32(Slot.GUEST_IDTR_LIMIT, State.IDTR + 8);
}

/** SDM vol. 3, 28.3.3; RF follows */
function saveInstructionState(t: Transfer): void {
  t.save(Slot.GUEST_RIP, State.RIP);
  t.save(Slot.GUEST_RSP, State.GPR + RSP * 8);
  t.setField(Slot.GUEST_RFLAGS, t.rflags());
  t.setField(Slot.GUEST_RFLAGS + 4, i32(0));
}

function saveResumeFlag({ vmcs, exit }: VmxCore): void {
  if (exit.resumeFlag === 'keep') return;
  const flags = vmcs.get32(Slot.GUEST_RFLAGS);
  vmcs.set32(Slot.GUEST_RFLAGS, exit.resumeFlag === 'set' ? flags | RF : flags & ~RF);
}

/** SDM vol. 3, 28.3.4; timer and PDPTEs follow */
function saveNonRegisterState(t: Transfer): void {
  t.save32(Slot.GUEST_ACTIVITY_STATE, State.ACTIVITY);
  t.save32(Slot.GUEST_INTERRUPTIBILITY, State.INTERRUPTIBILITY);
  t.save(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS, State.PENDING_DEBUG);
}

function saveTimer(core: VmxCore): void {
  const { vmcs } = core;
  if (vmcs.get32(Slot.EXIT_CONTROLS) & Exit.SAVE_PREEMPTION_TIMER)
    vmcs.set32(Slot.PREEMPTION_TIMER_VALUE, preemptionTimerValue(core));
}

function savePdptes(core: VmxCore): void {
  if (usesPdptes(core.cpu.state) && core.secondaryControls & Secondary.ENABLE_EPT)
    GUEST_PDPTES.forEach((slot, i) => core.vmcs.save(slot, State.PDPTE + i * 8));
}

/** What of phase 2 only moves values, in order */
export const SAVE_GUEST_STATE = [saveControlRegisters, saveSegments, saveInstructionState, saveNonRegisterState];

let saved: readonly WrittenField[] | undefined;

/** The fields that these phases write */
const savedFields = (): readonly WrittenField[] => (saved ??= writtenFields(SAVE_GUEST_STATE));

/** What is left of the VMX-preemption timer (SDM vol. 3, 26.5.1): counted in changes of a bit of the TSC. */
function preemptionTimerValue(core: VmxCore): number {
  const { state } = core.cpu;
  const adjust = state.get64(State.TSC_ADJUST);
  const deadline = BigInt.asUintN(64, state.get64(State.PREEMPTION_DEADLINE) + adjust) >> PREEMPTION_TIMER_SHIFT;
  const now = BigInt.asUintN(64, core.cpu.now + adjust) >> PREEMPTION_TIMER_SHIFT;
  return deadline > now ? Number(BigInt.asUintN(32, deadline - now)) : 0;
}
