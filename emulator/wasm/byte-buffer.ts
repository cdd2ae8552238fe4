/** A growing byte buffer with WebAssembly's LEB128 integers (WebAssembly core specification, 5.2.2). */
export class ByteBuffer {
  private bytes: Uint8Array;
  length = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, needed));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Unsigned LEB128 of 32 bits. */
  unsigned(value: number): void {
    this.reserve(5);
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.bytes[this.length++] = rest;
  }

  /** Signed LEB128 of 32 bits. */
  signed32(value: number): void {
    this.reserve(5);
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      const last = (rest === 0 && !(low & 0x40)) || (rest === -1 && low & 0x40);
      this.bytes[this.length++] = last ? low : low | 0x80;
      if (last) return;
    }
  }

  /** Signed LEB128 of 64 bits. */
  signed64(value: bigint): void {
    if (value === BigInt.asIntN(32, value)) {
      this.signed32(Number(value));
      return;
    }
    this.reserve(10);
    let rest = BigInt.asIntN(64, value);
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      const last = (rest === 0n && !(low & 0x40)) || (rest === -1n && low & 0x40);
      this.bytes[this.length++] = last ? low : low | 0x80;
      if (last) return;
    }
  }

  append(other: ByteBuffer): void {
    this.reserve(other.length);
    this.bytes.set(other.bytes.subarray(0, other.length), this.length);
    this.length += other.length;
  }

  /** A name: byte count, then the bytes; ASCII only. */
  name(text: string): void {
    this.unsigned(text.length);
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(this.length);
    copy.set(this.bytes.subarray(0, this.length));
    return copy;
  }
}
