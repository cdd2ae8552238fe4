import { exitReasonSymbol } from '../../arch/exit-reasons';
import type { VmExitRecord } from '../../cpu/taps';
import { effectOf } from '../isolation/effects';
import type { IsolationPolicy } from '../isolation/policy';

const ALL = (1n << 64n) - 1n;
const RAX = 0;
const MOV_TO_CR = 0;
/** Of an I/O instruction's qualification (SDM vol. 3, table 28-5) */
const IO_SIZE = 7n;
const IO_IN = 8n;
const IO_STRING = 16n;

/**
 * Bits of a general register that an exit of a guest shows to its hypervisor: the row of its legal effect, and what the
 * qualification says of the one operand that there is.
 */
export function shownBits(policy: IsolationPolicy, exit: VmExitRecord, register: number): bigint {
  const reason = exit.reason & 0xffff;
  if (effectOf(policy, reason).shows.includes(register)) return ALL;
  switch (exitReasonSymbol(reason)) {
    case 'IO_INSTRUCTION':
      return register === RAX ? outputBits(exit.qualification) : 0n;
    case 'CR_ACCESS':
    case 'MOV_DR':
      return operandOfMove(exit.qualification) === register ? ALL : 0n;
    default:
      return 0n;
  }
}

/** AL, AX or EAX, of OUT only */
function outputBits(qualification: bigint): bigint {
  if (qualification & (IO_IN | IO_STRING)) return 0n;
  return (1n << (8n * ((qualification & IO_SIZE) + 1n))) - 1n;
}

/** The register that is moved to a control or debug register; -1: none is (SDM vol. 3, tables 28-3 and 28-4) */
function operandOfMove(qualification: bigint): number {
  const type = Number((qualification >> 4n) & 3n);
  return type === MOV_TO_CR ? Number((qualification >> 8n) & 15n) : -1;
}
