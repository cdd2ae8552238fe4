import { Ht, Rh } from './constants';
import { TRANSIENT_OBJECTS } from './object-slots';
import { PCR_COUNT } from './pcrs';
import { ACTIVE_SESSIONS } from './sessions';

const type = (handle: number): number => handle >>> 24;
const oneOf =
  (...handles: readonly number[]) =>
  (handle: number): boolean =>
    handles.includes(handle);

const isTransient = (handle: number): boolean =>
  type(handle) === Ht.TRANSIENT && (handle & 0xffffff) < TRANSIENT_OBJECTS;
const isObject = (handle: number): boolean => isTransient(handle) || type(handle) === Ht.PERSISTENT;
const isPcr = (handle: number): boolean => handle < PCR_COUNT;
const isNv = (handle: number): boolean => type(handle) === Ht.NV_INDEX;
const isHierarchy = oneOf(Rh.OWNER, Rh.PLATFORM, Rh.ENDORSEMENT);
const isSessionOf =
  (...types: readonly number[]) =>
  (handle: number): boolean =>
    types.includes(type(handle)) && (handle & 0xffffff) < ACTIVE_SESSIONS;
const isSession = isSessionOf(Ht.HMAC_SESSION, Ht.POLICY_SESSION);
const isEntity = (handle: number): boolean =>
  isHierarchy(handle) || handle === Rh.LOCKOUT || isObject(handle) || isNv(handle) || isPcr(handle);

/** The interface types for handles (Part 2, clause 9): which values each takes. Others are TPM_RC_VALUE. */
export const HANDLE_KINDS = {
  object: isObject,
  'object or null': (handle: number) => isObject(handle) || handle === Rh.NULL,
  parent: (handle: number) => isObject(handle) || isHierarchy(handle) || handle === Rh.NULL,
  hierarchy: isHierarchy,
  'hierarchy or null': (handle: number) => isHierarchy(handle) || handle === Rh.NULL,
  'hierarchy or lockout': (handle: number) => isHierarchy(handle) || handle === Rh.LOCKOUT,
  provision: oneOf(Rh.OWNER, Rh.PLATFORM),
  platform: oneOf(Rh.PLATFORM),
  clear: oneOf(Rh.LOCKOUT, Rh.PLATFORM),
  lockout: oneOf(Rh.LOCKOUT),
  endorsement: oneOf(Rh.ENDORSEMENT),
  pcr: isPcr,
  'pcr or null': (handle: number) => isPcr(handle) || handle === Rh.NULL,
  entity: isEntity,
  'entity or null': (handle: number) => isEntity(handle) || handle === Rh.NULL,
  'NV index': isNv,
  'NV authorization': (handle: number) => handle === Rh.OWNER || handle === Rh.PLATFORM || isNv(handle),
  'policy session': isSessionOf(Ht.POLICY_SESSION),
  context: (handle: number) => isSession(handle) || isTransient(handle),
} as const satisfies Record<string, (handle: number) => boolean>;

export type HandleKind = keyof typeof HANDLE_KINDS;
