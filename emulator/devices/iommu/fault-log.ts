import type { StateReader, StateWriter } from '../device';
import type { EventInterrupt } from './event-interrupt';
import { FAULT_REASONS, type FaultReason } from './fault-reasons';
import { FAULT_RECORDS } from './registers';

/** FSTS_REG */
const OVERFLOW = 0x01;
const PENDING = 0x02;
const QUEUE_ERROR = 0x10;
const WORDS = 4;
/** In the last doubleword of a record */
const FAULT = 0x80000000;
const READ = 0x40000000;

/** Primary fault logging (VT-d specification, "Primary Fault Logging", "Fault Recording Registers"). */
export class FaultLog {
  private readonly records = new Uint32Array(FAULT_RECORDS * WORDS);
  /** Where the next fault goes */
  private next = 0;
  /** Record of the fault that made "pending" true */
  private first = 0;
  private overflow = false;
  private queueError = false;

  constructor(private readonly event: EventInterrupt) {}

  get status(): number {
    const { pending } = this;
    return (
      (this.overflow ? OVERFLOW : 0) |
      (pending ? PENDING : 0) |
      (this.queueError ? QUEUE_ERROR : 0) |
      ((pending ? this.first : 0) << 8)
    );
  }

  get queueStopped(): boolean {
    return this.queueError;
  }

  /**
   * @param information the page's address for DMA, the interrupt index << 48 for interrupts: bits 63:12
   * @param disabled the fault-processing-disable bit of the entry that was used
   */
  record(reason: FaultReason, requester: number, information: bigint, write: boolean, disabled: boolean): void {
    if (disabled && FAULT_REASONS[reason].qualified) return;
    // After an overflow nothing is recorded until software clears it.
    if (this.overflow) return;
    const before = this.status;
    const at = this.next * WORDS;
    if ((this.records[at + 3] ?? 0) & FAULT) {
      this.overflow = true;
    } else {
      if (!this.pending) this.first = this.next;
      this.records[at] = Number(information & 0xfffff000n);
      this.records[at + 1] = Number((information >> 32n) & 0xffffffffn);
      this.records[at + 2] = requester;
      this.records[at + 3] = FAULT | (write ? 0 : READ) | reason;
      this.next = (this.next + 1) % FAULT_RECORDS;
    }
    // One message for the first condition; more of them while it is unserved send none.
    if (before === 0) this.event.raise();
  }

  failQueue(): void {
    const before = this.status;
    this.queueError = true;
    if (before === 0) this.event.raise();
  }

  /** FSTS_REG: overflow and queue error are cleared by writing ones. @returns whether the queue may go on */
  writeStatus(value: number): boolean {
    if (value & OVERFLOW) this.overflow = false;
    const resumed = this.queueError && (value & QUEUE_ERROR) !== 0;
    if (resumed) this.queueError = false;
    this.served();
    return resumed;
  }

  /** @param offset in bytes, a multiple of four */
  read(offset: number): number {
    return this.records[offset >>> 2] ?? 0;
  }

  /** Of a record software can only clear F. */
  write(offset: number, value: number): void {
    const at = offset >>> 2;
    if (at % WORDS === 3 && value & FAULT) this.records[at] = (this.records[at] ?? 0) & ~FAULT;
    this.served();
  }

  private get pending(): boolean {
    for (let at = 3; at < this.records.length; at += WORDS) if ((this.records[at] ?? 0) & FAULT) return true;
    return false;
  }

  private served(): void {
    if (this.status === 0) this.event.withdraw();
  }

  save(out: StateWriter): void {
    for (const word of this.records) out.u32(word);
    out.u8(this.next);
    out.u8(this.first);
    out.u8(Number(this.overflow) | (Number(this.queueError) << 1));
  }

  restore(from: StateReader): void {
    for (let i = 0; i < this.records.length; i++) this.records[i] = from.u32();
    this.next = from.u8();
    this.first = from.u8();
    const bits = from.u8();
    this.overflow = (bits & 1) !== 0;
    this.queueError = (bits & 2) !== 0;
  }
}
