import { concat, TpmWriter, trimmed, u16Bytes, u32Bytes } from './buffer';
import type { Execution } from './command';
import { Alg, ObjectAttribute, Rc } from './constants';
import type { Drbg } from './drbg';
import { generate } from './ecc';
import { failParameter, numbered, ofParameter } from './error';
import { digestSize, hash, hashRow } from './hash';
import { checkTemplate, uniqueOf } from './object-checks';
import type { KeyObject } from './object';
import type { SensitiveCreate } from './parameters';
import { writeSelections, type PcrSelection } from './pcrs';
import { has, type PublicArea } from './public-area';
import type { SensitiveArea } from './sensitive-area';
import { creation, writeTicket } from './tickets';

const IN_SENSITIVE = 1;
const IN_PUBLIC = 2;
/** What a template says besides a public area: the parameters that Create and CreatePrimary share */
export interface Template {
  readonly sensitive: SensitiveCreate;
  readonly area: PublicArea;
  readonly outsideInfo: Uint8Array;
  readonly pcrs: readonly PcrSelection[];
}

/** The new object's public and sensitive areas (Part 1, clause 27.5). */
export function createAreas(
  { sensitive: given, area }: Template,
  parent: KeyObject | undefined,
  drbg: Drbg,
): { area: PublicArea; sensitive: SensitiveArea } {
  numbered(
    (code) => ofParameter(code, IN_PUBLIC),
    () => checkTemplate(area, parent, given.data.length),
  );
  const authValue = trimmed(given.auth);
  if (authValue.length > digestSize(area.nameAlg)) failParameter(Rc.SIZE, IN_SENSITIVE);
  const isParent = has(area, ObjectAttribute.RESTRICTED) && has(area, ObjectAttribute.DECRYPT);
  if (area.type === Alg.ECC) {
    const pair = generate(area.curve, drbg);
    const seedValue = isParent ? drbg.bytes(digestSize(area.nameAlg)) : new Uint8Array(0);
    return {
      area: { ...area, point: pair.point },
      sensitive: { type: area.type, authValue, seedValue, secret: pair.secret },
    };
  }
  const secret = given.data.length > 0 ? given.data : drbg.bytes(secretSize(area));
  if (area.type === Alg.SYMCIPHER && secret.length * 8 !== area.symmetric.keyBits)
    failParameter(Rc.KEY_SIZE, IN_SENSITIVE);
  if (area.scheme.alg === Alg.HMAC && secret.length > hashRow(area.scheme.hash).block)
    failParameter(Rc.SIZE, IN_SENSITIVE);
  const sensitive = { type: area.type, authValue, seedValue: drbg.bytes(digestSize(area.nameAlg)), secret };
  return { area: { ...area, unique: uniqueOf(area.nameAlg, sensitive) }, sensitive };
}

function secretSize(area: PublicArea): number {
  if (area.type === Alg.SYMCIPHER) return area.symmetric.keyBits / 8;
  return digestSize(area.scheme.alg === Alg.NULL ? area.nameAlg : area.scheme.hash);
}

export interface Parentage {
  readonly nameAlg: number;
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
}

export const underHierarchy = (handle: number): Parentage => ({
  nameAlg: Alg.NULL,
  name: u32Bytes(handle),
  qualifiedName: u32Bytes(handle),
});

export const underParent = ({ area, name, qualifiedName }: KeyObject): Parentage => ({
  nameAlg: area.nameAlg,
  name,
  qualifiedName,
});

/** The Name that says the object's whole ancestry (Part 1, clause 26.5) */
export const qualify = (above: Uint8Array, nameAlg: number, name: Uint8Array): Uint8Array =>
  nameAlg === Alg.NULL ? name : concat(u16Bytes(nameAlg), hash(nameAlg, above, name));

/** creationData, creationHash and creationTicket of a response (Part 2, clause 15.1) */
export function writeCreation(
  { tpm, out, locality }: Execution,
  { outsideInfo, pcrs }: Template,
  parent: Parentage,
  object: { readonly nameAlg: number; readonly name: Uint8Array; readonly hierarchy: number },
): void {
  const selected = tpm.pcrs.existing(pcrs);
  const data = writeSelections(new TpmWriter(), selected)
    .sized(tpm.pcrs.digest(object.nameAlg, selected))
    .u8(locality < 32 ? 1 << locality : locality)
    .u16(parent.nameAlg)
    .sized(parent.name)
    .sized(parent.qualifiedName)
    .sized(outsideInfo)
    .finish();
  const creationHash = hash(object.nameAlg, data);
  out.sized(data).sized(creationHash);
  writeTicket(out, creation(tpm, object.hierarchy, object.name, creationHash));
}
