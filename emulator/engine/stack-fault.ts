import { effectsOf } from '../isa/effects';
import type { Instruction } from '../isa/instruction';
import { Segment, State } from '../memory/layout';

const STACK_FAULT = 12;
const GENERAL_PROTECTION = 13;
const EXCEPTION = 1;
/** Farthest that an implicit push or pop lies from RSP */
const STACK_REACH = 16n;

/** True when the slow path recorded #GP for an address that is not canonical. */
export function isNonCanonicalFault(view: DataView): boolean {
  if (view.getInt32(State.FAULT_KIND, true) !== EXCEPTION) return false;
  if (view.getInt32(State.FAULT_VECTOR, true) !== GENERAL_PROTECTION) return false;
  const linear = view.getBigUint64(State.FAULT_LINEAR, true);
  return BigInt.asUintN(64, BigInt.asIntN(48, linear)) !== linear;
}

/**
 * A reference through SS to an address that is not canonical raises #SS(0), not #GP(0) (SDM vol. 3, 6.15,
 * "Interrupt 12"). The slow path knows addresses only; the instruction tells.
 */
export function toStackFault(view: DataView, instruction: Instruction): void {
  const { row, isMemory, segment, operandSize, rep, repne } = instruction;
  if (!row.meaning) return;
  const repeat = row.repeatable ? (repne ? 'repne' : rep ? 'rep' : 'none') : 'none';
  const implicit = effectsOf(row, operandSize === 8 ? 32 : operandSize, isMemory, repeat).usesStackSize;
  const distance = view.getBigInt64(State.FAULT_LINEAR, true) - view.getBigInt64(State.GPR + 4 * 8, true);
  const onTop = distance <= STACK_REACH && distance >= -STACK_REACH;
  const explicit = isMemory && segment === (Segment.SS as number);
  if (explicit || (implicit && (!isMemory || onTop))) view.setInt32(State.FAULT_VECTOR, STACK_FAULT, true);
}
