import type { StateReader, StateWriter } from '../device';

/** Protection against dictionary attacks (Part 1, clause 19.8); times in seconds of the TPM's clock */
export class Lockout {
  failedTries = 0;
  maxTries = 3;
  recoveryTime = 1000;
  lockoutRecovery = 1000;
  private healedAt = 0;
  /** Until when lockoutAuth may not be used; -1: until the next Startup */
  private lockoutUsableAt = 0;

  /** After each `recoveryTime` without a failure one is forgiven. */
  private heal(now: number): void {
    if (this.recoveryTime === 0 || this.failedTries === 0) {
      this.healedAt = now;
      return;
    }
    const forgiven = Math.min(this.failedTries, Math.floor((now - this.healedAt) / this.recoveryTime));
    if (forgiven <= 0) return;
    this.failedTries -= forgiven;
    this.healedAt += forgiven * this.recoveryTime;
  }

  locked(now: number): boolean {
    this.heal(now);
    return this.maxTries !== 0 && this.recoveryTime !== 0 && this.failedTries >= this.maxTries;
  }

  failure(now: number): void {
    this.heal(now);
    if (this.failedTries < this.maxTries) this.failedTries++;
    this.healedAt = now;
  }

  lockoutLocked(now: number): boolean {
    return this.lockoutUsableAt < 0 || now < this.lockoutUsableAt;
  }

  lockoutFailure(now: number): void {
    this.lockoutUsableAt = this.lockoutRecovery === 0 ? -1 : now + this.lockoutRecovery;
  }

  reset(): void {
    this.failedTries = 0;
    this.lockoutUsableAt = 0;
  }

  startup(): void {
    if (this.lockoutUsableAt < 0) this.lockoutUsableAt = 0;
  }

  /** What TPM2_Clear leaves */
  defaults(): void {
    this.maxTries = 3;
    this.recoveryTime = 1000;
    this.lockoutRecovery = 1000;
    this.reset();
  }

  save(out: StateWriter): void {
    out.u32(this.failedTries);
    out.u32(this.maxTries);
    out.u32(this.recoveryTime);
    out.u32(this.lockoutRecovery);
    out.f64(this.healedAt);
    out.f64(this.lockoutUsableAt);
  }

  restore(from: StateReader): void {
    this.failedTries = from.u32();
    this.maxTries = from.u32();
    this.recoveryTime = from.u32();
    this.lockoutRecovery = from.u32();
    this.healedAt = from.f64();
    this.lockoutUsableAt = from.f64();
  }
}
