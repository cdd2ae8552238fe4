const encoder = new TextEncoder();

/** Text as boot protocols pass it: UTF-8 and a NUL. */
export const zeroEnded = (text: string): Uint8Array => encoder.encode(`${text}\0`);

/** Collects little-endian fields, in the order in which they lie in memory. */
export class StructWriter {
  private readonly bytes: number[] = [];

  get length(): number {
    return this.bytes.length;
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.bytes.push(value & 0xff);
    return this;
  }

  u16(...values: readonly number[]): this {
    for (const value of values) this.u8(value, value >>> 8);
    return this;
  }

  u32(...values: readonly number[]): this {
    for (const value of values) this.u8(value, value >>> 8, value >>> 16, value >>> 24);
    return this;
  }

  u64(...values: readonly (number | bigint)[]): this {
    for (const value of values) {
      const wide = BigInt(value);
      this.u32(Number(wide & 0xffffffffn), Number((wide >> 32n) & 0xffffffffn));
    }
    return this;
  }

  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  text(text: string): this {
    return this.raw(zeroEnded(text));
  }

  align(to: number): this {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
    return this;
  }

  /** Overwrites a 32-bit field that was written before, once its value is known. */
  patch32(at: number, value: number): void {
    for (let i = 0; i < 4; i++) this.bytes[at + i] = (value >>> (8 * i)) & 0xff;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}
