import { hostPhysical } from './address';
import { RAM_BASE } from './layout';
import type { PhysicalMemory } from './physical';

/**
 * Table entries in host-physical memory, as two 32-bit halves: the last one loaded is in `low` and `high`. Addresses are
 * numbers (see PagingContext) and entries naturally aligned.
 */
export class TableMemory {
  /** Of the last entry loaded */
  address = 0;
  low = 0;
  high = 0;
  /** Told when the processor itself changes RAM (accessed and dirty flags): wasm address, bytes. */
  onStore: ((wasmAddress: number, length: number) => void) | undefined;

  constructor(private readonly physical: PhysicalMemory) {}

  load(address: number, size: 4 | 8): void {
    this.address = address;
    const at = this.physical.ramAddress(address);
    if (at < 0) {
      const value = this.physical.read(hostPhysical(BigInt(address)), size);
      this.low = Number(value & 0xffffffffn);
      this.high = Number(value >> 32n);
      return;
    }
    const words = this.physical.memory.i32;
    this.low = (words[at >>> 2] ?? 0) >>> 0;
    this.high = size === 8 ? (words[(at >>> 2) + 1] ?? 0) >>> 0 : 0;
  }

  /** Stores 8 bytes: what the processor writes besides tables, like the page-modification log. */
  store(address: number, value: bigint): void {
    const at = this.physical.ramAddress(address);
    if (at < RAM_BASE) {
      this.physical.write(hostPhysical(BigInt(address)), 8, value);
      return;
    }
    this.physical.memory.writing?.(at, 8);
    this.physical.memory.view.setBigUint64(at, value, true);
    this.onStore?.(at, 8);
  }

  /** Sets bits in the low half of an entry: accessed and dirty flags. */
  setBits(address: number, bits: number): void {
    const at = this.physical.ramAddress(address);
    if (at < RAM_BASE) return;
    const { i32: words } = this.physical.memory;
    this.physical.memory.writing?.(at, 4, true);
    words[at >>> 2] = (words[at >>> 2] ?? 0) | bits;
    this.onStore?.(at, 4);
  }
}
