import { FeatureControl } from '../../arch/capability-msrs';
import { Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { SaferMode } from '../../arch/safer-mode';
import { VmInstructionError } from '../../arch/vm-instruction-errors';
import type { Helper, Processor } from '../../cpu/processor';
import { hostPhysical } from '../../memory/address';
import { State } from '../../memory/layout';
import { cr0Allowed, cr4Allowed, isPageAddress } from '../capabilities';
import type { VmxCore } from '../core';
import { NO_VMCS, readRevision, VMCS_REVISION } from '../vmcs';
import { fail, failInvalid, readPointer, requireMode, requirePrivilege, requireVmxOperation, succeed } from './outcome';

/** Entering and leaving VMX operation, and calls to the monitor (SDM vol. 3, chapter 31). */

/** IA32_FEATURE_CONTROL must be locked, with VMX enabled for where we are: in SMX operation or not (SDM vol. 3, 24.7). */
function enabledHere({ state }: Processor): boolean {
  const launched = (state.get32(State.SAFER_MODE) & SaferMode.LAUNCHED) !== 0;
  const needed = FeatureControl.LOCK | (launched ? FeatureControl.VMX_IN_SMX : FeatureControl.VMX_OUTSIDE_SMX);
  return (state.get64(State.FEATURE_CONTROL) & needed) === needed;
}

export const vmxon: Helper = (cpu, insn) => {
  const { core } = requireMode(cpu);
  const { state } = cpu;
  if ((state.cr4 & Cr4.VMXE) === 0n) throw cpu.fault(Vector.UD);
  if (core.on) {
    cpu.intercept(insn);
    requirePrivilege(cpu);
    fail(core, VmInstructionError.VMXON_IN_ROOT);
    return;
  }
  requirePrivilege(cpu);
  if (!enabledHere(cpu) || !cr0Allowed(state.cr0, false) || !cr4Allowed(cpu, state.cr4)) throw cpu.fault(Vector.GP, 0);
  const address = readPointer(cpu, insn);
  if (!isPageAddress(address) || readRevision(cpu.physical, hostPhysical(address)) !== VMCS_REVISION) {
    failInvalid(core);
    return;
  }
  enterVmxOperation(core, address);
  succeed(core);
};

function enterVmxOperation(core: VmxCore, address: bigint): void {
  const { cpu } = core;
  cpu.state.set32(State.VMX_ON, 1);
  cpu.state.set32(State.VMX_ROOT, 1);
  cpu.state.set64(State.VMXON_POINTER, address);
  cpu.state.set32(State.MONITOR_ARMED, 0);
  core.currentVmcs = NO_VMCS;
  cpu.contextChanged();
}

export const vmxoff: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  cpu.state.set32(State.VMX_ON, 0);
  cpu.state.set32(State.VMX_ROOT, 0);
  cpu.state.set64(State.VMXON_POINTER, NO_VMCS);
  cpu.state.set32(State.MONITOR_ARMED, 0);
  core.currentVmcs = NO_VMCS;
  cpu.contextChanged();
  succeed(core);
};

/** In non-root it exits in every mode and at every level; in root it only ever fails: no dual-monitor treatment. */
export const vmcall: Helper = (cpu, insn) => {
  if (cpu.virtualization.nonRoot) cpu.intercept(insn);
  const core = requireVmxOperation(cpu, insn);
  fail(core, VmInstructionError.VMCALL_IN_ROOT);
};
