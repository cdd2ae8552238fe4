import { littleEndian, toBytes } from '../symbols/bytes';

/**
 * Numbers of IEEE 754 binary32 and binary64, and of the x87 format in 10 to 16 bytes (SDM vol. 1, 4.2.2), which loses what
 * a double cannot hold.
 */
export function toFloat(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return view.getFloat32(0, true);
  if (bytes.length === 8) return view.getFloat64(0, true);
  if (bytes.length < 10) return NaN;
  const significand = littleEndian(bytes.subarray(0, 8));
  const top = view.getUint16(8, true);
  const sign = top & 0x8000 ? -1 : 1;
  const exponent = top & 0x7fff;
  if (exponent === 0x7fff) return BigInt.asUintN(63, significand) === 0n ? sign * Infinity : NaN;
  return sign * Number(significand) * 2 ** (exponent - 16383 - 63);
}

export function fromFloat(value: number, size: number): Uint8Array {
  if (size !== 4 && size !== 8) return fromDoubleExtended(value, size);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return bytes;
}

function fromDoubleExtended(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(Math.max(size, 10));
  const raw = littleEndian(fromFloat(value, 8));
  const exponent = Number((raw >> 52n) & 0x7ffn);
  const fraction = BigInt.asUintN(52, raw);
  const sign = raw >> 63n ? 0x8000 : 0;
  let top = sign;
  let significand = 0n;
  if (exponent === 0x7ff) {
    top |= 0x7fff;
    significand = (1n << 63n) | (fraction << 11n);
  } else if (exponent !== 0) {
    top |= exponent - 1023 + 16383;
    significand = (1n << 63n) | (fraction << 11n);
  } else if (fraction !== 0n) {
    // A subnormal double is a normal number here.
    const shift = 64 - fraction.toString(2).length;
    significand = fraction << BigInt(shift);
    top |= 16383 - 1074 + 63 - shift;
  }
  bytes.set(toBytes(significand, 8));
  bytes[8] = top & 0xff;
  bytes[9] = top >> 8;
  return bytes;
}
