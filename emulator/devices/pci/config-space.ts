import type { StateReader, StateWriter } from '../device';

/** Offsets in a type 0 configuration header (PCI Local Bus Specification 3.0, 6.1). */
export const ConfigRegister = {
  VENDOR: 0x00,
  DEVICE: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION: 0x08,
  CLASS: 0x09,
  HEADER_TYPE: 0x0e,
  BAR: 0x10,
  SUBSYSTEM_VENDOR: 0x2c,
  SUBSYSTEM: 0x2e,
  CAPABILITIES: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const;

/** Command register (6.2.2) */
export const Command = { IO: 1, MEMORY: 2, BUS_MASTER: 4, PARITY: 0x40, SERR: 0x100, INTX_DISABLE: 0x400 } as const;
/** Status register (6.2.3) */
export const Status = { INTERRUPT: 8, CAPABILITIES: 0x10, RECEIVED_MASTER_ABORT: 0x2000 } as const;

const SIZE = 256;

/**
 * The 256 bytes of one function. Which bits software may change, and which it clears by writing ones, are masks beside
 * the bytes: sizing a BAR, hard-wired bits and read-only fields all follow from them.
 */
export class ConfigSpace {
  readonly bytes = new Uint8Array(SIZE);
  private readonly view = new DataView(this.bytes.buffer);
  private readonly writable = new Uint8Array(SIZE);
  private readonly clearable = new Uint8Array(SIZE);

  /** Gives a register its value and what software may change of it. */
  define(offset: number, size: 1 | 2 | 4, value: number, writable = 0, clearable = 0): void {
    for (let i = 0; i < size; i++) {
      this.bytes[offset + i] = value >>> (8 * i);
      this.writable[offset + i] = writable >>> (8 * i);
      this.clearable[offset + i] = clearable >>> (8 * i);
    }
  }

  /** Lets software change more bits of a 16-bit register. */
  allow(offset: number, bits: number): void {
    for (let i = 0; i < 2; i++) this.writable[offset + i] = (this.writable[offset + i] ?? 0) | (bits >>> (8 * i));
  }

  read(offset: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.bytes[offset + i] ?? 0xff) << (8 * i);
    return value >>> 0;
  }

  /** A write by software */
  write(offset: number, size: number, value: number): void {
    for (let i = 0; i < size && offset + i < SIZE; i++) {
      const at = offset + i;
      const byte = (value >>> (8 * i)) & 0xff;
      const mask = this.writable[at] ?? 0;
      const kept = (this.bytes[at] ?? 0) & ~(byte & (this.clearable[at] ?? 0));
      this.bytes[at] = (kept & ~mask) | (byte & mask);
    }
  }

  get16(offset: number): number {
    return this.view.getUint16(offset, true);
  }

  get32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  set16(offset: number, value: number): void {
    this.view.setUint16(offset, value, true);
  }

  set32(offset: number, value: number): void {
    this.view.setUint32(offset, value, true);
  }

  save(out: StateWriter): void {
    out.blob(this.bytes);
  }

  restore(from: StateReader): void {
    this.bytes.set(from.blob());
  }
}
