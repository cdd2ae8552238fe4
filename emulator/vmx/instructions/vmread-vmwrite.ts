import { VmInstructionError } from '../../arch/vm-instruction-errors';
import type { Helper, Processor } from '../../cpu/processor';
import type { Instruction } from '../../isa/instruction';
import type { VmxCore } from '../core';
import { vmcsFieldOffset, type Vmcs } from '../vmcs';
import { fail, failInvalid, requireVmxOperation, succeed } from './outcome';

/**
 * VMREAD and VMWRITE (SDM vol. 3, chapter 31). Operands have 64 bits in 64-bit mode and 32 elsewhere. In non-root operation
 * they come here only with VMCS shadowing, and access the VMCS at the link pointer; an error number goes into the
 * current VMCS all the same.
 */

/** The encoding in the register operand; one with high bits set is no field. */
function encodingOf(cpu: Processor, insn: Instruction): number {
  const register = cpu.state.gpr(insn.reg);
  const value = cpu.codeSize === 64 ? register : register & 0xffff_ffffn;
  return value < 0x8000n ? Number(value) : -1;
}

const operandSize = (cpu: Processor): 4 | 8 => (cpu.codeSize === 64 ? 8 : 4);

/** The VMCS that the instruction accesses, after all checks of mode and privilege and the decision about a VM exit */
function accessed(cpu: Processor, insn: Instruction): { readonly core: VmxCore; readonly vmcs: Vmcs } {
  const core = requireVmxOperation(cpu, insn);
  return { core, vmcs: core.root ? core.vmcs : core.linked() };
}

export const vmread: Helper = (cpu, insn) => {
  const { core, vmcs } = accessed(cpu, insn);
  if (!vmcs.valid) return failInvalid(core);
  const encoding = encodingOf(cpu, insn);
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0) return fail(core, VmInstructionError.UNSUPPORTED_COMPONENT);
  const size = operandSize(cpu);
  cpu.physical.memory.accessWatch?.reading(vmcs.wasmAddress + offset, 8);
  const value = vmcs.readField(encoding, offset);
  cpu.linear.writeRm(insn, size, BigInt.asUintN(size * 8, value));
  if (core.root) core.offerDirectAccess();
  succeed(core);
};

/**
 * A 32-bit write of a whole 64-bit or natural-width field clears its upper half (SDM vol. 3, 25.11.2). VM-exit
 * information fields can be written, as IA32_VMX_MISC bit 29 tells, so that error 13 never occurs.
 */
export const vmwrite: Helper = (cpu, insn) => {
  const { core, vmcs } = accessed(cpu, insn);
  if (!vmcs.valid) return failInvalid(core);
  const value = cpu.linear.readRm(insn, operandSize(cpu));
  const encoding = encodingOf(cpu, insn);
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0) return fail(core, VmInstructionError.UNSUPPORTED_COMPONENT);
  vmcs.writeField(encoding, offset, value);
  if (core.root) core.offerDirectAccess();
  succeed(core);
};
