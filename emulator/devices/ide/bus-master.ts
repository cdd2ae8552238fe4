import type { Device, StateReader, StateWriter } from '../device';
import type { DmaPort } from '../dma-port';
import type { IdeChannel } from './ide-channel';

// "Programming Interface for Bus Master IDE Controller", revision 1.0; Intel 82371SB data sheet, "BMICX", "BMISX", "BMIDTPX".
const START = 0x01;
const TO_MEMORY = 0x08;
const ACTIVE = 0x01;
const ERROR = 0x02;
const INTERRUPT = 0x04;
const DRIVES_CAPABLE = 0x60;
const END_OF_TABLE = 0x80000000;
/** A table must not cross a 64-KByte boundary: that many descriptors at most. */
const TABLE_END = 0x10000;
const DESCRIPTOR = 8;

/** The DMA engine of one channel: walks the table of physical region descriptors and moves the device's data. */
export class BusMaster implements Device {
  readonly name: string;
  private command = 0;
  private status = 0;
  private table = 0;
  // The walk: next descriptor, what is left of the current region, and whether the table has ended
  private next = 0;
  private address = 0;
  private left = 0;
  private last = false;
  private readonly descriptor = new Uint8Array(DESCRIPTOR);
  private readonly words = new DataView(this.descriptor.buffer);

  constructor(
    private readonly channel: IdeChannel,
    private readonly memory: DmaPort,
  ) {
    this.name = `${channel.name} bus master`;
    channel.master = this;
  }

  read(offset: number): number {
    switch (offset) {
      case 0:
        return this.command;
      case 2:
        return this.status;
      case 4:
      case 5:
      case 6:
      case 7:
        return (this.table >>> (8 * (offset - 4))) & 0xff;
      default:
        return 0;
    }
  }

  write(offset: number, value: number): void {
    switch (offset) {
      case 0:
        this.setCommand(value & (START | TO_MEMORY));
        break;
      case 2:
        this.status = (this.status & ~(value & (ERROR | INTERRUPT)) & ~DRIVES_CAPABLE) | (value & DRIVES_CAPABLE);
        break;
      case 4:
      case 5:
      case 6:
      case 7: {
        const shift = 8 * (offset - 4);
        this.table = ((this.table & ~(0xff << shift)) | (value << shift)) & ~3;
        this.table >>>= 0;
        break;
      }
      default:
    }
  }

  private setCommand(value: number): void {
    const started = value & START && !(this.command & START);
    const stopped = !(value & START) && this.command & START;
    this.command = value;
    if (started) {
      this.status |= ACTIVE;
      this.next = this.table;
      this.left = 0;
      this.last = false;
      if (this.channel.dmaWaiting) this.channel.runDma();
    } else if (stopped) {
      this.status &= ~ACTIVE;
      this.channel.stopDma();
    }
  }

  /** The device has a DMA transfer to make. */
  deviceReady(): void {
    if (this.status & ACTIVE) this.channel.runDma();
  }

  /** The device moved all it had: with nothing left in the table the engine is done too. */
  deviceDone(): void {
    if (this.last && this.left === 0) this.status &= ~ACTIVE;
  }

  interruptRose(): void {
    this.status |= INTERRUPT;
  }

  /**
   * Moves data between the device and the regions of the table. False: the table ended early (ACTIVE goes off), or
   * memory could not be reached or the direction is the wrong one (ERROR as well).
   */
  move(bytes: Uint8Array, toMemory: boolean): boolean {
    if (((this.command & TO_MEMORY) !== 0) !== toMemory) return this.stop(true);
    for (let done = 0; done < bytes.length;) {
      if (this.left === 0) {
        if (this.last || this.next - this.table >= TABLE_END) return this.stop(false);
        if (!this.fetch()) return this.stop(true);
      }
      const part = bytes.subarray(done, done + Math.min(this.left, bytes.length - done));
      const at = BigInt(this.address);
      if (!(toMemory ? this.memory.write(at, part) : this.memory.read(at, part))) return this.stop(true);
      this.address += part.length;
      this.left -= part.length;
      done += part.length;
    }
    return true;
  }

  private fetch(): boolean {
    if (!this.memory.read(BigInt(this.next), this.descriptor)) return false;
    this.next += DESCRIPTOR;
    // Regions begin at even addresses and have even lengths; zero stands for 64 KByte.
    this.address = (this.words.getUint32(0, true) & ~1) >>> 0;
    const second = this.words.getUint32(4, true);
    this.left = second & 0xfffe || 0x10000;
    this.last = (second & END_OF_TABLE) !== 0;
    return true;
  }

  private stop(error: boolean): false {
    this.status = (this.status & ~ACTIVE) | (error ? ERROR : 0);
    return false;
  }

  save(out: StateWriter): void {
    out.u8(this.command);
    out.u8(this.status);
    out.u32(this.table);
    out.f64(this.next);
    out.f64(this.address);
    out.u32(this.left);
    out.u8(Number(this.last));
  }

  restore(from: StateReader): void {
    this.command = from.u8();
    this.status = from.u8();
    this.table = from.u32();
    this.next = from.f64();
    this.address = from.f64();
    this.left = from.u32();
    this.last = from.u8() !== 0;
  }
}
