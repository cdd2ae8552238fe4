/** Longest instruction (SDM vol. 2, 2.3.11); a longer one raises #GP(0). */
export const MAXIMUM_LENGTH = 15;

/** Thrown by the cursor, caught by the decoder. */
class EndOfBytes extends Error {}
export const endOfBytes = new EndOfBytes('instruction bytes end');
class TooLong extends Error {}
export const tooLong = new TooLong('instruction longer than 15 bytes');

/** Reads the bytes of one instruction. */
export class ByteCursor {
  private position: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly start: number,
    private readonly end: number,
  ) {
    this.position = start;
  }

  u8(): number {
    const at = this.position;
    if (at - this.start >= MAXIMUM_LENGTH) throw tooLong;
    if (at >= this.end) throw endOfBytes;
    this.position = at + 1;
    return this.bytes[at] ?? 0;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  private i32(): number {
    return this.u16() | (this.u16() << 16);
  }

  /** A signed little-endian number of 8, 16, 32 or 64 bits. */
  signed(width: number): bigint {
    switch (width) {
      case 8:
        return BigInt((this.u8() << 24) >> 24);
      case 16:
        return BigInt((this.u16() << 16) >> 16);
      case 32:
        return BigInt(this.i32());
      default: {
        const low = BigInt(this.i32() >>> 0);
        return (BigInt(this.i32()) << 32n) | low;
      }
    }
  }

  get length(): number {
    return this.position - this.start;
  }
}
