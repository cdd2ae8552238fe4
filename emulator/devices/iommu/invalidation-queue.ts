import type { Device, StateReader, StateWriter } from '../device';
import type { DmaRemapping } from './dma-remapping';
import type { EventInterrupt } from './event-interrupt';
import type { FaultLog } from './fault-log';
import type { HostMemory } from './host-memory';
import type { InterruptRemapping } from './interrupt-remapping';
import { ADDRESS_MASK_MOST } from './registers';

const DESCRIPTOR = 16;
const PAGE = 4096;
/** IQA_REG: 128-bit descriptors only, DW (bit 11) stays 0 */
const POSITION = 0x7fff0;

/** Descriptor types (VT-d specification, "Invalidation Descriptors"). Device-TLB invalidation is not there: no device TLBs. */
const enum Descriptor {
  Context = 1,
  Iotlb = 2,
  InterruptEntry = 4,
  Wait = 5,
}

/** IQERCD_REG: why the queue stopped */
const enum QueueError {
  None = 0,
  Tail = 1,
  Fetch = 2,
  Type = 3,
  Reserved = 4,
}

const WAIT_INTERRUPT = 0x10;
const WAIT_STATUS = 0x20;

/** Queued invalidation. Descriptors are carried out as soon as the tail moves. */
export class InvalidationQueue implements Device {
  readonly name = 'invalidation queue';
  enabled = false;
  head = 0;
  tail = 0;
  addressLow = 0;
  addressHigh = 0;
  error: QueueError = QueueError.None;
  /** ICS_REG.IWC */
  waitCompleted = false;

  constructor(
    private readonly memory: HostMemory,
    private readonly dma: DmaRemapping,
    private readonly interrupts: InterruptRemapping,
    private readonly faults: FaultLog,
    private readonly completion: EventInterrupt,
  ) {}

  enable(on: boolean): void {
    if (on && !this.enabled) this.head = 0;
    this.enabled = on;
    if (!on) this.head = 0;
    this.run();
  }

  setTail(value: number): void {
    this.tail = value & POSITION;
    this.run();
  }

  /** Software has cleared the error: the descriptor at the head is tried again. */
  resume(): void {
    this.error = QueueError.None;
    this.run();
  }

  /** ICS_REG: writing one clears. */
  clearCompletion(): void {
    this.waitCompleted = false;
    this.completion.withdraw();
  }

  private get size(): number {
    return PAGE << (this.addressLow & 7);
  }

  private get base(): number {
    return this.addressHigh * 0x100000000 + ((this.addressLow & 0xfffff000) >>> 0);
  }

  private run(): void {
    if (!this.enabled || this.faults.queueStopped) return;
    if (this.tail >= this.size) {
      this.stop(QueueError.Tail);
      return;
    }
    while (this.head !== this.tail) {
      if (!this.memory.load(this.base + this.head, 4)) {
        this.stop(QueueError.Fetch);
        return;
      }
      const [first = 0, second = 0, third = 0, fourth = 0] = this.memory.words;
      const error = this.carryOut(first, second, third, fourth);
      if (error !== QueueError.None) {
        this.stop(error);
        return;
      }
      this.head = (this.head + DESCRIPTOR) % this.size;
    }
  }

  private stop(error: QueueError): void {
    this.error = error;
    this.faults.failQueue();
  }

  private carryOut(first: number, second: number, third: number, fourth: number): QueueError {
    // The type's upper three bits are bits 11:9.
    const type = (first & 15) | ((first >>> 5) & 0x70);
    const granularity = (first >>> 4) & 3;
    const domain = first >>> 16;
    switch (type as Descriptor) {
      case Descriptor.Context:
        if (first & 0xf1c0 || second & 0xfffc0000 || third || fourth || granularity === 0) return QueueError.Reserved;
        this.dma.invalidateContexts(granularity, domain, second & 0xffff, (second >>> 16) & 3);
        return QueueError.None;
      case Descriptor.Iotlb:
        if (first & 0xf100 || second || third & 0xf80 || granularity === 0) return QueueError.Reserved;
        if (granularity === 3 && (third & 0x3f) > ADDRESS_MASK_MOST) return QueueError.Reserved;
        this.dma.invalidatePages(granularity, domain, pageOf(third, fourth), third & 0x3f);
        return QueueError.None;
      case Descriptor.InterruptEntry:
        if (first & 0x07fff1e0 || second & 0xffff0000 || third || fourth) return QueueError.Reserved;
        this.interrupts.invalidate(!(first & 0x10), second & 0xffff, first >>> 27);
        return QueueError.None;
      case Descriptor.Wait:
        // PD, drain page requests, is reserved without page requests; FN needs nothing: all before is done.
        if (first & 0xfffff180 || third & 3) return QueueError.Reserved;
        if (first & WAIT_STATUS) this.memory.store32(fourth * 0x100000000 + third, second);
        if (first & WAIT_INTERRUPT && !this.waitCompleted) {
          this.waitCompleted = true;
          this.completion.raise();
        }
        return QueueError.None;
      default:
        return QueueError.Type;
    }
  }

  save(out: StateWriter): void {
    out.u8(Number(this.enabled) | (Number(this.waitCompleted) << 1));
    for (const value of [this.head, this.tail, this.addressLow, this.addressHigh, this.error]) out.u32(value >>> 0);
  }

  restore(from: StateReader): void {
    const bits = from.u8();
    this.enabled = (bits & 1) !== 0;
    this.waitCompleted = (bits & 2) !== 0;
    this.head = from.u32();
    this.tail = from.u32();
    this.addressLow = from.u32();
    this.addressHigh = from.u32();
    this.error = from.u32();
  }
}

/** Address of an IOTLB descriptor, up to 52 bits */
const pageOf = (low: number, high: number): number => (high & 0xfffff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
