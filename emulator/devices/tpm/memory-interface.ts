import { hostPhysical } from '../../memory/address';
import type { MmioRange } from '../../memory/bus';
import type { Device, StateReader, StateWriter } from '../device';
import { Localities, LOCALITIES } from './localities';
import type { Tpm } from './tpm';

export const TPM_BASE = 0xfed40000n;
const LOCALITY_SHIFT = 12;
const HARDWARE_LOCALITY = 4;
const OPEN = 0xff;

/** Registers that both interfaces have at the same place */
export const Common = { HASH_END: 0x20, HASH_DATA: 0x24, HASH_START: 0x28, INTERFACE_ID: 0x30 } as const;

/** Vendor and device of DID_VID: no registered vendor */
export const VENDOR_ID = 0x5556;
export const DEVICE_ID = 0x0001;
export const REVISION_ID = 1;

/**
 * A TPM as memory at FED4_0000H: a page of registers for each locality (PC Client Platform TPM Profile 1.05, clause 6).
 * What happens is the work of bytes: wider accesses are made as bytes, lowest first. Commands complete at once.
 */
export abstract class MemoryInterface implements MmioRange, Device {
  readonly name = 'TPM';
  readonly base = hostPhysical(TPM_BASE);
  readonly size = BigInt(LOCALITIES << LOCALITY_SHIFT);
  /** Which localities software reaches: the chipset opens 1 to 3 in a measured environment. 4 is hardware's alone. */
  softwareReaches: (locality: number) => boolean = (locality) => locality < HARDWARE_LOCALITY;
  protected readonly localities = new Localities();
  /** A dynamic launch has happened since the bit was last reset. */
  protected established = false;
  private hashing = false;

  constructor(readonly tpm: Tpm) {}

  protected abstract readByte(locality: number, at: number): number;
  protected abstract writeByte(locality: number, at: number, value: number): void;
  /** The locality changed: what was going on is over. */
  protected abstract abort(): void;
  protected abstract saveState(out: StateWriter): void;
  protected abstract restoreState(from: StateReader): void;

  read(offset: bigint, size: number): bigint {
    const start = Number(offset);
    let value = 0n;
    for (let i = 0; i < size; i++) value |= BigInt(this.readAt(start + i)) << BigInt(8 * i);
    return value;
  }

  write(offset: bigint, size: number, value: bigint): void {
    const start = Number(offset);
    for (let i = 0; i < size; i++) {
      const locality = (start + i) >> LOCALITY_SHIFT;
      if (!this.softwareReaches(locality)) continue;
      this.writeByte(locality, (start + i) & 0xfff, Number((value >> BigInt(8 * i)) & 0xffn));
    }
  }

  private readAt(offset: number): number {
    const locality = offset >> LOCALITY_SHIFT;
    return this.softwareReaches(locality) ? this.readByte(locality, offset & 0xfff) : OPEN;
  }

  // --- Locality 4: the processor's own cycles during a dynamic launch (clause 6.5.3.12) ---

  /** TPM_HASH_START: takes the TPM from whoever has it. False: hardware cannot have it now. */
  hashStart(): void {
    if (this.localities.seize(HARDWARE_LOCALITY)) this.abort();
    this.hashing = true;
    this.established = true;
    this.tpm.hashStart();
  }

  hashData(bytes: Uint8Array): void {
    if (this.hashing) this.tpm.hashData(bytes);
  }

  hashEnd(): void {
    if (!this.hashing) return;
    this.hashing = false;
    this.tpm.hashEnd();
    this.localities.relinquish(HARDWARE_LOCALITY);
    this.abort();
  }

  /** A command from trusted code in the chipset's or the processor's own firmware, at a locality of its own */
  executeAt(locality: number, command: Uint8Array): Uint8Array {
    return this.tpm.execute(command, locality);
  }

  /** The platform's reset line */
  reset(): void {
    this.localities.reset();
    this.hashing = false;
    this.abort();
    this.tpm.reset();
  }

  save(out: StateWriter): void {
    this.localities.save(out);
    out.u8((this.established ? 1 : 0) | (this.hashing ? 2 : 0));
    this.saveState(out);
    this.tpm.save(out);
  }

  restore(from: StateReader): void {
    this.localities.restore(from);
    const flags = from.u8();
    this.established = (flags & 1) !== 0;
    this.hashing = (flags & 2) !== 0;
    this.restoreState(from);
    this.tpm.restore(from);
  }
}

/** Byte n of a little-endian register */
export const byteOf = (value: number, n: number): number => (value >>> (8 * n)) & 0xff;
