import type { StateReader, StateWriter } from './device';

/** Error-status register (SDM vol. 3, 11.5.3): errors collect unseen until a write makes them readable. */
export class ApicErrors {
  private collected = 0;
  private latched = 0;

  get value(): number {
    return this.latched;
  }

  /** @returns true when the error interrupt is due: it comes once for each kind of error between two writes */
  record(bit: number): boolean {
    const first = (this.collected & bit) === 0;
    this.collected |= bit;
    return first;
  }

  /** A write shows what happened since the previous one, and arms the error interrupt again. */
  latch(): void {
    this.latched = this.collected;
    this.collected = 0;
  }

  reset(): void {
    this.collected = this.latched = 0;
  }

  save(out: StateWriter): void {
    out.u32(this.collected);
    out.u32(this.latched);
  }

  restore(from: StateReader): void {
    this.collected = from.u32();
    this.latched = from.u32();
  }
}
