import type { Instruction } from '../isa/instruction';
import { Segment } from '../memory/layout';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';

const LONGEST_INSTRUCTION = 15;
/** Mnemonics of rows whose meaning reaches the stack besides, or instead of, a memory operand */
const STACK_INSTRUCTION = /^(PUSH|POP|CALL|RET|ENTER|LEAVE)/;

/**
 * Whether a non-canonical access of the instruction at RIP was a reference to the stack segment, which raises #SS(0)
 * instead of #GP(0) in 64-bit mode (SDM vol. 3, 6.15, "Interrupt 12"; vol. 1, 3.7.5 for the default segment). Generated
 * code knows the address only; this decodes the instruction again, on the rare path. `fetchByte` returns -1 for a byte
 * that cannot be fetched.
 */
export function isStackReference(cpu: Processor, linear: bigint, fetchByte: (linear: bigint) => number): boolean {
  if (cpu.codeSize !== 64 || isCanonical(linear)) return false;
  const { state } = cpu;
  const insn = instructionAt(cpu, fetchByte);
  if (!insn) return false;
  if (insn.isMemory && insn.row.operands.length > 0) {
    const base =
      insn.segment === Number(Segment.FS) || insn.segment === Number(Segment.GS) ? state.segmentBase(insn.segment) : 0n;
    const operand = BigInt.asUintN(64, cpu.linear.effectiveAddress(insn) + base);
    const distance = BigInt.asIntN(64, linear - operand);
    if (distance >= 0n && distance < 16n) return insn.segment === Number(Segment.SS);
  }
  return STACK_INSTRUCTION.test(insn.row.mnemonic);
}

/** The instruction at RIP, for what generated code does not tell; undefined when it cannot be fetched or is none. */
export function instructionAt(cpu: Processor, fetchByte: (linear: bigint) => number): Instruction | undefined {
  const { codeSize, state } = cpu;
  const base = codeSize === 64 ? 0n : state.segmentBase(Segment.CS);
  const linear = BigInt.asUintN(codeSize === 64 ? 64 : 32, base + state.rip);
  const bytes = new Uint8Array(LONGEST_INSTRUCTION);
  let length = 0;
  for (; length < LONGEST_INSTRUCTION; length++) {
    const byte = fetchByte(BigInt.asUintN(64, linear + BigInt(length)));
    if (byte < 0) break;
    bytes[length] = byte;
  }
  return cpu.engine.decodeAt(bytes.subarray(0, length), linear, codeSize);
}
