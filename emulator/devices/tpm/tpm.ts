import type { StateReader, StateWriter } from '../device';
import { ascii } from './buffer';
import { executeCommand } from './command-processor';
import { HashSequence } from './hash';
import { DRTM_PCR, SRTM_PCR } from './pcrs';
import { TpmState } from './tpm-state';

export interface TpmOptions {
  /** What all seeds and random numbers of this TPM come from: another name is another TPM. */
  readonly seed: string;
  /** Virtual time since power-on */
  readonly milliseconds: () => number;
}

/**
 * A TPM 2.0 (TCG Trusted Platform Module Library 1.59; PC Client Platform TPM Profile 1.05): commands in, responses out,
 * and the hardware signals of Part 1, clause 12.2. The interfaces to the processor are other files.
 */
export class Tpm {
  private readonly state: TpmState;

  constructor({ seed, milliseconds }: TpmOptions) {
    this.state = new TpmState(ascii(seed), milliseconds);
  }

  execute(command: Uint8Array, locality: number): Uint8Array {
    return executeCommand(this.state, command, locality);
  }

  /** What led to failure mode, if something did */
  get failureCause(): unknown {
    return this.state.failureCause;
  }

  /** _TPM_Init */
  reset(): void {
    this.state.reset();
  }

  /** _TPM_Hash_Start: a measurement by hardware begins, of the dynamic root of trust, or before Startup of the static. */
  hashStart(): void {
    const { state } = this;
    state.measuring = state.pcrs.banks.map((alg) => new HashSequence(alg));
  }

  hashData(bytes: Uint8Array): void {
    for (const digest of this.state.measuring ?? []) digest.update(bytes);
  }

  /** _TPM_Hash_End (Part 3, clause 22.11) */
  hashEnd(): void {
    const { state } = this;
    const { measuring } = state;
    if (!measuring) return;
    state.measuring = undefined;
    if (state.started) state.pcrs.resetDynamic();
    else {
      state.pcrs.prepareStaticRoot();
      state.rootMeasured = true;
    }
    const pcr = state.started ? DRTM_PCR : SRTM_PCR;
    for (const digest of measuring) state.pcrs.extend(digest.alg, pcr, digest.digest());
  }

  /** The value of a PCR in a bank; undefined when there is no such. For the debugger: changes nothing. */
  pcr(alg: number, pcr: number): Uint8Array | undefined {
    return this.state.pcrs.banks.includes(alg) && pcr >= 0 && pcr < 24
      ? this.state.pcrs.value(alg, pcr).slice()
      : undefined;
  }

  get banks(): readonly number[] {
    return this.state.pcrs.banks;
  }

  save(out: StateWriter): void {
    this.state.save(out);
  }

  restore(from: StateReader): void {
    this.state.restore(from);
  }
}
