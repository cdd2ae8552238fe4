import { p256, p384 } from '@noble/curves/nist.js';
import { Curve, Rc } from './constants';
import { concat } from './buffer';
import type { Drbg } from './drbg';
import { fail } from './error';

export interface EccPoint {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** The curves of this TPM: NIST P-256 and P-384 */
const CURVES: Readonly<Record<number, { readonly bytes: number; readonly ec: typeof p256 }>> = {
  [Curve.P256]: { bytes: 32, ec: p256 },
  [Curve.P384]: { bytes: 48, ec: p384 },
};

export const curveIds = (): number[] => Object.keys(CURVES).map(Number);
export const isCurve = (curve: number): boolean => CURVES[curve] !== undefined;
export const curveBytes = (curve: number): number => row(curve).bytes;

function row(curve: number): { readonly bytes: number; readonly ec: typeof p256 } {
  return CURVES[curve] ?? fail(Rc.CURVE);
}

const toBigInt = (bytes: Uint8Array): bigint => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

function toBytes(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--, value >>= 8n) bytes[i] = Number(value & 0xffn);
  return bytes;
}

/** The bytes with leading zeros up to the size; undefined when the number does not fit. */
function padded(bytes: Uint8Array, size: number): Uint8Array | undefined {
  const excess = bytes.length - size;
  if (excess > 0) return bytes.slice(0, excess).every((byte) => byte === 0) ? bytes.slice(excess) : undefined;
  return concat(new Uint8Array(-excess), bytes);
}

/** The point, or undefined when it does not lie on the curve; never the point at infinity */
function pointOf(curve: number, { x, y }: EccPoint): InstanceType<typeof p256.Point> | undefined {
  const { bytes, ec } = row(curve);
  const [px, py] = [padded(x, bytes), padded(y, bytes)];
  if (!px || !py) return undefined;
  try {
    return ec.Point.fromBytes(concat(Uint8Array.of(4), px, py));
  } catch {
    return undefined;
  }
}

export const onCurve = (curve: number, point: EccPoint): boolean => pointOf(curve, point) !== undefined;

function coordinates(curve: number, point: InstanceType<typeof p256.Point>): EccPoint {
  const { bytes } = row(curve);
  const { x, y } = point.toAffine();
  return { x: toBytes(x, bytes), y: toBytes(y, bytes) };
}

export interface EccKeyPair {
  readonly secret: Uint8Array;
  readonly point: EccPoint;
}

/** FIPS 186-4, B.4.1: 64 extra random bits make the bias of the reduction negligible. */
export function generate(curve: number, drbg: Drbg): EccKeyPair {
  const { bytes, ec } = row(curve);
  const order = ec.Point.Fn.ORDER;
  const secret = (toBigInt(drbg.bytes(bytes + 8)) % (order - 1n)) + 1n;
  return { secret: toBytes(secret, bytes), point: coordinates(curve, ec.Point.BASE.multiply(secret)) };
}

/** The public point of a private key; undefined when that is not in 1..order-1. */
export function publicPoint(curve: number, secret: Uint8Array): EccPoint | undefined {
  const { ec } = row(curve);
  const d = toBigInt(secret);
  if (d === 0n || d >= ec.Point.Fn.ORDER) return undefined;
  return coordinates(curve, ec.Point.BASE.multiply(d));
}

/** [d]Q of ECDH; TPM_RC_ECC_POINT when Q is not on the curve */
export function multiply(curve: number, secret: Uint8Array, point: EccPoint): EccPoint {
  const q = pointOf(curve, point) ?? fail(Rc.ECC_POINT);
  return coordinates(curve, q.multiply(toBigInt(secret)));
}

export interface EcdsaSignature {
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/** ECDSA with the deterministic nonce of RFC 6979, which any verifier accepts */
export function sign(curve: number, secret: Uint8Array, digest: Uint8Array): EcdsaSignature {
  const { bytes, ec } = row(curve);
  const compact = ec.sign(digest, secret, { prehash: false, lowS: false, format: 'compact' });
  return { r: compact.slice(0, bytes), s: compact.slice(bytes) };
}

export function verify(curve: number, point: EccPoint, digest: Uint8Array, { r, s }: EcdsaSignature): boolean {
  const { bytes, ec } = row(curve);
  const q = pointOf(curve, point);
  const [pr, ps] = [padded(r, bytes), padded(s, bytes)];
  if (!q || !pr || !ps) return false;
  return ec.verify(concat(pr, ps), digest, q.toBytes(false), { prehash: false, lowS: false, format: 'compact' });
}

/** TPMS_ALGORITHM_DETAIL_ECC's numbers: p, a, b, G, n, h */
export function curveParameters(curve: number): readonly Uint8Array[] {
  const { bytes, ec } = row(curve);
  const { p, a, b, Gx, Gy, n, h } = ec.Point.CURVE();
  return [...[p, a, b, Gx, Gy, n].map((value) => toBytes(value, bytes)), toBytes(h, 1)];
}
