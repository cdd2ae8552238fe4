import type { StateReader, StateWriter } from '../device';
import type { DmaPort } from '../dma-port';

/** Descriptor flags (Virtual I/O Device specification 1.2, 2.7.5) */
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const DESCRIPTOR = 16;
const NO_INTERRUPT = 1;
const LEGACY_ALIGNMENT = 4096n;

export interface Segment {
  readonly address: bigint;
  readonly length: number;
}

/** A chain of descriptors: what the device reads, then what it writes. */
export interface Chain {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
}

/** The driver broke the rules, or the rings cannot be reached: the device needs a reset. */
export class QueueBroken extends Error {}

/** One split virtqueue (2.7), reached only through the function's DMA port. */
export class Virtqueue {
  size: number;
  vector = 0xffff;
  enabled = false;
  descriptors = 0n;
  available = 0n;
  used = 0n;
  private nextAvailable = 0;
  private nextUsed = 0;
  private readonly word = new Uint8Array(DESCRIPTOR);
  private readonly view = new DataView(this.word.buffer);

  constructor(
    readonly maximum: number,
    private readonly memory: DmaPort,
  ) {
    this.size = maximum;
  }

  reset(): void {
    this.size = this.maximum;
    this.vector = 0xffff;
    this.enabled = false;
    this.descriptors = this.available = this.used = 0n;
    this.nextAvailable = this.nextUsed = 0;
  }

  /** The three parts in one piece, as the legacy interface has them (2.7.2) */
  placeLegacy(page: number): void {
    this.descriptors = BigInt(page) * LEGACY_ALIGNMENT;
    this.available = this.descriptors + BigInt(this.size * DESCRIPTOR);
    const end = this.available + BigInt(6 + 2 * this.size);
    this.used = ((end + LEGACY_ALIGNMENT - 1n) / LEGACY_ALIGNMENT) * LEGACY_ALIGNMENT;
    this.enabled = page !== 0;
    this.nextAvailable = this.nextUsed = 0;
  }

  /** Whether the driver has put something into the available ring. @throws QueueBroken */
  hasWork(): boolean {
    if (!this.enabled) return false;
    return this.read16(this.available + 2n) !== this.nextAvailable;
  }

  /** Takes the next chain; undefined: there is none. @throws QueueBroken */
  take(eventIndex: boolean): Chain | undefined {
    if (!this.hasWork()) return undefined;
    const ready = (this.read16(this.available + 2n) - this.nextAvailable) & 0xffff;
    if (ready > this.size) throw new QueueBroken('more chains are available than the ring has room for');
    const slot = BigInt(this.nextAvailable % this.size);
    const head = this.read16(this.available + 4n + 2n * slot);
    const chain = this.collect(head);
    this.nextAvailable = (this.nextAvailable + 1) & 0xffff;
    // Tells the driver for which index it is to notify again (2.7.10).
    if (eventIndex) this.write16(this.used + 4n + 8n * BigInt(this.size), this.nextAvailable);
    return chain;
  }

  /** Hands a chain back. @returns whether the driver wants an interrupt for it (2.7.7) @throws QueueBroken */
  give(head: number, written: number, eventIndex: boolean): boolean {
    const slot = BigInt(this.nextUsed % this.size);
    this.view.setUint32(0, head, true);
    this.view.setUint32(4, written, true);
    this.store(this.used + 4n + 8n * slot, 8);
    const before = this.nextUsed;
    this.nextUsed = (this.nextUsed + 1) & 0xffff;
    this.write16(this.used + 2n, this.nextUsed);
    if (!eventIndex) return (this.read16(this.available) & NO_INTERRUPT) === 0;
    const event = this.read16(this.available + 4n + 2n * BigInt(this.size));
    return ((this.nextUsed - event - 1) & 0xffff) < ((this.nextUsed - before) & 0xffff);
  }

  private collect(head: number): Chain {
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let table = this.descriptors;
    let count = this.size;
    let index = head;
    let indirect = false;
    for (let steps = 0; ; steps++) {
      if (index >= count) throw new QueueBroken(`descriptor ${index} is beyond the table of ${count}`);
      if (steps > this.size) throw new QueueBroken('a chain is longer than the queue, or a circle');
      this.load(table + BigInt(index * DESCRIPTOR), DESCRIPTOR);
      const address = this.view.getBigUint64(0, true);
      const length = this.view.getUint32(8, true);
      const flags = this.view.getUint16(12, true);
      const next = this.view.getUint16(14, true);
      if (flags & INDIRECT) {
        if (indirect || flags & NEXT)
          throw new QueueBroken('an indirect descriptor inside a table or with a successor');
        if (length === 0 || length % DESCRIPTOR !== 0)
          throw new QueueBroken('the length of an indirect table is wrong');
        table = address;
        count = length / DESCRIPTOR;
        index = 0;
        indirect = true;
        continue;
      }
      if (flags & WRITE) writable.push({ address, length });
      else if (writable.length > 0) throw new QueueBroken('a readable descriptor after a writable one');
      else readable.push({ address, length });
      if (!(flags & NEXT)) return { head, readable, writable };
      index = next;
    }
  }

  private load(address: bigint, length: number): void {
    if (!this.memory.read(address, this.word.subarray(0, length))) {
      throw new QueueBroken(`the queue at 0x${address.toString(16)} cannot be read`);
    }
  }

  private store(address: bigint, length: number): void {
    if (!this.memory.write(address, this.word.subarray(0, length))) {
      throw new QueueBroken(`the queue at 0x${address.toString(16)} cannot be written`);
    }
  }

  private read16(address: bigint): number {
    this.load(address, 2);
    return this.view.getUint16(0, true);
  }

  private write16(address: bigint, value: number): void {
    this.view.setUint16(0, value, true);
    this.store(address, 2);
  }

  save(out: StateWriter): void {
    for (const value of [this.size, this.vector, Number(this.enabled), this.nextAvailable, this.nextUsed])
      out.u32(value);
    for (const address of [this.descriptors, this.available, this.used]) out.u64(address);
  }

  restore(from: StateReader): void {
    this.size = from.u32();
    this.vector = from.u32();
    this.enabled = from.u32() !== 0;
    this.nextAvailable = from.u32();
    this.nextUsed = from.u32();
    this.descriptors = from.u64();
    this.available = from.u64();
    this.used = from.u64();
  }
}
