import type { RepeatPrefix } from '../../isa/context';
import { effectsOf, type Effects } from '../../isa/effects';
import type { Instruction } from '../../isa/instruction';

/** F2 and F3 repeat string instructions only; elsewhere they are ignored or part of the opcode. */
export function repeatPrefixOf({ row, rep, repne }: Instruction): RepeatPrefix {
  return row.repeatable ? (repne ? 'repne' : rep ? 'rep' : 'none') : 'none';
}

/** What the meaning of a decoded instruction does. The row must have one. */
export function instructionEffects(instruction: Instruction): Effects {
  const size = instruction.operandSize === 8 ? 32 : instruction.operandSize;
  return effectsOf(instruction.row, size, instruction.isMemory, repeatPrefixOf(instruction));
}
