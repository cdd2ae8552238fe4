import { EMPTY, TpmReader, TpmWriter, concat, u16Bytes } from './buffer';
import { Alg, OBJECT_RESERVED, Rc } from './constants';
import { isCurve, type EccPoint } from './ecc';
import { fail } from './error';
import { hash, isHash, LARGEST_DIGEST } from './hash';

/** TPMT_SYM_DEF_OBJECT (Part 2, clause 11.1.7); `alg` NULL has neither of the others */
export interface SymmetricDefinition {
  readonly alg: number;
  readonly keyBits: number;
  readonly mode: number;
}

/** TPMT_ECC_SCHEME, TPMT_KEYEDHASH_SCHEME, TPMT_SIG_SCHEME, TPMT_KDF_SCHEME: an algorithm and its hash */
export interface Scheme {
  readonly alg: number;
  readonly hash: number;
  /** Only with XOR of a keyed hash */
  readonly kdf?: number;
}

export const NO_SYMMETRIC: SymmetricDefinition = { alg: Alg.NULL, keyBits: 0, mode: 0 };
export const NO_SCHEME: Scheme = { alg: Alg.NULL, hash: Alg.NULL };

/** TPMT_PUBLIC (Part 2, clause 12.2.4) */
export interface PublicArea {
  readonly type: number;
  readonly nameAlg: number;
  readonly attributes: number;
  readonly authPolicy: Uint8Array;
  /** SYMCIPHER: the key's algorithm. ECC: how a parent protects its children. */
  readonly symmetric: SymmetricDefinition;
  /** KEYEDHASH and ECC */
  readonly scheme: Scheme;
  /** ECC */
  readonly curve: number;
  readonly kdf: Scheme;
  /** ECC: the point. Others: a digest in `unique`. */
  readonly point: EccPoint;
  readonly unique: Uint8Array;
}

export const NO_POINT: EccPoint = { x: EMPTY, y: EMPTY };
const ECC_PARAMETER = 48;

export function readHashAlg(from: TpmReader, nullAllowed = false): number {
  const alg = from.u16();
  if (!isHash(alg) && !(nullAllowed && alg === Alg.NULL)) fail(Rc.HASH);
  return alg;
}

/** TPMT_SYM_DEF_OBJECT: AES in CFB mode with 128 or 256 bits */
export function readSymmetricObject(from: TpmReader, nullAllowed: boolean): SymmetricDefinition {
  const alg = from.u16();
  if (alg === Alg.NULL && nullAllowed) return NO_SYMMETRIC;
  if (alg !== Alg.AES) fail(Rc.SYMMETRIC);
  const keyBits = from.u16();
  if (keyBits !== 128 && keyBits !== 256) fail(Rc.VALUE);
  const mode = from.u16();
  if (mode !== Alg.CFB && mode !== Alg.NULL) fail(Rc.MODE);
  return { alg, keyBits, mode };
}

export function writeSymmetricObject(out: TpmWriter, { alg, keyBits, mode }: SymmetricDefinition): TpmWriter {
  out.u16(alg);
  return alg === Alg.NULL ? out : out.u16(keyBits).u16(mode);
}

export function readKeyedHashScheme(from: TpmReader): Scheme {
  const alg = from.u16();
  if (alg === Alg.NULL) return NO_SCHEME;
  if (alg !== Alg.HMAC && alg !== Alg.XOR) fail(Rc.VALUE);
  const scheme: Scheme = { alg, hash: readHashAlg(from) };
  if (alg === Alg.HMAC) return scheme;
  const kdf = from.u16();
  if (kdf !== Alg.KDF1_SP800_108 && kdf !== Alg.KDF1_SP800_56A) fail(Rc.KDF);
  return { ...scheme, kdf };
}

/** TPMT_ECC_SCHEME: ECDSA, ECDH or NULL */
export function readEccScheme(from: TpmReader): Scheme {
  const alg = from.u16();
  if (alg === Alg.NULL) return NO_SCHEME;
  if (alg !== Alg.ECDSA && alg !== Alg.ECDH) fail(Rc.SCHEME);
  return { alg, hash: readHashAlg(from) };
}

/** TPMT_SIG_SCHEME: ECDSA, HMAC or NULL */
export function readSignatureScheme(from: TpmReader): Scheme {
  const alg = from.u16();
  if (alg === Alg.NULL) return NO_SCHEME;
  if (alg !== Alg.ECDSA && alg !== Alg.HMAC) fail(Rc.SCHEME);
  return { alg, hash: readHashAlg(from) };
}

function readKdfScheme(from: TpmReader): Scheme {
  const alg = from.u16();
  if (alg === Alg.NULL) return NO_SCHEME;
  if (alg !== Alg.KDF1_SP800_56A && alg !== Alg.KDF1_SP800_108) fail(Rc.KDF);
  return { alg, hash: readHashAlg(from) };
}

export function writeScheme(out: TpmWriter, { alg, hash: hashAlg, kdf }: Scheme): TpmWriter {
  out.u16(alg);
  if (alg !== Alg.NULL) out.u16(hashAlg);
  return kdf === undefined ? out : out.u16(kdf);
}

export function readCurve(from: TpmReader): number {
  const curve = from.u16();
  if (!isCurve(curve)) fail(Rc.CURVE);
  return curve;
}

export const readPoint = (from: TpmReader): EccPoint => ({
  x: from.sized(ECC_PARAMETER),
  y: from.sized(ECC_PARAMETER),
});

export const writePoint = (out: TpmWriter, { x, y }: EccPoint): TpmWriter => out.sized(x).sized(y);

export const pointBytes = (point: EccPoint): Uint8Array => writePoint(new TpmWriter(), point).finish();

/** What TPMT_PUBLIC_PARMS selects by the type (Part 2, clause 12.2.3.7) */
export type PublicParameters = Pick<PublicArea, 'symmetric' | 'scheme' | 'curve' | 'kdf'>;

export function readObjectType(from: TpmReader): number {
  const type = from.u16();
  if (type !== Alg.KEYEDHASH && type !== Alg.SYMCIPHER && type !== Alg.ECC) fail(Rc.TYPE);
  return type;
}

export function readParameters(from: TpmReader, type: number): PublicParameters {
  const none: PublicParameters = { symmetric: NO_SYMMETRIC, scheme: NO_SCHEME, curve: 0, kdf: NO_SCHEME };
  if (type === Alg.KEYEDHASH) return { ...none, scheme: readKeyedHashScheme(from) };
  if (type === Alg.SYMCIPHER) return { ...none, symmetric: readSymmetricObject(from, false) };
  const symmetric = readSymmetricObject(from, true);
  const scheme = readEccScheme(from);
  return { symmetric, scheme, curve: readCurve(from), kdf: readKdfScheme(from) };
}

export function readPublicArea(from: TpmReader, nullName: boolean): PublicArea {
  const type = readObjectType(from);
  const nameAlg = readHashAlg(from, nullName);
  const attributes = from.u32();
  if (attributes & OBJECT_RESERVED) fail(Rc.RESERVED_BITS);
  const authPolicy = from.sized(LARGEST_DIGEST);
  const parameters = readParameters(from, type);
  const ecc = type === Alg.ECC;
  return {
    type,
    nameAlg,
    attributes,
    authPolicy,
    ...parameters,
    point: ecc ? readPoint(from) : NO_POINT,
    unique: ecc ? EMPTY : from.sized(LARGEST_DIGEST),
  };
}

/** TPM2B_PUBLIC. An empty one is TPM_RC_SIZE; for TPM2_LoadExternal the name algorithm may be NULL. */
export const readPublic =
  (nullName: boolean) =>
  (from: TpmReader): PublicArea => {
    const size = from.u16();
    if (size === 0) fail(Rc.SIZE);
    const start = from.position;
    const area = readPublicArea(from, nullName);
    if (from.position - start !== size) fail(Rc.SIZE);
    return area;
  };

export function publicBytes(area: PublicArea): Uint8Array {
  const out = new TpmWriter().u16(area.type).u16(area.nameAlg).u32(area.attributes).sized(area.authPolicy);
  if (area.type === Alg.SYMCIPHER) writeSymmetricObject(out, area.symmetric);
  else if (area.type === Alg.KEYEDHASH) writeScheme(out, area.scheme);
  else {
    writeSymmetricObject(out, area.symmetric);
    writeScheme(writeScheme(out, area.scheme).u16(area.curve), area.kdf);
    return writePoint(out, area.point).finish();
  }
  return out.sized(area.unique).finish();
}

/** The Name: name algorithm and digest of the public area; empty when the algorithm is NULL (Part 1, clause 16). */
export const nameOf = (area: PublicArea): Uint8Array =>
  area.nameAlg === Alg.NULL ? EMPTY : concat(u16Bytes(area.nameAlg), hash(area.nameAlg, publicBytes(area)));

export const has = (area: { readonly attributes: number }, bit: number): boolean => (area.attributes & bit) !== 0;
