import type { StateReader, StateWriter } from '../device';

const MASK = 0x80000000;
const PENDING = 0x40000000;
/** Fields of the message-address register: 31:2; of the upper one: 31:8 */
const ADDRESS_MASK = 0xfffffffc;

/**
 * One of the unit's own interrupts: control, data, address and upper address, four doublewords (VT-d specification,
 * "Fault Event Control Register" and its neighbours). While masked, a message waits as "pending".
 */
export class EventInterrupt {
  private control = MASK;
  private data = 0;
  private address = 0;
  private upper = 0;

  constructor(private readonly send: (address: bigint, data: number) => void) {}

  read(index: number): number {
    return ([this.control, this.data, this.address, this.upper][index] ?? 0) >>> 0;
  }

  write(index: number, value: number): void {
    if (index === 0) {
      this.control = (this.control & PENDING) | (value & MASK);
      if (!(this.control & MASK) && this.control & PENDING) this.raise();
    } else if (index === 1) this.data = value & 0xffff;
    else if (index === 2) this.address = value & ADDRESS_MASK;
    else this.upper = value;
  }

  raise(): void {
    if (this.control & MASK) {
      this.control |= PENDING;
      return;
    }
    this.control &= ~PENDING;
    this.send((BigInt(this.upper >>> 0) << 32n) | BigInt(this.address >>> 0), this.data);
  }

  /** Software has dealt with what the message would have been about. */
  withdraw(): void {
    this.control &= ~PENDING;
  }

  save(out: StateWriter): void {
    for (const value of [this.control, this.data, this.address, this.upper]) out.u32(value >>> 0);
  }

  restore(from: StateReader): void {
    this.control = from.u32();
    this.data = from.u32();
    this.address = from.u32();
    this.upper = from.u32();
  }
}
