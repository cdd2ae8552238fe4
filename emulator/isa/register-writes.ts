import { effectsOf } from './effects';
import type { Instruction } from './instruction';
import { parseOperandCode } from './operand';

const FIXED_NUMBER: Readonly<Record<string, number>> = { AL: 0, AH: 0, AX: 0, eAX: 0, rAX: 0, CL: 1, DX: 2 };
const COUNTER = 1;

/**
 * General registers that an instruction writes when it retires, also with what they hold already: a bit each. Of a row that
 * only a helper executes, and of what is written under a condition, nothing is known here: 0.
 * @param counter rCX cut to the address size: a repeated instruction writes nothing when it is 0
 */
export function registersWritten(instruction: Instruction, counter: bigint): number {
  const { row, operandSize, isMemory, rep, repne } = instruction;
  if (!row.meaning) return 0;
  const repeat = row.repeatable ? (repne ? 'repne' : rep ? 'rep' : 'none') : 'none';
  const effects = effectsOf(row, operandSize === 8 ? 32 : operandSize, isMemory, repeat);
  if (effects.finishes && (repeat === 'none' || counter === 0n)) return 0;
  let written = effects.registersWritten | (repeat === 'none' ? 0 : 1 << COUNTER);
  for (const operand of effects.operandsWritten) written |= 1 << registerOf(instruction, operand);
  return written;
}

function registerOf(instruction: Instruction, operand: number): number {
  const code = instruction.row.operands[operand] ?? '';
  const { kind, type } = parseOperandCode(code);
  if (kind === 'fixed') return FIXED_NUMBER[type] ?? 0;
  const register = kind === 'G' ? instruction.reg : instruction.rm;
  // Without REX byte registers 4 to 7 are AH, CH, DH, BH (SDM vol. 2, table 3-1).
  const high = type === 'b' && instruction.rex === 0 && register >= 4 && register < 8;
  return high ? register - 4 : register;
}
