/** A 256-bit register such as IRR, ISR or TMR: eight 32-bit words, one bit for each vector. */
export class VectorSet {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (((this.words[vector >>> 5] ?? 0) >>> (vector & 31)) & 1) !== 0;
  }

  add(vector: number): void {
    this.words[vector >>> 5] = (this.words[vector >>> 5] ?? 0) | (1 << (vector & 31));
  }

  remove(vector: number): void {
    this.words[vector >>> 5] = (this.words[vector >>> 5] ?? 0) & ~(1 << (vector & 31));
  }

  /** The highest vector, or -1 */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.words[i] ?? 0;
      if (word) return i * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }

  word(index: number): number {
    return this.words[index] ?? 0;
  }

  clear(): void {
    this.words.fill(0);
  }
}
