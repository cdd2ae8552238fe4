import { vectorName } from './exceptions';

/**
 * The interruption-information format shared by VM-entry, VM-exit and IDT-vectoring fields (SDM vol. 3, 25.8.3,
 * 25.9.2, 25.9.3): vector in bits 7:0, type in 10:8, error code valid in 11, NMI unblocking in 12, valid in 31.
 */
export const InterruptionType = {
  EXTERNAL_INTERRUPT: 0,
  NMI: 2,
  HARDWARE_EXCEPTION: 3,
  SOFTWARE_INTERRUPT: 4,
  PRIVILEGED_SOFTWARE_EXCEPTION: 5,
  SOFTWARE_EXCEPTION: 6,
  OTHER_EVENT: 7,
} as const;

/** Raised by an instruction, behind which the handler returns: INT n, INT1, INT3, INTO */
export const isSoftwareEvent = (type: number): boolean =>
  type === InterruptionType.SOFTWARE_INTERRUPT ||
  type === InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION ||
  type === InterruptionType.SOFTWARE_EXCEPTION;

export const INTERRUPTION_TYPE_NAMES = [
  'external interrupt',
  'reserved type 1',
  'non-maskable interrupt',
  'hardware exception',
  'software interrupt (INT n)',
  'privileged software exception (INT1)',
  'software exception (INT3 or INTO)',
  'other event',
] as const;

export const InterruptionInformation = {
  VECTOR: 0xff,
  TYPE_SHIFT: 8,
  ERROR_CODE_VALID: 1 << 11,
  NMI_UNBLOCKING_DUE_TO_IRET: 1 << 12,
  VALID: 0x8000_0000,
} as const;

export const interruptionVector = (information: number): number => information & 0xff;
export const interruptionType = (information: number): number => (information >>> 8) & 7;
export const interruptionValid = (information: number): boolean => information >>> 31 === 1;
export const interruptionHasErrorCode = (information: number): boolean => (information & (1 << 11)) !== 0;

/** An unsigned 32-bit information field with the valid bit set. */
export const interruptionInformation = (vector: number, type: number, hasErrorCode: boolean): number =>
  (0x8000_0000 | (hasErrorCode ? 1 << 11 : 0) | (type << 8) | (vector & 0xff)) >>> 0;

/** "#PF (hardware exception), error code 0x2"; "nothing" when the valid bit is clear. */
export function describeInterruption(information: number, errorCode?: number): string {
  if (!interruptionValid(information)) return 'nothing';
  const type = interruptionType(information);
  const vector = interruptionVector(information);
  const name =
    type === InterruptionType.OTHER_EVENT
      ? 'pending MTF VM exit'
      : `${type === InterruptionType.EXTERNAL_INTERRUPT || type === InterruptionType.SOFTWARE_INTERRUPT ? `vector 0x${vector.toString(16)}` : vectorName(vector)} (${INTERRUPTION_TYPE_NAMES[type] ?? ''})`;
  const code =
    interruptionHasErrorCode(information) && errorCode !== undefined ? `, error code 0x${errorCode.toString(16)}` : '';
  const unblocking = information & (1 << 12) ? ', NMI unblocking due to IRET' : '';
  return name + code + unblocking;
}
