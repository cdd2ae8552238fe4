/** A seeded generator (xorshift32): tests print the seed and can be repeated with it. */
export class Random {
  private state: number;

  constructor(readonly seed: number) {
    this.state = seed >>> 0 || 1;
  }

  u32(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  below(limit: number): number {
    return this.u32() % limit;
  }

  byte(): number {
    return (this.u32() >>> 11) & 0xff;
  }

  bool(): boolean {
    return ((this.u32() >>> 9) & 1) === 1;
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** A value that is likely to be at an edge: small, near a power of two, all ones, or any. */
  value(): bigint {
    switch (this.below(5)) {
      case 0:
        return BigInt.asUintN(64, BigInt(this.below(5) - 2));
      case 1:
        return BigInt.asUintN(64, (1n << BigInt(this.below(65))) + BigInt(this.below(3) - 1));
      case 2:
        return BigInt(this.u32());
      default:
        return this.u64();
    }
  }
}

/** The seed from the environment, or a new one. */
export const seedFromEnvironment = (): number => Number(process.env['SEED'] ?? (Math.random() * 0xffffffff) >>> 0);
