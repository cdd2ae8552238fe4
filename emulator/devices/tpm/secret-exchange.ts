import { TpmReader } from './buffer';
import { Alg, ObjectAttribute, Rc } from './constants';
import type { Drbg } from './drbg';
import { generate, multiply } from './ecc';
import { fail } from './error';
import { digestSize } from './hash';
import { kdfE } from './kdf';
import type { KeyObject } from './object';
import { has, pointBytes, readPoint } from './public-area';

export const digestBits = (alg: number): number => digestSize(alg) * 8;

/** A secret that only the holder of an ECC decryption key can find (Part 1, clause C.6.1), by one-pass ECDH */
export function shareSecret(key: KeyObject, label: string, drbg: Drbg): { secret: Uint8Array; message: Uint8Array } {
  const { area } = key;
  if (area.type !== Alg.ECC) fail(Rc.TYPE);
  const ephemeral = generate(area.curve, drbg);
  const z = multiply(area.curve, ephemeral.secret, area.point);
  const secret = kdfE(area.nameAlg, z.x, label, ephemeral.point.x, area.point.x, digestBits(area.nameAlg));
  return { secret, message: pointBytes(ephemeral.point) };
}

export function recoverSecret(key: KeyObject, label: string, message: Uint8Array): Uint8Array {
  const { area, sensitive } = key;
  if (area.type !== Alg.ECC || !sensitive) return fail(Rc.KEY);
  if (!has(area, ObjectAttribute.DECRYPT)) fail(Rc.ATTRIBUTES);
  const from = new TpmReader(message);
  const ephemeral = readPoint(from);
  if (from.left > 0) fail(Rc.SIZE);
  const z = multiply(area.curve, sensitive.secret, ephemeral);
  return kdfE(area.nameAlg, z.x, label, ephemeral.x, area.point.x, digestBits(area.nameAlg));
}
