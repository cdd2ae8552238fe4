import type { Instruction } from '../isa/instruction';
import type { VmxCore } from './core';

const NO_REGISTER = -1;
const ADDRESS_SIZE: Readonly<Record<number, number>> = { 16: 0, 32: 1, 64: 2 };
const OPERAND_SIZE: Readonly<Record<number, number>> = { 16: 0, 32: 1, 64: 2 };

/**
 * Exit qualification of an instruction with a memory operand: its displacement, sign-extended; with RIP-relative
 * addressing the sum with the next instruction's address; 0 for a register (SDM vol. 3, 28.2.1).
 */
export function displacementQualification(insn: Instruction): bigint {
  if (!insn.isMemory) return 0n;
  const displacement = insn.ripRelative ? insn.displacement + insn.rip + BigInt(insn.length) : insn.displacement;
  return BigInt.asUintN(64, displacement);
}

/** Scaling, address size, segment, index and base: the bits that all formats share (SDM vol. 3, 28.2.5). */
function memoryOperand(insn: Instruction): number {
  let information = ((ADDRESS_SIZE[insn.addressSize] ?? 0) << 7) | (insn.segment << 15);
  if (insn.index === NO_REGISTER) information |= 1 << 22;
  else information |= insn.scale | (insn.index << 18);
  information |= insn.base === NO_REGISTER ? 1 << 27 : insn.base << 23;
  return information >>> 0;
}

/** VMCLEAR, VMPTRLD, VMPTRST, VMXON (table "Format of the VM-Exit Instruction-Information Field") */
export const memoryInformation = memoryOperand;

/** INVEPT, INVPCID, INVVPID: the register operand in 31:28 */
export const invalidateInformation = (insn: Instruction): number => (memoryOperand(insn) | (insn.reg << 28)) >>> 0;

/** VMREAD and VMWRITE: memory or register in 10, the register in 6:3, the field's register in 31:28 */
export const vmreadInformation = (insn: Instruction): number =>
  ((insn.isMemory ? memoryOperand(insn) : (1 << 10) | (insn.rm << 3)) | (insn.reg << 28)) >>> 0;

const DESCRIPTOR_IDENTITY: Readonly<Record<string, number>> = { SGDT: 0, SIDT: 1, LGDT: 2, LIDT: 3 };
const SYSTEM_IDENTITY: Readonly<Record<string, number>> = { SLDT: 0, STR: 1, LLDT: 2, LTR: 3 };

/** LGDT, LIDT, SGDT, SIDT: the instruction in 29:28, operand size in 11 */
export const descriptorTableInformation = (insn: Instruction): number =>
  (memoryOperand(insn) |
    (insn.operandSize === 16 ? 0 : 1 << 11) |
    ((DESCRIPTOR_IDENTITY[insn.row.mnemonic] ?? 0) << 28)) >>>
  0;

/** LLDT, LTR, SLDT, STR: memory or register in 10, the register in 6:3, the instruction in 29:28 */
export const systemSegmentInformation = (insn: Instruction): number =>
  ((insn.isMemory ? memoryOperand(insn) : (1 << 10) | (insn.rm << 3)) |
    ((SYSTEM_IDENTITY[insn.row.mnemonic] ?? 0) << 28)) >>>
  0;

/** RDRAND and RDSEED: destination in 6:3, operand size in 12:11 */
export const randomInformation = (insn: Instruction): number =>
  (insn.rm << 3) | ((OPERAND_SIZE[insn.operandSize] ?? 0) << 11);

/** INS and OUTS: address size in 9:7, segment in 17:15 */
export const stringIoInformation = (insn: Instruction): number =>
  ((ADDRESS_SIZE[insn.addressSize] ?? 0) << 7) | (insn.segment << 15);

/** Fills `core.exit` for an instruction that causes a VM exit; RF is saved as 0 (SDM vol. 3, 28.3.3). */
export function instructionExit(
  core: VmxCore,
  insn: Instruction,
  reason: number,
  qualification = 0n,
  information = 0,
): void {
  const exit = core.exit.reset(reason, qualification);
  exit.instructionLength = insn.length;
  exit.instructionInformation = information;
  exit.resumeFlag = 'clear';
}
