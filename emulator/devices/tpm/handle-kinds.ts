import { Ht, Rh } from './constants';
import { PCR_COUNT } from './pcrs';

const type = (handle: number): number => handle >>> 24;
const oneOf =
  (...handles: readonly number[]) =>
  (handle: number): boolean =>
    handles.includes(handle);

const isObject = (handle: number): boolean => type(handle) === Ht.TRANSIENT || type(handle) === Ht.PERSISTENT;
const isPcr = (handle: number): boolean => handle < PCR_COUNT;
const isNv = (handle: number): boolean => type(handle) === Ht.NV_INDEX;
const isHierarchy = oneOf(Rh.OWNER, Rh.PLATFORM, Rh.ENDORSEMENT);
const isSession = (handle: number): boolean => type(handle) === Ht.HMAC_SESSION || type(handle) === Ht.POLICY_SESSION;
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
  'policy session': (handle: number) => type(handle) === Ht.POLICY_SESSION,
  'HMAC session': (handle: number) => type(handle) === Ht.HMAC_SESSION,
  context: (handle: number) => isSession(handle) || type(handle) === Ht.TRANSIENT,
} as const satisfies Record<string, (handle: number) => boolean>;

export type HandleKind = keyof typeof HANDLE_KINDS;
