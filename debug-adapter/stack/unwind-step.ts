import type { MemoryReader, RegisterValues } from '../symbols/api';
import { littleEndian } from '../symbols/bytes';
import type { LoadedProgram, ProgramSet } from '../symbols/program-set';

/** A caller as a method of unwinding finds it; `stop` says why there is none. */
export type CallerStep =
  | {
      readonly registers: RegisterValues;
      readonly cfa: bigint;
      readonly by: 'cfi' | 'epilogue' | 'frame pointer';
      /** The caller was interrupted, so its pc is not behind a call */
      readonly interrupted: boolean;
    }
  | { readonly stop: string; readonly cfa?: bigint };

/** What the methods need to know of one physical frame. */
export interface UnwindInput {
  readonly set: ProgramSet;
  readonly image: LoadedProgram | undefined;
  readonly pc: bigint;
  readonly lookup: bigint;
  readonly registers: RegisterValues;
  readonly memory: MemoryReader;
  readonly addressSize: 4 | 8;
}

/** An address in memory, undefined where it cannot be read */
export function readWord(memory: MemoryReader, address: bigint, size: 4 | 8): bigint | undefined {
  const bytes = memory(BigInt.asUintN(size * 8, address), size);
  return bytes.length < size ? undefined : littleEndian(bytes.subarray(0, size));
}
