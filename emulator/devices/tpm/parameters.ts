import type { TpmReader } from './buffer';
import { sizedParameter, type Unmarshal } from './command';
import { Alg, Ht, Rc, Rh, St } from './constants';
import { fail } from './error';
import { digestSize, isHash, LARGEST_DIGEST } from './hash';
import {
  readCurve,
  readEccScheme,
  readHashAlg,
  readObjectType,
  readParameters,
  readPoint,
  readPublic,
  readSignatureScheme,
} from './public-area';
import { readSensitive } from './sensitive-area';
import { readSelections } from './pcrs';
import type { SessionCipher } from './sessions';

/** Readers of command parameters (Part 2), each with the response code for what it may not be. */

export const u8: Unmarshal<number> = (from) => from.u8();
export const u16: Unmarshal<number> = (from) => from.u16();
export const u32: Unmarshal<number> = (from) => from.u32();
export const u64: Unmarshal<bigint> = (from) => from.u64();
export const i32: Unmarshal<number> = (from) => from.u32() | 0;

export const INPUT_BUFFER = 1024;
/** TPM2B_DATA holds a TPMT_HA: algorithm and digest. */
const DATA = LARGEST_DIGEST + 2;

const sized = (limit: number): Unmarshal<Uint8Array> => sizedParameter((from) => from.sized(limit));

export const digest = sized(LARGEST_DIGEST);
export const data = sized(DATA);
export const buffer = sized(INPUT_BUFFER);
export const nonce = digest;
export const auth = digest;
export const name = sized(DATA);
const idObject = sized(2 * (LARGEST_DIGEST + 2));
export const encryptedSecret = sized(2 * (48 + 2));
export const privateArea = sized(1024);
/** TPM2B_SENSITIVE_DATA of TPM2_StirRandom */
export const additional = sized(128);
export const contextBlob: Unmarshal<Uint8Array> = (from) => from.sized(4096);

export const yesNo: Unmarshal<boolean> = (from) => {
  const value = from.u8();
  return value > 1 ? fail(Rc.VALUE) : value === 1;
};

export const startupType: Unmarshal<number> = (from) => {
  const type = from.u16();
  return type > 1 ? fail(Rc.VALUE) : type;
};

export const hashAlg: Unmarshal<number> = (from) => readHashAlg(from);
export const hashAlgOrNull: Unmarshal<number> = (from) => readHashAlg(from, true);

/** TPMI_ALG_MAC_SCHEME: a hash, for HMAC */
export const macScheme: Unmarshal<number> = (from) => {
  const alg = from.u16();
  return isHash(alg) || alg === Alg.NULL ? alg : fail(Rc.SYMMETRIC);
};

const hierarchyIn = (from: TpmReader, ...extra: readonly number[]): number => {
  const handle = from.u32();
  const known: readonly number[] = [Rh.OWNER, Rh.PLATFORM, Rh.ENDORSEMENT, ...extra];
  return known.includes(handle) ? handle : fail(Rc.VALUE);
};

export const hierarchyOrNull: Unmarshal<number> = (from) => hierarchyIn(from, Rh.NULL);
export const enables: Unmarshal<number> = (from) => hierarchyIn(from);

export const selections = readSelections;

export const algorithms: Unmarshal<number[]> = (from) => {
  const count = from.u32();
  if (count > 64) fail(Rc.SIZE);
  return Array.from({ length: count }, () => from.u16());
};

export interface TaggedDigest {
  readonly alg: number;
  readonly digest: Uint8Array;
}

/** TPML_DIGEST_VALUES */
export const digestValues: Unmarshal<TaggedDigest[]> = (from) => {
  const count = from.u32();
  if (count > 4) fail(Rc.SIZE);
  return Array.from({ length: count }, () => {
    const alg = readHashAlg(from);
    return { alg, digest: from.fixed(digestSize(alg)) };
  });
};

/** TPML_DIGEST with at least two: the branches of TPM2_PolicyOR */
export const digestList: Unmarshal<Uint8Array[]> = (from) => {
  const count = from.u32();
  if (count < 2 || count > 8) fail(Rc.SIZE);
  return Array.from({ length: count }, () => from.sized(LARGEST_DIGEST));
};

export interface Ticket {
  readonly tag: number;
  readonly hierarchy: number;
  readonly digest: Uint8Array;
}

const ticket =
  (...tags: readonly number[]): Unmarshal<Ticket> =>
  (from) => {
    const tag = from.u16();
    if (!tags.includes(tag)) fail(Rc.TAG);
    return { tag, hierarchy: hierarchyIn(from, Rh.NULL), digest: from.sized(LARGEST_DIGEST) };
  };

export const hashcheckTicket = ticket(St.HASHCHECK);
export const verifiedTicket = ticket(St.VERIFIED);
export const creationTicket = ticket(St.CREATION);
export const authTicket = ticket(St.AUTH_SIGNED, St.AUTH_SECRET);

/** TPMT_SYM_DEF of a session */
export const sessionCipher: Unmarshal<SessionCipher> = (from) => {
  const alg = from.u16();
  if (alg === Alg.NULL) return { alg, detail: 0 };
  if (alg === Alg.XOR) return { alg, detail: readHashAlg(from) };
  if (alg !== Alg.AES) fail(Rc.SYMMETRIC);
  const detail = from.u16();
  if (detail !== 128 && detail !== 256) fail(Rc.VALUE);
  if (from.u16() !== Alg.CFB) fail(Rc.MODE);
  return { alg, detail };
};

export const sessionType: Unmarshal<number> = (from) => {
  const type = from.u8();
  return type === 0 || type === 1 || type === 3 ? type : fail(Rc.VALUE);
};

export interface SensitiveCreate {
  readonly auth: Uint8Array;
  readonly data: Uint8Array;
}

/** TPM2B_SENSITIVE_CREATE */
export const sensitiveCreate: Unmarshal<SensitiveCreate> = sizedParameter((from) => {
  const size = from.u16();
  if (size === 0) fail(Rc.SIZE);
  const start = from.position;
  const authValue = from.sized(LARGEST_DIGEST);
  const secret = from.sized(128);
  if (from.position - start !== size) fail(Rc.SIZE);
  return { auth: authValue, data: secret };
});

export const sensitive = sizedParameter(readSensitive);
export const publicArea = sizedParameter(readPublic(false));
export const publicAreaOrNull = sizedParameter(readPublic(true));
export const signatureScheme = readSignatureScheme;
export const eccScheme = readEccScheme;
export const curve = readCurve;

/** TPM2B_ECC_POINT */
export const point = sizedParameter((from) => {
  const size = from.u16();
  if (size === 0) fail(Rc.SIZE);
  const start = from.position;
  const value = readPoint(from);
  if (from.position - start !== size) fail(Rc.SIZE);
  return value;
});

/** TPMT_PUBLIC_PARMS */
export const publicParameters: Unmarshal<void> = (from) => {
  readParameters(from, readObjectType(from));
};

export const credentialBlob = idObject;

export const persistentHandle: Unmarshal<number> = (from) => {
  const handle = from.u32();
  return handle >>> 24 === Ht.PERSISTENT ? handle : fail(Rc.VALUE);
};

/** TPMI_DH_CONTEXT as a parameter */
export const contextHandle: Unmarshal<number> = (from) => {
  const handle = from.u32();
  const types: readonly number[] = [Ht.HMAC_SESSION, Ht.POLICY_SESSION, Ht.TRANSIENT];
  return types.includes(handle >>> 24) ? handle : fail(Rc.VALUE);
};
