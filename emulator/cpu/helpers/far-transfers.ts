import { Vector } from '../../arch/exceptions';
import { rplOf } from '../descriptors';
import { callFar, enterOuter, enterSame, jumpFar, returnInRealMode, returnStack, returnTarget } from '../far-transfer';
import type { Instruction } from '../../isa/instruction';
import type { Helper, HelperTable, Processor } from '../processor';
import { dropPrivilegedSegments } from '../segment-load';
import { StackPointer } from '../stack-pointer';
import { sizeBytes } from './operands';

/** The far pointer of JMP and CALL: in the instruction, or in memory as offset and selector. */
function target(cpu: Processor, insn: Instruction): { selector: number; offset: bigint } {
  if (insn.row.operands[0]?.startsWith('A')) {
    return { selector: insn.immediate2, offset: BigInt.asUintN(sizeBytes(insn) * 8, insn.immediate) };
  }
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  const size = sizeBytes(insn);
  const at = cpu.linear.operandAddress(insn, size + 2);
  const offset = cpu.linear.read(at, size);
  return { selector: Number(cpu.linear.read(at + BigInt(size), 2)), offset };
}

const jmpFar: Helper = (cpu, insn) => {
  const { selector, offset } = target(cpu, insn);
  jumpFar(cpu, selector, offset);
};

const callFarHelper: Helper = (cpu, insn) => {
  const { selector, offset } = target(cpu, insn);
  callFar(cpu, selector, offset, sizeBytes(insn));
};

const retFar: Helper = (cpu, insn) => {
  const size = sizeBytes(insn);
  const release = insn.row.operands.length > 0 ? Number(insn.immediate & 0xffffn) : 0;
  const stack = StackPointer.current(cpu);
  const rip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  stack.skip(release);
  if (cpu.realMode || cpu.virtual8086) {
    returnInRealMode(cpu, selector, rip);
    stack.commit();
    return;
  }
  const code = returnTarget(cpu, selector, rip);
  const level = rplOf(selector);
  if (level === cpu.cpl) {
    enterSame(cpu, code, rip);
    stack.commit();
  } else {
    const pointer = stack.pop(size);
    const segment = returnStack(cpu, Number(stack.pop(size) & 0xffffn), code, level);
    enterOuter(cpu, code, rip, segment, pointer + BigInt(release));
    dropPrivilegedSegments(cpu, level);
  }
  cpu.contextChanged();
};

export const farTransferHelpers: HelperTable = { jmp_far: jmpFar, call_far: callFarHelper, ret_far: retFar };
