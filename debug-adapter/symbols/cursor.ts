import { DwarfError } from './dwarf-error';

/** Reads a section from front to back; every read is checked, past the end is a DwarfError. Little-endian. */
export class Cursor {
  private readonly view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    /** Section name for messages */
    readonly section: string,
    public at = 0,
    public end = bytes.length,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (at > end || end > bytes.length) throw this.error('position is outside the section', at);
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  error(problem: string, at = this.at): DwarfError {
    return new DwarfError(this.section, at, problem);
  }

  private take(size: number): number {
    const at = this.at;
    if (!(size >= 0) || at + size > this.end) throw this.error(`needs ${size} bytes, has ${this.end - at}`);
    this.at = at + size;
    return at;
  }

  skip(size: number): void {
    this.take(size);
  }

  seek(at: number): void {
    if (!(at >= 0 && at <= this.end)) throw this.error(`offset 0x${at.toString(16)} is outside`);
    this.at = at;
  }

  u8(): number {
    if (this.at >= this.end) throw this.error('needs 1 byte, has 0');
    return this.bytes[this.at++]!;
  }

  i8(): number {
    return (this.u8() << 24) >> 24;
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  u24(): number {
    const at = this.take(3);
    return this.bytes[at]! | (this.bytes[at + 1]! << 8) | (this.bytes[at + 2]! << 16);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }

  /** An unsigned integer of 1, 2, 4 or 8 bytes */
  unsigned(size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
      default:
        throw this.error(`integer of ${size} bytes`);
    }
  }

  /** The same, sign-extended */
  signed(size: number): bigint {
    return BigInt.asIntN(size * 8, this.unsigned(size));
  }

  /** A section offset or length of the format: 4 bytes in 32-bit DWARF, 8 in 64-bit DWARF */
  offset(wide: boolean): number {
    if (!wide) return this.u32();
    const value = this.u64();
    if (value > 0x1f_ffff_ffff_ffffn) throw this.error(`offset 0x${value.toString(16)} is absurd`, this.at - 8);
    return Number(value);
  }

  /** unit_length (DWARF 5, 7.4): the length and the format it announces */
  initialLength(): { length: number; wide: boolean } {
    const start = this.at;
    const first = this.u32();
    if (first < 0xffff_fff0) return { length: first, wide: false };
    if (first !== 0xffff_ffff) throw this.error(`unit length 0x${first.toString(16)} is reserved`, start);
    return { length: this.offset(true), wide: true };
  }

  /** Unsigned LEB128 as a number; for counts, codes and offsets. Above 2^53 it is an error. */
  uleb(): number {
    const first = this.u8();
    if (first < 0x80) return first;
    const start = this.at - 1;
    let value = first & 0x7f;
    let factor = 128;
    for (;;) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
      factor *= 128;
      if (factor > 2 ** 77) throw this.error('LEB128 number does not end', start);
    }
    if (value > Number.MAX_SAFE_INTEGER) throw this.error('LEB128 number is too large here', start);
    return value;
  }

  /** Unsigned LEB128 of up to 64 bits (more are cut off) */
  ulebWide(): bigint {
    return BigInt.asUintN(64, this.leb(false));
  }

  /** Signed LEB128 of up to 64 bits */
  slebWide(): bigint {
    return BigInt.asIntN(64, this.leb(true));
  }

  sleb(): number {
    const first = this.u8();
    if (first < 0x80) return first & 0x40 ? first - 0x80 : first;
    this.at--;
    const value = this.slebWide();
    return Number(value);
  }

  private leb(signed: boolean): bigint {
    const start = this.at;
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return signed && byte & 0x40 ? value - (1n << shift) : value;
      if (shift > 77n) throw this.error('LEB128 number does not end', start);
    }
  }

  skipLeb(): void {
    while (this.u8() >= 0x80);
  }

  bytesOf(size: number): Uint8Array {
    const at = this.take(size);
    return this.bytes.subarray(at, at + size);
  }

  /** NUL-terminated UTF-8 */
  string(): string {
    const start = this.at;
    this.skipString();
    return textOf(this.bytes, start, this.at - 1);
  }

  skipString(): void {
    const nul = this.bytes.indexOf(0, this.at);
    if (nul < 0 || nul >= this.end) throw this.error('string does not end');
    this.at = nul + 1;
  }
}

const utf8 = new TextDecoder();

function textOf(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte >= 0x80) return utf8.decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
