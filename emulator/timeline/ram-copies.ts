import type { Machine } from '../machine/api';
import type { RamHistory } from './ram-history';

const PAGE = 4096;

/** The plainest history of RAM: a whole copy for each snapshot. For tests, against which others are judged. */
export class RamCopies implements RamHistory {
  private readonly copies: Uint8Array[] = [];
  base = -1;

  constructor(private readonly machine: Machine) {}

  get count(): number {
    return this.copies.length;
  }

  get bytes(): number {
    return this.copies.reduce((sum, copy) => sum + copy.length, 0);
  }

  snapshot(): void {
    this.base++;
    this.copies.splice(this.base, 0, this.machine.ram.slice());
  }

  goTo(index: number): void {
    const { ram } = this.machine;
    const copy = this.copyOf(index);
    for (let at = 0; at < ram.length; at += PAGE) {
      if (same(ram, copy, at)) continue;
      ram.set(copy.subarray(at, at + PAGE), at);
      this.machine.ramReplaced(at, PAGE);
    }
    this.base = index;
  }

  arrived(): void {
    this.base++;
  }

  forgetAfter(index: number): void {
    this.copies.length = index + 1;
    this.base = Math.min(this.base, index);
  }

  drop(index: number): void {
    this.copies.splice(index, 1);
    if (this.base > index) this.base--;
  }

  /** Copies show what bytes came to, not that they were written. */
  mayBeWritten(_page: number, from: number, to: number): boolean {
    return from < to;
  }

  private copyOf(index: number): Uint8Array {
    const copy = this.copies[index];
    if (!copy) throw new RangeError(`there is no snapshot ${index}: there are ${this.count}`);
    return copy;
  }
}

function same(a: Uint8Array, b: Uint8Array, at: number): boolean {
  const [x, y] = [a, b].map((bytes) => new BigUint64Array(bytes.buffer, bytes.byteOffset + at, PAGE / 8));
  for (let i = 0; i < PAGE / 8; i++) if (x?.[i] !== y?.[i]) return false;
  return true;
}
