import { VmInstructionError } from '../../arch/vm-instruction-errors';
import type { Helper, Processor } from '../../cpu/processor';
import type { Instruction } from '../../isa/instruction';
import { vmcsFieldOffset } from '../vmcs';
import { fail, failInvalid, requireRoot, succeed } from './outcome';

/** VMREAD and VMWRITE (SDM vol. 3, chapter 31). Operands have 64 bits in 64-bit mode and 32 elsewhere. */

/** The encoding in the register operand; one with high bits set is no field. */
function encodingOf(cpu: Processor, insn: Instruction): number {
  const register = cpu.state.gpr(insn.reg);
  const value = cpu.codeSize === 64 ? register : register & 0xffff_ffffn;
  return value < 0x8000n ? Number(value) : -1;
}

const operandSize = (cpu: Processor): 4 | 8 => (cpu.codeSize === 64 ? 8 : 4);

export const vmread: Helper = (cpu, insn) => {
  const core = requireRoot(cpu, insn);
  if (!core.vmcs.valid) return failInvalid(core);
  const encoding = encodingOf(cpu, insn);
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0) return fail(core, VmInstructionError.UNSUPPORTED_COMPONENT);
  const size = operandSize(cpu);
  const value = core.vmcs.readField(encoding, offset);
  cpu.linear.writeRm(insn, size, BigInt.asUintN(size * 8, value));
  succeed(core);
};

/** A 32-bit write of a whole 64-bit or natural-width field clears its upper half (SDM vol. 3, 25.11.2). */
export const vmwrite: Helper = (cpu, insn) => {
  const core = requireRoot(cpu, insn);
  if (!core.vmcs.valid) return failInvalid(core);
  const encoding = encodingOf(cpu, insn);
  const offset = vmcsFieldOffset(encoding);
  if (offset === 0) return fail(core, VmInstructionError.UNSUPPORTED_COMPONENT);
  core.vmcs.writeField(encoding, offset, cpu.linear.readRm(insn, operandSize(cpu)));
  succeed(core);
};
