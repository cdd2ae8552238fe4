/**
 * Decompression of zlib data (RFC 1950) with DEFLATE blocks (RFC 1951), for compressed debug sections. Written here because
 * the platform's own (DecompressionStream) is asynchronous, and sections are read when first asked for.
 */
type Fail = (problem: string, at: number) => Error;

/** `size` bytes from a zlib stream. Throws what `fail` makes when the stream is malformed, or longer or shorter. */
export function inflateZlib(input: Uint8Array, size: number, fail: Fail): Uint8Array {
  const [method, flags] = [input[0] ?? 0, input[1] ?? 0];
  if ((method & 15) !== 8 || ((method << 8) | flags) % 31 !== 0 || flags & 0x20) throw fail('no zlib header', 0);
  const output = new Inflater(input, 2, size, fail).run();
  return output;
}

/** Canonical Huffman code (RFC 1951, 3.2.2): how many codes of each length there are, and symbols in order of codes */
interface Huffman {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

const MAX_BITS = 15;

function huffman(lengths: ArrayLike<number>): Huffman {
  const counts = new Uint16Array(MAX_BITS + 1);
  for (let i = 0; i < lengths.length; i++) counts[lengths[i]!]!++;
  counts[0] = 0;
  const next = new Uint16Array(MAX_BITS + 2);
  for (let bits = 1; bits <= MAX_BITS; bits++) next[bits + 1] = next[bits]! + counts[bits]!;
  const symbols = new Uint16Array(lengths.length);
  for (let i = 0; i < lengths.length; i++) if (lengths[i]) symbols[next[lengths[i]!]!++] = i;
  return { counts, symbols };
}

/** Base and extra bits of length codes 257.. and distance codes (RFC 1951, 3.2.5) */
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5];
const DISTANCE_EXTRA = Array.from({ length: 30 }, (_, i) => (i < 2 ? 0 : (i >> 1) - 1));
const bases = (extra: readonly number[], first: number) => {
  let base = first;
  return extra.map((bits) => {
    const own = base;
    base += 1 << bits;
    return own;
  });
};
const LENGTH_BASE = bases(LENGTH_EXTRA, 3);
const DISTANCE_BASE = bases(DISTANCE_EXTRA, 1);
// Code 285 is a length of 258 by itself, not 227 + 31.
LENGTH_BASE.push(258);
LENGTH_EXTRA.push(0);

/** Order in which the lengths of the code length code are stored (RFC 1951, 3.2.7) */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const FIXED_LITERALS = huffman(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_DISTANCES = huffman(new Array<number>(30).fill(5));

class Inflater {
  private readonly output: Uint8Array;
  private written = 0;
  private held = 0;
  private heldBits = 0;

  constructor(
    private readonly input: Uint8Array,
    private at: number,
    size: number,
    private readonly fail: Fail,
  ) {
    this.output = new Uint8Array(size);
  }

  run(): Uint8Array {
    for (let last = false; !last;) {
      last = this.bits(1) === 1;
      const type = this.bits(2);
      if (type === 0) this.stored();
      else if (type === 1) this.compressed(FIXED_LITERALS, FIXED_DISTANCES);
      else if (type === 2) this.dynamic();
      else throw this.fail('reserved DEFLATE block type', this.at);
    }
    if (this.written !== this.output.length) throw this.fail('fewer bytes than announced', this.at);
    return this.output;
  }

  private bits(count: number): number {
    while (this.heldBits < count) {
      if (this.at >= this.input.length) throw this.fail('compressed data ends early', this.at);
      this.held |= this.input[this.at++]! << this.heldBits;
      this.heldBits += 8;
    }
    const value = this.held & ((1 << count) - 1);
    this.held >>>= count;
    this.heldBits -= count;
    return value;
  }

  private symbol({ counts, symbols }: Huffman): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      code |= this.bits(1);
      const count = counts[bits]!;
      if (code - first < count) return symbols[index + code - first]!;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw this.fail('invalid Huffman code', this.at);
  }

  private put(byte: number): void {
    if (this.written >= this.output.length) throw this.fail('more bytes than announced', this.at);
    this.output[this.written++] = byte;
  }

  private stored(): void {
    this.held = 0;
    this.heldBits = 0;
    const length = this.bits(16);
    if (this.bits(16) !== (~length & 0xffff)) throw this.fail('stored block with a wrong length', this.at);
    for (let i = 0; i < length; i++) this.put(this.bits(8));
  }

  private dynamic(): void {
    const literalCount = this.bits(5) + 257;
    const distanceCount = this.bits(5) + 1;
    const lengthCount = this.bits(4) + 4;
    const codeLengths = new Uint8Array(19);
    for (let i = 0; i < lengthCount; i++) codeLengths[CODE_LENGTH_ORDER[i]!] = this.bits(3);
    const code = huffman(codeLengths);
    const lengths = new Uint8Array(literalCount + distanceCount);
    for (let i = 0; i < lengths.length;) {
      const symbol = this.symbol(code);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw this.fail('nothing to repeat', this.at);
      const value = symbol === 16 ? lengths[i - 1]! : 0;
      const times = symbol === 16 ? 3 + this.bits(2) : symbol === 17 ? 3 + this.bits(3) : 11 + this.bits(7);
      if (i + times > lengths.length) throw this.fail('too many code lengths', this.at);
      lengths.fill(value, i, i + times);
      i += times;
    }
    this.compressed(huffman(lengths.subarray(0, literalCount)), huffman(lengths.subarray(literalCount)));
  }

  private compressed(literals: Huffman, distances: Huffman): void {
    for (;;) {
      const symbol = this.symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.put(symbol);
        continue;
      }
      const length = this.extended(symbol - 257, LENGTH_BASE, LENGTH_EXTRA);
      const distance = this.extended(this.symbol(distances), DISTANCE_BASE, DISTANCE_EXTRA);
      if (distance > this.written) throw this.fail('distance before the start', this.at);
      for (let i = 0; i < length; i++) this.put(this.output[this.written - distance]!);
    }
  }

  private extended(code: number, base: readonly number[], extra: readonly number[]): number {
    const start = base[code];
    if (start === undefined) throw this.fail('invalid length or distance code', this.at);
    return start + this.bits(extra[code]!);
  }
}
