import type { CpuState } from '../state';

/** What GETSEC reaches outside of its processor: the chipset and the TPM. Absent: the processor has no SMX. */
export interface SaferModePlatform {
  /** The other processors, which answer the rendezvous */
  others(index: number): readonly CpuState[];
  /** The TPM's locality 4: PCR 17 to 22 start anew, and PCR 17 takes the digest of what is sent. */
  measure(parts: readonly Uint8Array[]): void;
  /** SENTER is done: the private registers and the TPM's locality 3 are open. */
  launched(): void;
  /** EXITAC: trusted code of the chipset has ended; locality 3 closes. */
  moduleEnded(): void;
  /** SEXIT: private registers and localities close. */
  ended(): void;
  /** TXT.MLE.JOIN: where WAKEUP finds what it loads into the other processors */
  readonly join: bigint;
  /** The launch fails where no exception can tell it: TXT.ERRORCODE, and a TXT reset of the platform */
  failed(code: number, why: string): void;
}
