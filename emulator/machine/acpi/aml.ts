// ACPI Machine Language, as far as describing hardware needs it: ACPI specification 6.5, chapter 20.
export type Aml = readonly number[];

const SCOPE = 0x10;
const NAME = 0x08;
const BUFFER = 0x11;
const PACKAGE = 0x12;
const EXTENDED = 0x5b;
const DEVICE = 0x82;

/** PkgLength (20.2.4): it counts itself. One byte up to 63, else four bits and up to three bytes more. */
function withLength(contents: Aml): Aml {
  if (contents.length + 1 <= 0x3f) return [contents.length + 1, ...contents];
  for (let more = 1; ; more++) {
    const total = contents.length + 1 + more;
    if (total >= 2 ** (4 + 8 * more)) continue;
    const bytes = [(more << 6) | (total & 15)];
    for (let i = 0; i < more; i++) bytes.push((total >>> (4 + 8 * i)) & 0xff);
    return [...bytes, ...contents];
  }
}

/** A name of four characters in the current scope */
const nameOf = (name: string): Aml => [...name].map((character) => character.charCodeAt(0));

export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  if (value <= 0xff) return [0x0a, value];
  if (value <= 0xffff) return [0x0b, value & 0xff, value >>> 8];
  return [0x0c, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

export const named = (name: string, value: Aml): Aml => [NAME, ...nameOf(name), ...value];
export const scope = (name: string, ...contents: readonly Aml[]): Aml => [
  SCOPE,
  ...withLength([...nameOf(name), ...contents.flat()]),
];
export const device = (name: string, ...contents: readonly Aml[]): Aml => [
  EXTENDED,
  DEVICE,
  ...withLength([...nameOf(name), ...contents.flat()]),
];
export const list = (...elements: readonly Aml[]): Aml => [
  PACKAGE,
  ...withLength([elements.length, ...elements.flat()]),
];
export const buffer = (bytes: Aml): Aml => [BUFFER, ...withLength([...integer(bytes.length), ...bytes])];

/** A compressed EISA identifier such as "PNP0A03" (19.3.4): three letters of five bits, four digits; big-endian */
export function eisaId(text: string): Aml {
  const letter = (i: number) => text.charCodeAt(i) - 0x40;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(text.slice(3), 16);
  return [0x0c, vendor >>> 8, vendor & 0xff, product >>> 8, product & 0xff];
}
