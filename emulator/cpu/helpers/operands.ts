import { Vector } from '../../arch/exceptions';
import type { Instruction } from '../../isa/instruction';
import type { Processor } from '../processor';

/** Operand size in bytes of the instructions without operands: 2, 4 or 8 */
export const sizeBytes = (insn: Instruction): 2 | 4 | 8 =>
  insn.operandSize === 64 ? 8 : insn.operandSize === 32 ? 4 : 2;

export function requirePrivilege(cpu: Processor): void {
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
}

/** #UD in non-root operation when a control takes the instruction away; before every other check (SDM vol. 3, 26.1.1) */
export function requireDefined(cpu: Processor, insn: Instruction): void {
  if (cpu.virtualization.nonRoot && cpu.virtualization.undefines(insn)) throw cpu.fault(Vector.UD);
}

/** #UD in real-address and virtual-8086 mode */
export function requireProtectedMode(cpu: Processor): void {
  if (cpu.realMode || cpu.virtual8086) throw cpu.fault(Vector.UD);
}
