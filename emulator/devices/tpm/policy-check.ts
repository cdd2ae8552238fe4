import { equal } from './buffer';
import { Ht, NvAttribute, Rc } from './constants';
import { handleType, type AuthPolicy, type Role } from './entities';
import type { Session } from './sessions';
import type { TpmState } from './tpm-state';

export interface PolicyUse {
  readonly commandCode: number;
  readonly role: Role;
  readonly locality: number;
  readonly policy: AuthPolicy;
  readonly entity: number;
  readonly cpHash: () => Uint8Array;
  readonly nameHash: () => Uint8Array;
}

/** Whether a policy session authorizes this use of an entity (Part 1, clause 19.7.11): 0, or why it does not. */
export function policyFailure(tpm: TpmState, session: Session, use: PolicyUse): number {
  const { policy } = session;
  if (policy.expires !== 0 && tpm.time > policy.expires) return Rc.EXPIRED;
  if (policy.cpHash.length > 0 && !equal(policy.cpHash, use.cpHash())) return Rc.POLICY_FAIL;
  if (policy.nameHash.length > 0 && !equal(policy.nameHash, use.nameHash())) return Rc.POLICY_FAIL;
  if (policy.commandCode !== 0) {
    if (policy.commandCode !== use.commandCode) return Rc.POLICY_CC;
  } else if (use.role === 'admin') return Rc.POLICY_FAIL; // The role asks for a policy that names the command.
  if (policy.locality !== 0 && !localityAllowed(policy.locality, use.locality)) return Rc.LOCALITY;
  if (policy.pcrUpdates >= 0 && policy.pcrUpdates !== tpm.pcrs.updates) return Rc.PCR_CHANGED;
  if (policy.nvWritten >= 0) {
    const nv = handleType(use.entity) === Ht.NV_INDEX ? tpm.nv.indexes.get(use.entity) : undefined;
    if (!nv || ((nv.attributes & NvAttribute.WRITTEN) !== 0) !== (policy.nvWritten === 1)) return Rc.POLICY_FAIL;
  }
  const { alg, digest } = use.policy;
  return alg === session.start.hash && equal(digest, policy.digest) ? Rc.SUCCESS : Rc.POLICY_FAIL;
}

/** TPMA_LOCALITY: a bit each for 0 to 4, above 31 one extended locality (Part 2, clause 8.5) */
const localityAllowed = (allowed: number, locality: number): boolean =>
  allowed < 32 ? (allowed & (1 << locality)) !== 0 : allowed === locality;
