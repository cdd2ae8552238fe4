import { exitReason, exitReasonName, exitReasonSymbol } from '../../emulator/arch/exit-reasons';
import { describeQualification } from '../../emulator/arch/exit-qualification';
import { vmInstructionErrorText } from '../../emulator/arch/vm-instruction-errors';
import type { VmEntryFailure, VmExitRecord } from '../../emulator/cpu/taps';
import { operandInWords } from './exit-operand';
import { hex } from '../memory/reference';

/** What stopped the machine, in words: for the stopped event and for exceptionInfo. */
export interface Explanation {
  /** "exit:EPT_VIOLATION", "entry:failed", "triple-fault" */
  readonly id: string;
  /** One line */
  readonly title: string;
  /** What it means and what decides about it */
  readonly text: string;
}

export const exitFilterId = (reason: number): string => `exit:${exitReasonSymbol(reason) ?? reason & 0xffff}`;

/** The qualification of an exit and what its instruction was about. `operand`: see exit-operand.ts. */
export function exitInWords(record: VmExitRecord, operand: bigint): string {
  // Its qualification is only a displacement, which says nothing beside the field.
  const said = operandInWords(record.reason, operand);
  if (said !== '') return said;
  return describeQualification(record.reason, record.qualification, {
    guestPhysical: record.guestPhysical,
    guestLinear: record.guestLinear,
    interruptionInformation: record.interruptionInformation,
    interruptionErrorCode: record.interruptionErrorCode,
  });
}

export function explainExit(record: VmExitRecord, operand: bigint, layer: string, symbol: string): Explanation {
  const row = exitReason(record.reason);
  const basic = record.reason & 0xffff;
  const words = exitInWords(record, operand);
  const lines = [
    `VM exit ${record.n} of ${layer} at ${symbol}, reason ${basic}: ${exitReasonName(record.reason)}.`,
    ...(row ? [`${row.explanation} (SDM vol. 3, ${row.section})`] : []),
    words === ''
      ? `Exit qualification ${hex(record.qualification)}.`
      : `Exit qualification ${hex(record.qualification)}: ${words}.`,
  ];
  return {
    id: exitFilterId(record.reason),
    title: `VM exit: ${exitReasonName(record.reason)}${words === '' ? '' : `: ${words}`}`,
    text: lines.join('\n'),
  };
}

export function explainEntryFailure(failure: VmEntryFailure): Explanation {
  const result =
    failure.exitReason !== undefined
      ? `VM exit with reason ${failure.exitReason & 0xffff} (${exitReasonName(failure.exitReason)}), bit 31 set`
      : failure.error === 0
        ? 'VMfailInvalid'
        : `VMfail, VM-instruction error ${failure.error ?? '?'}: ${vmInstructionErrorText(failure.error ?? 0)}`;
  return {
    id: 'entry:failed',
    title: `VM entry failed: ${failure.field} = ${hex(failure.value)}: ${failure.rule} (${failure.section})`,
    text: [
      `VM entry with VMCS ${hex(failure.vmcs)} was refused.`,
      `Field: ${failure.field} = ${hex(failure.value)}`,
      `Rule: ${failure.rule} (${failure.section}, check "${failure.check}")`,
      `Result: ${result}.`,
    ].join('\n'),
  };
}
