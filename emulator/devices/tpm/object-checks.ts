import { EMPTY, equal } from './buffer';
import { Alg, ObjectAttribute, Rc } from './constants';
import { curveBytes, onCurve, publicPoint } from './ecc';
import { fail } from './error';
import { digestSize, hash, hashRow } from './hash';
import { isStorageParent, type KeyObject } from './object';
import { has, type PublicArea } from './public-area';
import type { SensitiveArea } from './sensitive-area';

/** Consistency of templates and of what is loaded (Part 1, clauses 25 and 27; Part 2, clause 8.3). */

const { FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN, ENCRYPTED_DUPLICATION, RESTRICTED, DECRYPT, SIGN } =
  ObjectAttribute;

/** The attributes of a public area, by themselves and under this parent */
export function checkAttributes(area: PublicArea, parent: KeyObject | undefined): void {
  if (area.nameAlg === Alg.NULL) fail(Rc.HASH);
  const { length } = area.authPolicy;
  if (length !== 0 && length !== digestSize(area.nameAlg)) fail(Rc.SIZE);
  if (!parent || has(parent.area, FIXED_TPM)) {
    if (has(area, FIXED_PARENT) !== has(area, FIXED_TPM)) fail(Rc.ATTRIBUTES);
  } else if (has(area, FIXED_TPM)) fail(Rc.ATTRIBUTES);
  if (has(area, SIGN) === has(area, DECRYPT)) {
    if (has(area, RESTRICTED)) fail(Rc.ATTRIBUTES);
    if (area.type !== Alg.KEYEDHASH && !has(area, SIGN)) fail(Rc.ATTRIBUTES);
  }
  if (has(area, FIXED_TPM) && has(area, ENCRYPTED_DUPLICATION)) fail(Rc.ATTRIBUTES);
  if (parent && !has(parent.area, FIXED_TPM)) {
    if (has(area, ENCRYPTED_DUPLICATION) !== has(parent.area, ENCRYPTED_DUPLICATION)) fail(Rc.ATTRIBUTES);
  }
  checkSchemes(area, parent);
}

export function checkSchemes(area: PublicArea, parent: KeyObject | undefined): void {
  if (area.type === Alg.KEYEDHASH) checkKeyedHash(area);
  else if (area.type === Alg.SYMCIPHER) {
    // A parent protects its children in CFB mode only.
    if (has(area, RESTRICTED) && has(area, DECRYPT) && area.symmetric.mode !== Alg.CFB) fail(Rc.SYMMETRIC);
  } else checkEcc(area);
  if (!parent || !has(area, FIXED_PARENT) || !has(area, RESTRICTED) || !has(area, DECRYPT)) return;
  if (area.type === Alg.KEYEDHASH) return;
  // A storage key that cannot leave its parent is as strong as it.
  if (area.nameAlg !== parent.area.nameAlg) fail(Rc.HASH);
  const [own, above] = [area.symmetric, parent.area.symmetric];
  if (own.alg !== above.alg || own.keyBits !== above.keyBits || own.mode !== above.mode) fail(Rc.SYMMETRIC);
}

function checkKeyedHash(area: PublicArea): void {
  const { alg } = area.scheme;
  if (has(area, SIGN) === has(area, DECRYPT)) {
    if (alg !== Alg.NULL) fail(Rc.SCHEME);
  } else if (has(area, SIGN)) {
    if (alg !== Alg.HMAC) fail(Rc.SCHEME);
  } else if (alg !== Alg.XOR) fail(Rc.SCHEME);
}

function checkEcc(area: PublicArea): void {
  const { alg } = area.scheme;
  const signs = alg === Alg.ECDSA;
  if (has(area, SIGN) && has(area, DECRYPT)) {
    if (alg !== Alg.NULL) fail(Rc.SCHEME);
  } else if (has(area, SIGN)) {
    if (!signs && (alg !== Alg.NULL || has(area, RESTRICTED))) fail(Rc.SCHEME);
  } else if (has(area, RESTRICTED)) {
    if (alg !== Alg.NULL) fail(Rc.SCHEME);
  } else if (signs) fail(Rc.SCHEME);
  if (area.kdf.alg !== Alg.NULL) fail(Rc.KDF);
  const parent = has(area, RESTRICTED) && has(area, DECRYPT);
  if (parent !== (area.symmetric.alg !== Alg.NULL)) fail(Rc.SYMMETRIC);
  if (parent && area.symmetric.mode !== Alg.CFB) fail(Rc.SYMMETRIC);
}

/** Where sensitive data of a new object may come from (Part 3, clause 12.1) */
export function checkTemplate(area: PublicArea, parent: KeyObject | undefined, dataSize: number): void {
  const origin = has(area, SENSITIVE_DATA_ORIGIN);
  if (!origin && dataSize === 0) fail(Rc.ATTRIBUTES);
  if (parent && origin && dataSize !== 0) fail(Rc.ATTRIBUTES);
  if (area.type === Alg.KEYEDHASH) {
    if (!has(area, SIGN) && !has(area, DECRYPT) && origin) fail(Rc.ATTRIBUTES);
  } else if (area.type === Alg.SYMCIPHER) {
    if (has(area, RESTRICTED) && !origin && (has(area, FIXED_PARENT) || has(area, FIXED_TPM))) fail(Rc.ATTRIBUTES);
  } else if (!origin) fail(Rc.ATTRIBUTES);
  checkAttributes(area, parent);
}

/** `blame` numbers the response code: which parameter the fault is in. */
export interface Blame {
  readonly public: (code: number) => never;
  readonly sensitive: (code: number) => never;
}

/** Public and sensitive area belong together (Part 3, clause 12.2; the cryptographic binding). */
export function checkBinding(area: PublicArea, sensitive: SensitiveArea | undefined, blame: Blame): void {
  if (sensitive) {
    if (sensitive.type !== area.type) blame.sensitive(Rc.TYPE);
    if (area.nameAlg !== Alg.NULL && sensitive.authValue.length > digestSize(area.nameAlg)) blame.sensitive(Rc.SIZE);
  }
  if (area.type === Alg.ECC) {
    checkPoint(area, sensitive, blame);
    return;
  }
  if (!sensitive) return;
  if (area.type === Alg.SYMCIPHER && sensitive.secret.length * 8 !== area.symmetric.keyBits)
    blame.sensitive(Rc.KEY_SIZE);
  if (area.type === Alg.KEYEDHASH && area.scheme.alg === Alg.HMAC) {
    if (sensitive.secret.length > hashRow(area.scheme.hash).block) blame.sensitive(Rc.KEY_SIZE);
  }
  if (area.nameAlg === Alg.NULL) return;
  if (sensitive.seedValue.length > digestSize(area.nameAlg)) blame.sensitive(Rc.KEY_SIZE);
  if (!equal(area.unique, uniqueOf(area.nameAlg, sensitive))) blame.public(Rc.BINDING);
}

function checkPoint(area: PublicArea, sensitive: SensitiveArea | undefined, blame: Blame): void {
  const bytes = curveBytes(area.curve);
  if (area.point.x.length !== bytes || area.point.y.length !== bytes) blame.public(Rc.KEY);
  if (!onCurve(area.curve, area.point)) blame.public(Rc.ECC_POINT);
  if (!sensitive) return;
  if (sensitive.secret.length !== bytes) blame.sensitive(Rc.KEY_SIZE);
  const point = publicPoint(area.curve, sensitive.secret);
  if (!point || !equal(point.x, area.point.x) || !equal(point.y, area.point.y)) blame.public(Rc.BINDING);
}

/** `unique` of a symmetric object: a digest that hides the secret behind the seed (Part 1, clause 27.5.3) */
export const uniqueOf = (nameAlg: number, { seedValue, secret }: SensitiveArea): Uint8Array =>
  hash(nameAlg, seedValue ?? EMPTY, secret);

export function requireStorageParent(parent: KeyObject): KeyObject {
  return parent.sensitive && isStorageParent(parent) ? parent : fail(Rc.TYPE);
}
