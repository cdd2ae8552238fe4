import type { StateReader, StateWriter } from '../device';
import { EMPTY, TpmReader } from './buffer';
import { Alg, ObjectAttribute, Rh } from './constants';
import { HashSequence, HmacSequence } from './hash';
import { has, nameOf, publicBytes, readPublicArea, type PublicArea } from './public-area';
import type { SensitiveArea } from './sensitive-area';

/** A key or sealed data that is loaded, or kept in NV memory. */
export interface KeyObject {
  readonly kind: 'key';
  readonly area: PublicArea;
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
  /** Without it only the public area was loaded. */
  readonly sensitive: SensitiveArea | undefined;
  readonly hierarchy: number;
  /** It came from TPM2_LoadExternal */
  readonly external: boolean;
  /** It, or an ancestor, has stClear: gone after Startup(CLEAR), and for saved contexts */
  readonly stClear: boolean;
}

/** A digest, HMAC or event sequence under way (Part 1, clause 32) */
export interface SequenceObject {
  readonly kind: 'hash' | 'hmac' | 'event';
  readonly auth: Uint8Array;
  readonly states: readonly (HashSequence | HmacSequence)[];
  /** Whether a ticket may be given for the digest: known after the first block */
  safe: boolean | undefined;
}

export type TpmObject = KeyObject | SequenceObject;

const STORAGE_PARENT = ObjectAttribute.RESTRICTED | ObjectAttribute.DECRYPT;

/** Restricted decryption keys protect children; a public area alone, or a keyed hash, cannot (Part 1, clause 23.2). */
export const isStorageParent = ({ area }: KeyObject): boolean =>
  (area.attributes & (STORAGE_PARENT | ObjectAttribute.SIGN)) === STORAGE_PARENT &&
  area.type !== Alg.KEYEDHASH &&
  area.nameAlg !== Alg.NULL;

export const subjectToDictionaryAttack = (object: TpmObject): boolean =>
  object.kind === 'key' && !has(object.area, ObjectAttribute.NO_DA);

export function keyObject(
  area: PublicArea,
  sensitive: SensitiveArea | undefined,
  rest: Pick<KeyObject, 'qualifiedName' | 'hierarchy'> & Partial<Pick<KeyObject, 'external' | 'stClear'>>,
): KeyObject {
  return {
    kind: 'key',
    area,
    name: nameOf(area),
    sensitive,
    external: false,
    stClear: has(area, ObjectAttribute.ST_CLEAR),
    ...rest,
  };
}

const KINDS = ['key', 'hash', 'hmac', 'event'] as const;

export function saveObject(out: StateWriter, object: TpmObject): void {
  out.u8(KINDS.indexOf(object.kind));
  if (object.kind === 'key') {
    out.blob(publicBytes(object.area));
    out.blob(object.qualifiedName);
    out.u32(object.hierarchy);
    out.u8((object.external ? 1 : 0) | (object.stClear ? 2 : 0) | (object.sensitive ? 4 : 0));
    if (!object.sensitive) return;
    const { type, authValue, seedValue, secret } = object.sensitive;
    out.u32(type);
    for (const part of [authValue, seedValue, secret]) out.blob(part);
    return;
  }
  out.blob(object.auth);
  out.u8(object.safe === undefined ? 2 : object.safe ? 1 : 0);
  out.u8(object.states.length);
  for (const state of object.states) state.save(out);
}

export function restoreObject(from: StateReader): TpmObject {
  const kind = KINDS[from.u8()] ?? 'key';
  if (kind === 'key') {
    const area = readPublicArea(new TpmReader(from.blob()), true);
    const qualifiedName = from.blob();
    const hierarchy = from.u32();
    const flags = from.u8();
    const sensitive =
      flags & 4 ? { type: from.u32(), authValue: from.blob(), seedValue: from.blob(), secret: from.blob() } : undefined;
    return keyObject(area, sensitive, {
      qualifiedName,
      hierarchy,
      external: (flags & 1) !== 0,
      stClear: (flags & 2) !== 0,
    });
  }
  const auth = from.blob();
  const safe = [false, true, undefined][from.u8()];
  const states = Array.from({ length: from.u8() }, () =>
    kind === 'hmac' ? HmacSequence.restore(from) : HashSequence.restore(from),
  );
  return { kind, auth, safe, states };
}

/** An object that has no place in the Owner, Endorsement or Platform hierarchy is in the Null hierarchy. */
export const isTemporary = (object: KeyObject): boolean => object.hierarchy === Rh.NULL || object.external;

export const authValueOf = (object: TpmObject): Uint8Array =>
  object.kind === 'key' ? (object.sensitive?.authValue ?? EMPTY) : object.auth;
