import type { StateReader, StateWriter } from '../device';
import { EMPTY } from './buffer';
import { Alg, Rc, Rh } from './constants';
import type { Drbg } from './drbg';
import { fail } from './error';

const SEED_SIZE = 32;
const PROOF_SIZE = 64;

/** A hierarchy (Part 1, clause 13): its authorization, the seed of its primary keys, and the proof in its tickets */
export interface Hierarchy {
  enabled: boolean;
  auth: Uint8Array;
  policy: Uint8Array;
  policyAlg: number;
  seed: Uint8Array;
  proof: Uint8Array;
}

const ORDER = [Rh.PLATFORM, Rh.OWNER, Rh.ENDORSEMENT, Rh.NULL, Rh.LOCKOUT] as const;

export class Hierarchies {
  private readonly all = new Map<number, Hierarchy>();
  /** TPM2_Clear is allowed only by... nobody: set by TPM2_ClearControl */
  clearDisabled = false;

  constructor(drbg: Drbg) {
    for (const handle of ORDER) {
      this.all.set(handle, {
        enabled: true,
        auth: EMPTY,
        policy: EMPTY,
        policyAlg: Alg.NULL,
        seed: drbg.bytes(SEED_SIZE),
        proof: drbg.bytes(PROOF_SIZE),
      });
    }
  }

  get(handle: number): Hierarchy {
    return this.all.get(handle) ?? fail(Rc.VALUE);
  }

  /** The proof of the hierarchy, with which the TPM recognizes its own tickets and contexts */
  proof(handle: number): Uint8Array {
    return this.get(handle).proof;
  }

  /** A TPM Reset gives the Null hierarchy a new seed and proof (Part 1, clause 13.4). */
  renewNull(drbg: Drbg): void {
    const none = this.get(Rh.NULL);
    none.seed = drbg.bytes(SEED_SIZE);
    none.proof = drbg.bytes(PROOF_SIZE);
  }

  /** Startup(CLEAR): the platform starts without authorization, and every hierarchy is enabled again. */
  startupClear(): void {
    const platform = this.get(Rh.PLATFORM);
    platform.auth = EMPTY;
    platform.policy = EMPTY;
    platform.policyAlg = Alg.NULL;
    for (const hierarchy of this.all.values()) hierarchy.enabled = true;
  }

  /** TPM2_Clear (Part 3, clause 24.6): the owner's seed changes, its authorizations are gone. */
  clearOwner(drbg: Drbg): void {
    const owner = this.get(Rh.OWNER);
    owner.seed = drbg.bytes(SEED_SIZE);
    owner.proof = drbg.bytes(PROOF_SIZE);
    this.get(Rh.ENDORSEMENT).proof = drbg.bytes(PROOF_SIZE);
    for (const handle of [Rh.OWNER, Rh.ENDORSEMENT, Rh.LOCKOUT]) {
      const hierarchy = this.get(handle);
      hierarchy.auth = EMPTY;
      hierarchy.policy = EMPTY;
      hierarchy.policyAlg = Alg.NULL;
    }
    this.get(Rh.OWNER).enabled = true;
    this.get(Rh.ENDORSEMENT).enabled = true;
    this.clearDisabled = false;
  }

  save(out: StateWriter): void {
    out.u8(this.clearDisabled ? 1 : 0);
    for (const { enabled, auth, policy, policyAlg, seed, proof } of this.all.values()) {
      out.u8(enabled ? 1 : 0);
      out.u32(policyAlg);
      for (const part of [auth, policy, seed, proof]) out.blob(part);
    }
  }

  restore(from: StateReader): void {
    this.clearDisabled = from.u8() !== 0;
    for (const hierarchy of this.all.values()) {
      hierarchy.enabled = from.u8() !== 0;
      hierarchy.policyAlg = from.u32();
      hierarchy.auth = from.blob();
      hierarchy.policy = from.blob();
      hierarchy.seed = from.blob();
      hierarchy.proof = from.blob();
    }
  }
}
