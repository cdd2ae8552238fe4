import type { HostPhysicalAddress } from './address';
import type { MmioRange } from './bus';
import { RAM_BASE } from './layout';
import type { MachineMemory } from './machine-memory';

/**
 * What the processor's physical bus reaches: RAM from 0, device ranges, and nothing elsewhere (reads as ones, writes
 * are lost). Accesses do not cross a page; callers split them.
 */
export class PhysicalMemory {
  private readonly ranges: MmioRange[] = [];
  /** Device ranges that begin below the end of RAM, and so hide some of it */
  private hiding: MmioRange[] = [];

  /** Called after every access that reached no RAM */
  accessed: (() => void) | undefined;

  constructor(readonly memory: MachineMemory) {}

  addRange(range: MmioRange): void {
    this.ranges.push(range);
    this.rangesMoved();
  }

  /** A device changed the base of its range (IA32_APIC_BASE). Translations to the old and new place are stale. */
  rangesMoved(): void {
    this.hiding = this.ranges.filter(({ base }) => base < BigInt(this.memory.ramSize));
  }

  /**
   * `hostOffset` for callers that keep physical addresses as numbers (exact up to 52 bits): the page walker and the
   * software TLB's refill.
   */
  ramAddress(address: number): number {
    if (address >= this.memory.ramSize) return -1;
    for (const { base, size } of this.hiding) {
      if (address >= Number(base) && address < Number(base + size)) return -1;
    }
    return RAM_BASE + address;
  }

  /** The wasm address of a RAM byte, or -1 when this is no RAM. A device range hides RAM beneath it. */
  hostOffset(address: HostPhysicalAddress): number {
    return this.ramAddress(Number(address));
  }

  rangeAt(address: HostPhysicalAddress): MmioRange | undefined {
    for (const range of this.ranges) {
      if (address >= range.base && address < range.base + range.size) return range;
    }
    return undefined;
  }

  /** @param size 1, 2, 4 or 8 bytes; the result is zero-extended */
  read(address: HostPhysicalAddress, size: number): bigint {
    const offset = this.hostOffset(address);
    if (offset < 0) {
      const range = this.rangeAt(address);
      if (!range) return (1n << BigInt(size * 8)) - 1n;
      const value = range.read(address - range.base, size);
      this.accessed?.();
      return BigInt.asUintN(size * 8, value);
    }
    const { view } = this.memory;
    switch (size) {
      case 1:
        return BigInt(view.getUint8(offset));
      case 2:
        return BigInt(view.getUint16(offset, true));
      case 4:
        return BigInt(view.getUint32(offset, true));
      default:
        return view.getBigUint64(offset, true);
    }
  }

  write(address: HostPhysicalAddress, size: number, value: bigint): void {
    const offset = this.hostOffset(address);
    if (offset < 0) {
      const range = this.rangeAt(address);
      range?.write(address - range.base, size, BigInt.asUintN(size * 8, value));
      this.accessed?.();
      return;
    }
    const { view } = this.memory;
    this.memory.writing?.(offset, size);
    switch (size) {
      case 1:
        view.setUint8(offset, Number(value & 0xffn));
        return;
      case 2:
        view.setUint16(offset, Number(value & 0xffffn), true);
        return;
      case 4:
        view.setUint32(offset, Number(value & 0xffffffffn), true);
        return;
      default:
        view.setBigUint64(offset, BigInt.asUintN(64, value), true);
    }
  }

  read32(address: HostPhysicalAddress): number {
    return Number(this.read(address, 4));
  }

  read64(address: HostPhysicalAddress): bigint {
    return this.read(address, 8);
  }

  write32(address: HostPhysicalAddress, value: number): void {
    this.write(address, 4, BigInt(value >>> 0));
  }

  write64(address: HostPhysicalAddress, value: bigint): void {
    this.write(address, 8, value);
  }
}
