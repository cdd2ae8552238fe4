import { EMPTY, equal, TpmReader, TpmWriter } from './buffer';
import { AES_BLOCK, decryptCfb, encryptCfb, ZERO_IV } from './ciphers';
import { Alg, Rc } from './constants';
import type { Drbg } from './drbg';
import { fail } from './error';
import { digestSize, hmac } from './hash';
import { kdfA } from './kdf';
import { digestBits } from './secret-exchange';
import type { KeyObject } from './object';
import { readSensitive, sensitiveBytes, type SensitiveArea } from './sensitive-area';

/** What protects a child or a credential: keys that a seed gives (Part 1, clauses 23.3 and 24). */
export interface Protector {
  readonly hash: number;
  readonly seed: Uint8Array;
  readonly keyBits: number;
}

export const protectorOf = (parent: KeyObject): Protector => ({
  hash: parent.area.nameAlg,
  seed: parent.sensitive?.seedValue ?? EMPTY,
  keyBits: parent.area.symmetric.alg === Alg.AES ? parent.area.symmetric.keyBits : 128,
});

const symmetricKey = ({ hash, seed, keyBits }: Protector, name: Uint8Array): Uint8Array =>
  kdfA(hash, seed, 'STORAGE', name, EMPTY, keyBits);

const integrityKey = ({ hash, seed }: Protector): Uint8Array =>
  kdfA(hash, seed, 'INTEGRITY', EMPTY, EMPTY, digestBits(hash));

/** TPM2B_PRIVATE: integrity, IV, encrypted sensitive area */
export function wrap(protector: Protector, name: Uint8Array, sensitive: SensitiveArea, drbg: Drbg): Uint8Array {
  const iv = drbg.bytes(AES_BLOCK);
  const encrypted = new TpmWriter()
    .sized(iv)
    .raw(encryptCfb(symmetricKey(protector, name), iv, sensitiveBytes(sensitive)))
    .finish();
  const integrity = hmac(protector.hash, integrityKey(protector), encrypted, name);
  return new TpmWriter().sized(integrity).raw(encrypted).finish();
}

/** TPM_RC_INTEGRITY: it was not made by this parent for an object of this Name. */
export function unwrap(protector: Protector, name: Uint8Array, bytes: Uint8Array): SensitiveArea {
  const from = new TpmReader(bytes);
  const integrity = from.sized(digestSize(protector.hash));
  const encrypted = from.rest();
  if (!equal(integrity, hmac(protector.hash, integrityKey(protector), encrypted, name))) fail(Rc.INTEGRITY);
  const inner = new TpmReader(encrypted);
  const iv = inner.sized(AES_BLOCK);
  if (iv.length !== AES_BLOCK) fail(Rc.SIZE);
  const plain = new TpmReader(decryptCfb(symmetricKey(protector, name), iv, inner.rest()));
  return readSensitive(plain) ?? fail(Rc.SIZE);
}

/** TPM2B_ID_OBJECT: the same layers around a credential, with no IV (Part 1, clause 24.4) */
export function wrapCredential(protector: Protector, name: Uint8Array, credential: Uint8Array): Uint8Array {
  const plain = new TpmWriter().sized(credential).finish();
  const encrypted = encryptCfb(symmetricKey(protector, name), ZERO_IV, plain);
  const integrity = hmac(protector.hash, integrityKey(protector), encrypted, name);
  return new TpmWriter().sized(integrity).raw(encrypted).finish();
}

export function unwrapCredential(protector: Protector, name: Uint8Array, blob: Uint8Array): Uint8Array {
  const from = new TpmReader(blob);
  const integrity = from.sized(digestSize(protector.hash));
  const encrypted = from.rest();
  if (!equal(integrity, hmac(protector.hash, integrityKey(protector), encrypted, name))) fail(Rc.INTEGRITY);
  const plain = new TpmReader(decryptCfb(symmetricKey(protector, name), ZERO_IV, encrypted));
  const credential = plain.sized(digestSize(protector.hash));
  if (plain.left > 0) fail(Rc.SIZE);
  return credential;
}
