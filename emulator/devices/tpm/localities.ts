import type { StateReader, StateWriter } from '../device';

export const LOCALITIES = 5;
const NONE = -1;

/**
 * Who may use the TPM: at most one locality at a time (PC Client Platform TPM Profile 1.05, clause 6.5.2). Higher ones
 * may take it from lower ones.
 */
export class Localities {
  active = NONE;
  /** Bit per locality */
  private requests = 0;
  private seizures = 0;

  isActive(locality: number): boolean {
    return this.active === locality;
  }

  beenSeized(locality: number): boolean {
    return (this.seizures & (1 << locality)) !== 0;
  }

  requested(locality: number): boolean {
    return (this.requests & (1 << locality)) !== 0;
  }

  othersRequest(locality: number): boolean {
    return (this.requests & ~(1 << locality)) !== 0;
  }

  clearSeizure(locality: number): void {
    this.seizures &= ~(1 << locality);
  }

  /** True: another locality has the TPM now. */
  request(locality: number): boolean {
    if (this.active === locality) return false;
    if (this.active === NONE) return this.grant(locality);
    this.requests |= 1 << locality;
    return false;
  }

  /** Gives up the TPM or the wish for it; the highest that waits comes next. */
  relinquish(locality: number): boolean {
    this.requests &= ~(1 << locality);
    if (this.active !== locality) return false;
    this.active = NONE;
    for (let next = LOCALITIES - 1; next >= 0; next--) if (this.requested(next)) this.grant(next);
    return true;
  }

  /** Only from a lower locality, which finds that it was seized. */
  seize(locality: number): boolean {
    if (locality <= this.active) return false;
    if (this.active !== NONE) this.seizures |= 1 << this.active;
    return this.grant(locality);
  }

  private grant(locality: number): boolean {
    if (this.active > locality) return false;
    this.active = locality;
    this.requests &= ~(1 << locality);
    return true;
  }

  reset(): void {
    this.active = NONE;
    this.requests = 0;
    this.seizures = 0;
  }

  save(out: StateWriter): void {
    out.u8(this.active & 0xff);
    out.u8(this.requests);
    out.u8(this.seizures);
  }

  restore(from: StateReader): void {
    const active = from.u8();
    this.active = active === 0xff ? NONE : active;
    this.requests = from.u8();
    this.seizures = from.u8();
  }
}
