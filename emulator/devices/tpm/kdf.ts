import { ascii, concat, u32Bytes } from './buffer';
import { digestSize, hash, hmac } from './hash';

const ZERO = Uint8Array.of(0);

/** The first bits of a stream of blocks; when the count is no multiple of 8, the first byte's upper bits are cleared. */
function stream(bits: number, size: number, block: (counter: number) => Uint8Array): Uint8Array {
  const length = (bits + 7) >>> 3;
  const blocks: Uint8Array[] = [];
  for (let counter = 1; (counter - 1) * size < length; counter++) blocks.push(block(counter));
  const key = concat(...blocks).slice(0, length);
  if (bits & 7) key[0] = (key[0] ?? 0) & ((1 << (bits & 7)) - 1);
  return key;
}

/** KDFa (Part 1, clause 11.4.10.2): the counter mode of SP 800-108 with HMAC */
export function kdfA(
  alg: number,
  key: Uint8Array,
  label: string,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Uint8Array {
  const tail = concat(ascii(label), ZERO, contextU, contextV, u32Bytes(bits));
  return stream(bits, digestSize(alg), (counter) => hmac(alg, key, u32Bytes(counter), tail));
}

/** KDFe (Part 1, clause 11.4.10.3): the concatenation KDF of SP 800-56A, for a secret from ECDH */
export function kdfE(
  alg: number,
  z: Uint8Array,
  label: string,
  partyU: Uint8Array,
  partyV: Uint8Array,
  bits: number,
): Uint8Array {
  const tail = concat(z, ascii(label), ZERO, partyU, partyV);
  return stream(bits, digestSize(alg), (counter) => hash(alg, u32Bytes(counter), tail));
}
