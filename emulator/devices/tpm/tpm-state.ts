import type { StateReader, StateWriter } from '../device';
import { Su } from './constants';
import { Drbg } from './drbg';
import { HashSequence } from './hash';
import { Hierarchies } from './hierarchies';
import { Lockout } from './lockout';
import { NvMemory } from './nv';
import { ObjectSlots } from './object-slots';
import { Pcrs } from './pcrs';
import { Sessions } from './sessions';

/** Everything that a TPM remembers; commands act on it. */
export class TpmState {
  readonly drbg: Drbg;
  readonly hierarchies: Hierarchies;
  readonly pcrs = new Pcrs();
  readonly objects = new ObjectSlots();
  readonly sessions = new Sessions();
  readonly nv = new NvMemory();
  readonly lockout = new Lockout();
  /** Startup has been done since the last reset. */
  started = false;
  /** Something failed inside: only its test result can be read until the next reset (Part 1, clause 12.4). */
  failed = false;
  /** The mistake of this implementation that led to failure mode; no part of the state */
  failureCause: unknown;
  /** The last orderly shutdown's TPM_SU; -1: there was none */
  shutdown = -1;
  /** The host's root of trust was measured before Startup, or Startup came from locality 3: PCR 0 is set already. */
  rootMeasured = false;
  startupLocality = 0;
  resetCount = 0;
  restartCount = 0;
  /** Counts every context that is saved, so that none repeats */
  contextCount = 0n;
  clearCount = 0;
  /** Milliseconds that Clock has more than the virtual time since power-on, and virtual time of the last reset */
  clockOffset = 0;
  resetAt = 0;
  /** The measurement of a dynamic or static root of trust under way: one digest for each bank */
  measuring: HashSequence[] | undefined;

  /** @param milliseconds virtual time since power-on */
  constructor(
    seed: Uint8Array,
    readonly milliseconds: () => number,
  ) {
    this.drbg = new Drbg(seed);
    this.hierarchies = new Hierarchies(this.drbg);
  }

  /** Clock of TPMS_CLOCK_INFO */
  get clock(): number {
    return Math.floor(this.milliseconds()) + this.clockOffset;
  }

  /** Time of TPMS_TIME_INFO: since the last _TPM_Init */
  get time(): number {
    return Math.floor(this.milliseconds()) - this.resetAt;
  }

  get seconds(): number {
    return this.clock / 1000;
  }

  /** _TPM_Init: the platform's reset line. What is not in NV memory or kept by Shutdown(STATE) is gone. */
  reset(): void {
    this.started = false;
    this.failed = false;
    this.rootMeasured = false;
    this.startupLocality = 0;
    this.measuring = undefined;
    this.resetAt = Math.floor(this.milliseconds());
    this.objects.flushWhere(() => true);
    if (this.shutdown !== Su.STATE) this.sessions.clear();
    else for (const handle of this.sessions.handles(false)) this.sessions.flush(handle);
  }

  save(out: StateWriter): void {
    for (const flag of [this.started, this.failed, this.rootMeasured]) out.u8(flag ? 1 : 0);
    for (const number of [
      this.shutdown,
      this.startupLocality,
      this.resetCount,
      this.restartCount,
      this.clearCount,
      this.clockOffset,
      this.resetAt,
    ])
      out.f64(number);
    out.u64(this.contextCount);
    out.u8(this.measuring?.length ?? 0);
    for (const digest of this.measuring ?? []) digest.save(out);
    for (const part of this.parts()) part.save(out);
  }

  restore(from: StateReader): void {
    this.started = from.u8() !== 0;
    this.failed = from.u8() !== 0;
    this.rootMeasured = from.u8() !== 0;
    this.shutdown = from.f64();
    this.startupLocality = from.f64();
    this.resetCount = from.f64();
    this.restartCount = from.f64();
    this.clearCount = from.f64();
    this.clockOffset = from.f64();
    this.resetAt = from.f64();
    this.contextCount = from.u64();
    const measuring = Array.from({ length: from.u8() }, () => HashSequence.restore(from));
    this.measuring = measuring.length > 0 ? measuring : undefined;
    for (const part of this.parts()) part.restore(from);
  }

  private parts() {
    return [this.drbg, this.hierarchies, this.pcrs, this.objects, this.sessions, this.nv, this.lockout];
  }
}
