import { hostPhysical, type HostPhysicalAddress } from '../../memory/address';
import type { MmioRange } from '../../memory/bus';
import type { ConfigSpace } from './config-space';

/** What a device shows behind a base address register. Sizes 1, 2 or 4: a wider access comes as two. */
export interface BarRegion {
  readonly name: string;
  /** A power of two: at least 16 for memory, at least 4 for ports */
  readonly size: number;
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

const IO_TYPE = 1;
const MEMORY_64 = 4;
const MEMORY_LOW_MASK = 0xfffffff0;

/** A base address register that asks for ports (PCI Local Bus Specification 3.0, 6.2.5.1). */
export class IoBar {
  constructor(
    private readonly config: ConfigSpace,
    private readonly offset: number,
    readonly region: BarRegion,
  ) {
    config.define(offset, 4, IO_TYPE, (~(region.size - 1) & 0xfffffffc) >>> 0);
  }

  /** First port, 0 when software has not placed it */
  get base(): number {
    const value = this.config.get32(this.offset) & ~3;
    // Ports have 16 address bits here; a BAR placed above them (as sizing does) decodes nothing.
    return value >>> 0 > 0xffff ? 0 : value;
  }

  place(base: number): void {
    this.config.set32(this.offset, base | IO_TYPE);
  }
}

/**
 * A base address register that asks for memory, 32 or 64 bits. It is a range on the physical bus as long as the
 * function's memory decoding is on; RAM wins where software puts it over RAM, as with a host bridge that decodes RAM first.
 */
export class MemoryBar implements MmioRange {
  readonly name: string;

  constructor(
    private readonly config: ConfigSpace,
    private readonly offset: number,
    readonly region: BarRegion,
    private readonly wide: boolean,
    private readonly decoding: () => boolean,
    private readonly ramSize: number,
  ) {
    this.name = region.name;
    config.define(offset, 4, wide ? MEMORY_64 : 0, ~(region.size - 1) >>> 0);
    if (wide) config.define(offset + 4, 4, 0, 0xffffffff);
  }

  get base(): HostPhysicalAddress {
    const low = BigInt((this.config.get32(this.offset) & MEMORY_LOW_MASK) >>> 0);
    const high = this.wide ? BigInt(this.config.get32(this.offset + 4)) << 32n : 0n;
    return hostPhysical(high | low);
  }

  get size(): bigint {
    const { base } = this;
    return this.decoding() && base >= BigInt(this.ramSize) ? BigInt(this.region.size) : 0n;
  }

  place(base: number): void {
    this.config.set32(this.offset, (base | (this.wide ? MEMORY_64 : 0)) >>> 0);
  }

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    if (size < 8) return BigInt(this.region.read(at, size) >>> 0);
    return BigInt(this.region.read(at, 4) >>> 0) | (BigInt(this.region.read(at + 4, 4) >>> 0) << 32n);
  }

  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    this.region.write(at, Math.min(size, 4), Number(value & 0xffffffffn));
    if (size === 8) this.region.write(at + 4, 4, Number(value >> 32n));
  }
}
