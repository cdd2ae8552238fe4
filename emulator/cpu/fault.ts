import { exceptionRow } from '../arch/exceptions';

/** The exception that a helper raises. One object a processor, reused: who keeps it copies the fields. */
export class ProcessorFault extends Error {
  override name = 'ProcessorFault';
  vector = 0;
  errorCode: number | undefined;
  /** #PF: goes to CR2. #DB: bits for DR6. */
  payload = 0n;

  set(vector: number, errorCode: number | undefined, payload: bigint): this {
    this.vector = vector;
    this.errorCode = errorCode;
    this.payload = payload;
    return this;
  }
}

/** Thrown after a VM exit was taken: unwinds the helper without committing anything. */
export class ExitTaken extends Error {
  override name = 'ExitTaken';
}

/** How two exceptions in a row combine (SDM vol. 3, table "Conditions for Generating a Double Fault"). */
export function combine(first: number | undefined, second: number): 'serial' | 'double' | 'triple' {
  const a = first === undefined ? 'benign' : (exceptionRow(first)?.class ?? 'benign');
  const b = exceptionRow(second)?.class ?? 'benign';
  const secondSerious = b === 'contributory' || b === 'page fault';
  if (a === 'double fault') return secondSerious ? 'triple' : 'serial';
  if (a === 'contributory') return b === 'contributory' ? 'double' : 'serial';
  if (a === 'page fault') return secondSerious ? 'double' : 'serial';
  return 'serial';
}

/** The program asks for something that this processor does not implement; ends the run with a clear message. */
export class UnsupportedOperation extends Error {
  override name = 'UnsupportedOperation';
}
