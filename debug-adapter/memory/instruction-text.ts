import type { Instruction } from '../../emulator/isa/instruction';

/** The instruction in assembly. `symbol` names branch targets and addresses. */
export const instructionText = (instruction: Instruction, _symbol: (address: bigint) => string | undefined): string =>
  instruction.row.mnemonic.toLowerCase();
