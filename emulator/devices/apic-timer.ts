import type { StateReader, StateWriter } from './device';
import { LVT_MASKED } from './apic-registers';

const enum Mode {
  OneShot,
  Periodic,
  TscDeadline,
}

/**
 * The local APIC's timer (SDM vol. 3, 11.5.4). It counts virtual clock ticks through the divider; nothing happens
 * between its deadlines, so the count is computed when somebody reads it.
 */
export class ApicTimer {
  /** LVT timer entry: vector, mask (bit 16), mode (bits 18:17) */
  lvt = LVT_MASKED;
  initialCount = 0;
  private divideConfiguration = 0;
  private startedAt = 0;
  /** Clock at which it next expires, or Infinity */
  private deadline = Infinity;
  private tscDeadlineValue = 0n;

  /**
   * @param clock the virtual clock
   * @param tscBase time-stamp counter minus virtual clock, for the TSC-deadline mode
   */
  constructor(
    private readonly clock: () => number,
    private readonly tscBase: () => bigint,
  ) {}

  get mode(): number {
    return (this.lvt >>> 17) & 3;
  }

  /** Bits 3, 1:0 encode 2, 4, 8 .. 128, 1. */
  private get divider(): number {
    const code = (this.divideConfiguration & 3) | ((this.divideConfiguration >>> 1) & 4);
    return code === 7 ? 1 : 2 << code;
  }

  setLvt(value: number): void {
    const before = this.mode;
    this.lvt = value;
    // Entering or leaving TSC-deadline mode disarms the timer.
    if (
      before !== this.mode &&
      (before === (Mode.TscDeadline as number) || this.mode === (Mode.TscDeadline as number))
    ) {
      this.initialCount = 0;
      this.deadline = Infinity;
      this.tscDeadlineValue = 0n;
    }
  }

  setInitialCount(value: number): void {
    if (this.mode === (Mode.TscDeadline as number)) return;
    this.initialCount = value;
    this.startedAt = this.clock();
    this.deadline = value === 0 ? Infinity : this.startedAt + value * this.divider;
  }

  getDivide(): number {
    return this.divideConfiguration;
  }

  /** The count goes on from where it is, at the new pace. */
  setDivide(value: number): void {
    const remaining = this.currentCount();
    this.divideConfiguration = value & 0x0b;
    if (this.deadline === Infinity || this.mode === (Mode.TscDeadline as number)) return;
    this.startedAt = this.clock() - (this.initialCount - remaining) * this.divider;
    this.deadline = this.startedAt + this.initialCount * this.divider;
  }

  currentCount(): number {
    if (this.deadline === Infinity || this.mode === (Mode.TscDeadline as number)) return 0;
    const elapsed = Math.floor((this.clock() - this.startedAt) / this.divider);
    if (this.mode === (Mode.Periodic as number)) return this.initialCount - (elapsed % this.initialCount);
    return Math.max(0, this.initialCount - elapsed);
  }

  /** IA32_TSC_DEADLINE: zero when disarmed */
  get tscDeadline(): bigint {
    return this.tscDeadlineValue;
  }

  set tscDeadline(value: bigint) {
    if (this.mode !== (Mode.TscDeadline as number)) return;
    this.tscDeadlineValue = value;
    // A deadline that has passed expires at once.
    this.deadline = value === 0n ? Infinity : Number(BigInt.asIntN(64, value - this.tscBase()));
  }

  /** When the next interrupt is due; Infinity when none will come */
  nextDeadline(): number {
    return this.lvt & LVT_MASKED ? Infinity : this.deadline;
  }

  /** True when it expired at or before `now` and wants its interrupt. */
  advance(now: number): boolean {
    if (now < this.deadline) return false;
    if (this.mode === (Mode.Periodic as number)) {
      const period = this.initialCount * this.divider;
      const periods = Math.floor((now - this.deadline) / period) + 1;
      this.startedAt += periods * period;
      this.deadline += periods * period;
    } else {
      this.deadline = Infinity;
      this.tscDeadlineValue = 0n;
    }
    return !(this.lvt & LVT_MASKED);
  }

  reset(): void {
    this.lvt = LVT_MASKED;
    this.initialCount = this.divideConfiguration = this.startedAt = 0;
    this.deadline = Infinity;
    this.tscDeadlineValue = 0n;
  }

  save(out: StateWriter): void {
    out.u32(this.lvt);
    out.u32(this.initialCount);
    out.u32(this.divideConfiguration);
    out.f64(this.startedAt);
    out.f64(this.deadline);
    out.u64(this.tscDeadlineValue);
  }

  restore(from: StateReader): void {
    this.lvt = from.u32();
    this.initialCount = from.u32();
    this.divideConfiguration = from.u32();
    this.startedAt = from.f64();
    this.deadline = from.f64();
    this.tscDeadlineValue = from.u64();
  }
}
