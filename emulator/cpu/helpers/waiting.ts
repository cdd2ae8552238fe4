import { Vector } from '../../arch/exceptions';
import type { Helper, HelperTable } from '../processor';

const pause: Helper = (cpu, insn) => void cpu.exits(insn);

/** Instructions whose feature CPUID does not announce, and UD0 to UD2. */
const undefinedInstruction: Helper = (cpu) => {
  throw cpu.fault(Vector.UD);
};

export const waitingHelpers: HelperTable = {
  pause,
  ud: undefinedInstruction,
  monitor: undefinedInstruction,
  mwait: undefinedInstruction,
  rdrand: undefinedInstruction,
  rdseed: undefinedInstruction,
  invpcid: undefinedInstruction,
};
