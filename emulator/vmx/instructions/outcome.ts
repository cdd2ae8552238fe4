import { Rflags } from '../../arch/flags';
import { Vector } from '../../arch/exceptions';
import type { Processor } from '../../cpu/processor';
import type { Instruction } from '../../isa/instruction';
import type { VmxCore } from '../core';
import { Slot } from '../vmcs';
import { vmxOf, type Vmx } from '../vmx';

/** How VMX instructions report: VMsucceed, VMfailInvalid, VMfailValid (SDM vol. 3, 31.2). */
const REPORT = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF;

export function succeed(core: VmxCore): void {
  const { state } = core.cpu;
  state.rflags = state.rflags & ~REPORT;
}

export function failInvalid(core: VmxCore): void {
  const { state } = core.cpu;
  state.rflags = (state.rflags & ~REPORT) | Rflags.CF;
}

/** VMfailValid with an error number when there is a current VMCS, else VMfailInvalid */
export function fail(core: VmxCore, error: number): void {
  const vmcs = core.current();
  if (!vmcs.valid) {
    failInvalid(core);
    return;
  }
  const { state } = core.cpu;
  state.rflags = (state.rflags & ~REPORT) | Rflags.ZF;
  vmcs.set32(Slot.VM_INSTRUCTION_ERROR, error);
}

/** #UD: no VT-x, or not in protected mode, in virtual-8086 or in compatibility mode */
export function requireMode(cpu: Processor): Vmx {
  const vmx = vmxOf(cpu);
  // 64-bit mode is neither of the three.
  if (!vmx || (cpu.codeSize !== 64 && (cpu.realMode || cpu.virtual8086 || cpu.longMode))) throw cpu.fault(Vector.UD);
  return vmx;
}

/**
 * What all but VMXON, VMCALL and VMFUNC begin with: #UD outside VMX operation, VM exit in non-root operation whatever
 * the privilege level, #GP(0) above CPL 0. Only VMREAD and VMWRITE can come out of it in non-root operation.
 */
export function requireVmxOperation(cpu: Processor, insn: Instruction): VmxCore {
  const { core } = requireMode(cpu);
  if (!core.on) throw cpu.fault(Vector.UD);
  cpu.intercept(insn);
  requirePrivilege(cpu);
  core.current();
  return core;
}

export function requirePrivilege(cpu: Processor): void {
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
}

/** The 64-bit memory operand */
export const readPointer = (cpu: Processor, insn: Instruction): bigint =>
  cpu.linear.read(cpu.linear.operandAddress(insn, 8), 8);
