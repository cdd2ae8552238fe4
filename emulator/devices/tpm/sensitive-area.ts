import { TpmReader, TpmWriter, EMPTY } from './buffer';
import { Alg, Rc } from './constants';
import { fail } from './error';
import { LARGEST_DIGEST } from './hash';
import { readObjectType } from './public-area';

/** TPMT_SENSITIVE (Part 2, clause 12.3.2.4): what never leaves the TPM in the clear */
export interface SensitiveArea {
  readonly type: number;
  readonly authValue: Uint8Array;
  readonly seedValue: Uint8Array;
  /** ECC: the private key. SYMCIPHER: the key. KEYEDHASH: the sealed data or HMAC key. */
  readonly secret: Uint8Array;
}

/** MAX_SYM_DATA: what can be sealed in one object (the PC Client profile's 128 bytes) */
export const SEALED_LIMIT = 128;
const LIMITS: Readonly<Record<number, number>> = { [Alg.ECC]: 48, [Alg.SYMCIPHER]: 32, [Alg.KEYEDHASH]: SEALED_LIMIT };

export function sensitiveBytes({ type, authValue, seedValue, secret }: SensitiveArea): Uint8Array {
  const body = new TpmWriter().u16(type).sized(authValue).sized(seedValue).sized(secret).finish();
  return new TpmWriter().sized(body).finish();
}

/** TPM2B_SENSITIVE; undefined when its size is 0 (TPM2_LoadExternal of a public area only). */
export function readSensitive(from: TpmReader): SensitiveArea | undefined {
  const size = from.u16();
  if (size === 0) return undefined;
  const start = from.position;
  const type = readObjectType(from);
  const authValue = from.sized(LARGEST_DIGEST);
  const seedValue = from.sized(LARGEST_DIGEST);
  const secret = from.sized(LIMITS[type] ?? 0);
  if (from.position - start !== size) fail(Rc.SIZE);
  return { type, authValue, seedValue, secret };
}

export const NO_SENSITIVE: SensitiveArea = { type: Alg.NULL, authValue: EMPTY, seedValue: EMPTY, secret: EMPTY };
