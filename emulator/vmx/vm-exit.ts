import { Efer } from '../arch/control-registers';
import { Entry, Exit, Secondary } from '../arch/controls';
import { Rflags } from '../arch/flags';
import { guestPhysical, hostPhysical, linear } from '../memory/address';
import { Segment, State } from '../memory/layout';
import type { VmExitRecord } from '../cpu/taps';
import { PREEMPTION_TIMER_SHIFT } from './capabilities';
import type { VmxCore } from './core';
import { GUEST_PDPTES, GUEST_SEGMENTS } from './guest-state';
import { blocksNmiAfterExit, loadHostState } from './host-state';
import { loadMsrArea, storeMsrArea } from './msr-areas';
import { usesPdptes } from './pdptes';
import { Slot } from './vmcs';

const RSP = 4;
const EFER_LMA = Number(Efer.LMA);

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
  const { cpu, exit, vmcs } = core;
  cpu.taps.vmExitBegin?.(exit.reason);
  recordInformation(core);
  saveGuestState(core);
  const record = cpu.taps.vmExit ? describe(core) : undefined;
  core.nextExit();
  core.delivery.active = false;
  if (storeMsrArea(core, vmcs.get64(Slot.EXIT_MSR_STORE_ADDRESS), vmcs.get32(Slot.EXIT_MSR_STORE_COUNT)) !== 0)
    return vmxAbort(core, VmxAbort.SAVING_GUEST_MSRS);
  leaveNonRoot(core, blocksNmiAfterExit(core));
  if (record) cpu.taps.vmExit?.(record);
}

/**
 * The part of a VM exit that a VM-entry failure shares (SDM vol. 3, 27.8): host state and the VM-exit MSR-load area.
 */
export function leaveNonRoot(core: VmxCore, nmiBlocked: boolean): void {
  const { cpu, vmcs } = core;
  const host64 = (vmcs.get32(Slot.EXIT_CONTROLS) & Exit.HOST_ADDRESS_SPACE_SIZE) !== 0;
  if (!host64 && (cpu.state.efer & Efer.LMA) !== 0n) return vmxAbort(core, VmxAbort.HOST_NOT_64_BIT);
  if (!loadHostState(core, nmiBlocked)) return vmxAbort(core, VmxAbort.HOST_PDPTES);
  if (loadMsrArea(core, vmcs.get64(Slot.EXIT_MSR_LOAD_ADDRESS), vmcs.get32(Slot.EXIT_MSR_LOAD_COUNT)) !== 0)
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
  saveControlRegisters(core);
  saveSegments(core);
  saveInstructionState(core);
  saveNonRegisterState(core);
}

/** SDM vol. 3, 28.3.1 */
function saveControlRegisters(core: VmxCore): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  const controls = vmcs.get32(Slot.EXIT_CONTROLS);
  vmcs.save(Slot.GUEST_CR0, State.CR0);
  vmcs.save(Slot.GUEST_CR3, State.CR3);
  vmcs.save(Slot.GUEST_CR4, State.CR4);
  vmcs.set32(Slot.GUEST_IA32_SYSENTER_CS, state.get32(State.SYSENTER_CS));
  vmcs.save(Slot.GUEST_IA32_SYSENTER_ESP, State.SYSENTER_ESP);
  vmcs.save(Slot.GUEST_IA32_SYSENTER_EIP, State.SYSENTER_EIP);
  if (controls & Exit.SAVE_DEBUG_CONTROLS) {
    vmcs.save(Slot.GUEST_DR7, State.DR + 5 * 8);
    vmcs.save(Slot.GUEST_IA32_DEBUGCTL, State.DEBUGCTL);
  }
  if (controls & Exit.SAVE_PAT) vmcs.save(Slot.GUEST_IA32_PAT, State.PAT);
  if (controls & Exit.SAVE_EFER) vmcs.save(Slot.GUEST_IA32_EFER, State.EFER);
  // IA32_VMX_MISC bit 5: "IA-32e mode guest" follows EFER.LMA.
  const entry = vmcs.get32(Slot.ENTRY_CONTROLS) & ~Entry.IA32E_MODE_GUEST;
  const long = (state.get32(State.EFER) & EFER_LMA) !== 0;
  vmcs.set32(Slot.ENTRY_CONTROLS, long ? entry | Entry.IA32E_MODE_GUEST : entry);
}

/** SDM vol. 3, 28.3.2 */
function saveSegments(core: VmxCore): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  for (const { selector, base, limit, access, state: at } of GUEST_SEGMENTS) {
    vmcs.set32(selector, state.get32(at) & 0xffff);
    vmcs.set32(access, state.get32(at + 4));
    vmcs.set32(limit, state.get32(at + 8));
    vmcs.save(base, at + 16);
  }
  vmcs.save(Slot.GUEST_GDTR_BASE, State.GDTR);
  vmcs.set32(Slot.GUEST_GDTR_LIMIT, state.get32(State.GDTR + 8));
  vmcs.save(Slot.GUEST_IDTR_BASE, State.IDTR);
  vmcs.set32(Slot.GUEST_IDTR_LIMIT, state.get32(State.IDTR + 8));
}

/** SDM vol. 3, 28.3.3 */
function saveInstructionState(core: VmxCore): void {
  const { vmcs, exit } = core;
  const { state } = core.cpu;
  vmcs.save(Slot.GUEST_RIP, State.RIP);
  vmcs.save(Slot.GUEST_RSP, State.GPR + RSP * 8);
  let flags = state.rflags;
  if (exit.resumeFlag === 'clear') flags &= ~Rflags.RF;
  else if (exit.resumeFlag === 'set') flags |= Rflags.RF;
  vmcs.set64(Slot.GUEST_RFLAGS, flags);
}

/** SDM vol. 3, 28.3.4 */
function saveNonRegisterState(core: VmxCore): void {
  const { vmcs } = core;
  const { state } = core.cpu;
  vmcs.set32(Slot.GUEST_ACTIVITY_STATE, state.get32(State.ACTIVITY));
  vmcs.set32(Slot.GUEST_INTERRUPTIBILITY, state.get32(State.INTERRUPTIBILITY));
  vmcs.save(Slot.GUEST_PENDING_DEBUG_EXCEPTIONS, State.PENDING_DEBUG);
  if (vmcs.get32(Slot.EXIT_CONTROLS) & Exit.SAVE_PREEMPTION_TIMER)
    vmcs.set32(Slot.PREEMPTION_TIMER_VALUE, preemptionTimerValue(core));
  if (core.secondaryControls & Secondary.ENABLE_EPT && usesPdptes(state.cr0, state.cr4, state.efer))
    GUEST_PDPTES.forEach((slot, i) => vmcs.save(slot, State.PDPTE + i * 8));
}

/** What is left of the VMX-preemption timer (SDM vol. 3, 26.5.1): counted in changes of a bit of the TSC. */
function preemptionTimerValue(core: VmxCore): number {
  const { state } = core.cpu;
  const adjust = state.get64(State.TSC_ADJUST);
  const deadline = BigInt.asUintN(64, state.get64(State.PREEMPTION_DEADLINE) + adjust) >> PREEMPTION_TIMER_SHIFT;
  const now = BigInt.asUintN(64, core.cpu.now + adjust) >> PREEMPTION_TIMER_SHIFT;
  return deadline > now ? Number(BigInt.asUintN(32, deadline - now)) : 0;
}

function describe(core: VmxCore): VmExitRecord {
  const { cpu, exit } = core;
  const { state } = cpu;
  return {
    n: Number(state.get64(State.VMX_PRIVATE)) + 1,
    instruction: Number(cpu.state.retired),
    vcpu: cpu.index,
    vmcs: hostPhysical(core.currentVmcs),
    reason: exit.reason,
    qualification: exit.qualification,
    guestLinear: linear(exit.guestLinear),
    guestPhysical: guestPhysical(exit.guestPhysical),
    interruptionInformation: exit.interruptionInformation,
    interruptionErrorCode: exit.interruptionErrorCode,
    instructionLength: core.vmcs.get32(Slot.EXIT_INSTRUCTION_LENGTH),
    rip: state.rip,
    csBase: state.segmentBase(Segment.CS),
  };
}
