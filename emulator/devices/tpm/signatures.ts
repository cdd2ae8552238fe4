import { equal, TpmReader, TpmWriter } from './buffer';
import { Alg, ObjectAttribute, Rc } from './constants';
import { sign as ecdsaSign, verify as ecdsaVerify, type EcdsaSignature } from './ecc';
import { fail } from './error';
import { digestSize, hmac } from './hash';
import type { KeyObject } from './object';
import { has, readHashAlg, type Scheme } from './public-area';

/** TPMT_SIGNATURE: ECDSA, HMAC, or none */
export interface Signature {
  readonly alg: number;
  readonly hash: number;
  readonly ecdsa?: EcdsaSignature;
  readonly hmac?: Uint8Array;
}

export const NO_SIGNATURE: Signature = { alg: Alg.NULL, hash: Alg.NULL };
const ECC_PARAMETER = 48;

export function readSignature(from: TpmReader): Signature {
  const alg = from.u16();
  if (alg === Alg.NULL) return NO_SIGNATURE;
  if (alg !== Alg.ECDSA && alg !== Alg.HMAC) fail(Rc.SCHEME);
  const hash = readHashAlg(from);
  if (alg === Alg.HMAC) return { alg, hash, hmac: from.fixed(digestSize(hash)) };
  return { alg, hash, ecdsa: { r: from.sized(ECC_PARAMETER), s: from.sized(ECC_PARAMETER) } };
}

export function writeSignature(out: TpmWriter, { alg, hash, ecdsa, hmac: mac }: Signature): TpmWriter {
  out.u16(alg);
  if (alg === Alg.NULL) return out;
  out.u16(hash);
  if (ecdsa) out.sized(ecdsa.r).sized(ecdsa.s);
  return mac ? out.raw(mac) : out;
}

export const isSigningKey = ({ area }: KeyObject): boolean => has(area, ObjectAttribute.SIGN);

/** The scheme to sign with: the key's, which the caller may repeat, or else the caller's (Part 1, clause 27.2). */
export function selectScheme({ area }: KeyObject, wanted: Scheme): Scheme {
  const own = area.scheme;
  const chosen = own.alg === Alg.NULL ? wanted : own;
  if (wanted.alg !== Alg.NULL && own.alg !== Alg.NULL && (wanted.alg !== own.alg || wanted.hash !== own.hash))
    fail(Rc.SCHEME);
  const fits = area.type === Alg.ECC ? Alg.ECDSA : Alg.HMAC;
  return chosen.alg === fits ? chosen : fail(Rc.SCHEME);
}

export function signDigest(key: KeyObject, { alg, hash }: Scheme, digest: Uint8Array): Signature {
  const secret = key.sensitive?.secret ?? fail(Rc.KEY);
  if (alg === Alg.HMAC) return { alg, hash, hmac: hmac(hash, secret, digest) };
  return { alg, hash, ecdsa: ecdsaSign(key.area.curve, secret, digest) };
}

/** @throws TPM_RC_SIGNATURE, or TPM_RC_SCHEME when the key does not sign so */
export function verifySignature(key: KeyObject, digest: Uint8Array, signature: Signature): void {
  const { area } = key;
  const own = area.scheme;
  const fits = area.type === Alg.ECC ? Alg.ECDSA : Alg.HMAC;
  if (signature.alg !== fits) fail(Rc.SCHEME);
  if (own.alg !== Alg.NULL && (own.alg !== signature.alg || own.hash !== signature.hash)) fail(Rc.SCHEME);
  if (signature.ecdsa) {
    if (!ecdsaVerify(area.curve, area.point, digest, signature.ecdsa)) fail(Rc.SIGNATURE);
    return;
  }
  const secret = key.sensitive?.secret ?? fail(Rc.HANDLE);
  if (!signature.hmac || !equal(hmac(signature.hash, secret, digest), signature.hmac)) fail(Rc.SIGNATURE);
}
