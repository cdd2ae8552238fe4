import { Vector } from '../../arch/exceptions';
import type { Instruction } from '../../isa/instruction';
import { operandWidth } from '../../isa/operand';
import type { Processor } from '../processor';

/** Bytes of operand number `position` of this instruction */
export const operandBytes = (insn: Instruction, position: number): number =>
  operandWidth(insn.row.operands[position] ?? '', wordSize(insn)) / 8;

/** The operand-size attribute in bits; byte forms of an instruction say 16, which no byte operand depends on. */
export const wordSize = (insn: Instruction): 16 | 32 | 64 => (insn.operandSize === 8 ? 16 : insn.operandSize);

/** Operand size in bytes of the instructions without operands: 2, 4 or 8 */
export const sizeBytes = (insn: Instruction): 2 | 4 | 8 =>
  insn.operandSize === 64 ? 8 : insn.operandSize === 32 ? 4 : 2;

export function requirePrivilege(cpu: Processor): void {
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
}

/** #UD in real-address and virtual-8086 mode */
export function requireProtectedMode(cpu: Processor): void {
  if (cpu.realMode || cpu.virtual8086) throw cpu.fault(Vector.UD);
}
