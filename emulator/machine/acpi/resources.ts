import { buffer, type Aml } from './aml';

// Resource descriptors: ACPI specification 6.5, 6.4.
const END_TAG = [0x79, 0];
const WORD_ADDRESS = 0x88;
const DWORD_ADDRESS = 0x87;
/** General flags: producer, positive decoding, both ends fixed */
const FIXED = 0x0c;

const word = (value: number): Aml => [value & 0xff, (value >>> 8) & 0xff];
const dword = (value: number): Aml => [...word(value), ...word(value >>> 16)];

/** Ports that the device itself decodes (I/O port descriptor, 16-bit decoding) */
export const ports = (first: number, count: number): Aml => [0x47, 1, ...word(first), ...word(first), 1, count];

/** A window that a bridge passes on: [first, last] */
function window16(type: number, flags: number, first: number, last: number): Aml {
  const fields = [type, FIXED, flags, ...word(0), ...word(first), ...word(last), ...word(0), ...word(last - first + 1)];
  return [WORD_ADDRESS, ...word(fields.length), ...fields];
}

export const busNumbers = (first: number, last: number): Aml => window16(2, 0, first, last);
/** Entire range, both ISA and other addresses */
export const portWindow = (first: number, last: number): Aml => window16(1, 3, first, last);

/** Read-write memory, not cacheable */
export function memoryWindow(first: number, last: number): Aml {
  const size = last - first + 1;
  const fields = [0, FIXED, 1, ...dword(0), ...dword(first), ...dword(last), ...dword(0), ...dword(size)];
  return [DWORD_ADDRESS, ...word(fields.length), ...fields];
}

export const resources = (...descriptors: readonly Aml[]): Aml => buffer([...descriptors.flat(), ...END_TAG]);
