import { EMPTY, u32Bytes } from './buffer';
import { Alg, Ht, NvAttribute, ObjectAttribute, Rc, Rh } from './constants';
import { fail } from './error';
import { nvName } from './nv';
import { authValueOf, subjectToDictionaryAttack, type KeyObject, type TpmObject } from './object';
import { has } from './public-area';
import type { TpmState } from './tpm-state';

/** What a handle names, whatever kind it is: its authorization, its Name, and whether it is there (Part 1, clause 15). */

export const handleType = (handle: number): number => handle >>> 24;

export function objectAt(tpm: TpmState, handle: number): TpmObject | undefined {
  return handleType(handle) === Ht.PERSISTENT ? tpm.nv.persistent.get(handle) : tpm.objects.find(handle);
}

/** The key of a handle; a sequence is TPM_RC_TYPE. */
export function keyAt(tpm: TpmState, handle: number): KeyObject {
  const object = objectAt(tpm, handle) ?? fail(Rc.HANDLE);
  return object.kind === 'key' ? object : fail(Rc.TYPE);
}

/** Response code for an entity that cannot be used now; `index` is that of the handle, from 0. */
export function loadStatus(tpm: TpmState, handle: number, index: number): number {
  switch (handleType(handle)) {
    case Ht.TRANSIENT:
      return tpm.objects.find(handle) ? Rc.SUCCESS : Rc.REFERENCE_H0 + index;
    case Ht.PERSISTENT: {
      const object = tpm.nv.persistent.get(handle);
      return object && tpm.hierarchies.get(object.hierarchy).enabled ? Rc.SUCCESS : Rc.HANDLE;
    }
    case Ht.NV_INDEX: {
      const nv = tpm.nv.indexes.get(handle);
      const owner = nv && nv.attributes & NvAttribute.PLATFORMCREATE ? Rh.PLATFORM : Rh.OWNER;
      return nv && tpm.hierarchies.get(owner).enabled ? Rc.SUCCESS : Rc.HANDLE;
    }
    case Ht.HMAC_SESSION:
    case Ht.POLICY_SESSION:
      return tpm.sessions.find(handle) ? Rc.SUCCESS : Rc.REFERENCE_H0 + index;
    case Ht.PERMANENT:
      if (handle === Rh.PLATFORM || handle === Rh.OWNER || handle === Rh.ENDORSEMENT)
        return tpm.hierarchies.get(handle).enabled ? Rc.SUCCESS : Rc.HIERARCHY;
      return Rc.SUCCESS;
    default:
      return Rc.SUCCESS;
  }
}

export function authOf(tpm: TpmState, handle: number): Uint8Array {
  switch (handleType(handle)) {
    case Ht.TRANSIENT:
    case Ht.PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object ? authValueOf(object) : EMPTY;
    }
    case Ht.NV_INDEX:
      return tpm.nv.indexes.get(handle)?.auth ?? EMPTY;
    case Ht.PERMANENT:
      return tpm.hierarchies.get(handle).auth;
    default:
      return EMPTY;
  }
}

export interface AuthPolicy {
  readonly alg: number;
  readonly digest: Uint8Array;
}

const NO_POLICY: AuthPolicy = { alg: Alg.NULL, digest: EMPTY };

export function policyOf(tpm: TpmState, handle: number): AuthPolicy {
  switch (handleType(handle)) {
    case Ht.TRANSIENT:
    case Ht.PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object?.kind === 'key' ? { alg: object.area.nameAlg, digest: object.area.authPolicy } : NO_POLICY;
    }
    case Ht.NV_INDEX: {
      const nv = tpm.nv.indexes.get(handle);
      return nv ? { alg: nv.nameAlg, digest: nv.policy } : NO_POLICY;
    }
    case Ht.PERMANENT: {
      const { policyAlg, policy } = tpm.hierarchies.get(handle);
      return { alg: policyAlg, digest: policy };
    }
    default:
      return NO_POLICY;
  }
}

/** The Name: of an object or index its digest, of everything else the handle (Part 1, clause 16) */
export function nameOfEntity(tpm: TpmState, handle: number): Uint8Array {
  switch (handleType(handle)) {
    case Ht.TRANSIENT:
    case Ht.PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object?.kind === 'key' ? object.name : EMPTY;
    }
    case Ht.NV_INDEX: {
      const nv = tpm.nv.indexes.get(handle);
      return nv ? nvName(nv) : EMPTY;
    }
    default:
      return u32Bytes(handle);
  }
}

/** A wrong authorization counts against the dictionary-attack limit (Part 1, clause 19.8.3). */
export function protectedFromGuessing(tpm: TpmState, handle: number): boolean {
  switch (handleType(handle)) {
    case Ht.TRANSIENT:
    case Ht.PERSISTENT: {
      const object = objectAt(tpm, handle);
      return object !== undefined && subjectToDictionaryAttack(object);
    }
    case Ht.NV_INDEX:
      return !((tpm.nv.indexes.get(handle)?.attributes ?? 0) & NvAttribute.NO_DA);
    default:
      return false;
  }
}

export type Role = 'user' | 'admin';
export type NvAccess = 'read' | 'write' | undefined;

/** Password and HMAC authorization may be used for this role (Part 1, clause 19.2). */
export function authValueUsable(tpm: TpmState, handle: number, role: Role, nvAccess: NvAccess): boolean {
  const object = objectAt(tpm, handle);
  if (object?.kind === 'key') {
    // Without its sensitive area an object has no authorization value.
    if (!object.sensitive && role === 'user') return has(object.area, ObjectAttribute.USER_WITH_AUTH);
    return role === 'user'
      ? has(object.area, ObjectAttribute.USER_WITH_AUTH)
      : !has(object.area, ObjectAttribute.ADMIN_WITH_POLICY);
  }
  const nv = handleType(handle) === Ht.NV_INDEX ? tpm.nv.indexes.get(handle) : undefined;
  if (!nv) return true;
  if (role === 'admin') return false;
  if (nvAccess === 'read') return has(nv, NvAttribute.AUTHREAD);
  return nvAccess !== 'write' || has(nv, NvAttribute.AUTHWRITE);
}

export function policyUsable(tpm: TpmState, handle: number, nvAccess: NvAccess): boolean {
  if (policyOf(tpm, handle).digest.length === 0) return false;
  const nv = handleType(handle) === Ht.NV_INDEX ? tpm.nv.indexes.get(handle) : undefined;
  if (!nv) return true;
  if (nvAccess === 'read') return has(nv, NvAttribute.POLICYREAD);
  return nvAccess !== 'write' || has(nv, NvAttribute.POLICYWRITE);
}
