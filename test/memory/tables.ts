import { MachineMemory } from '../../emulator/memory/machine-memory';
import { hostPhysical } from '../../emulator/memory/address';
import { PagingContext, type PagingRegisters } from '../../emulator/memory/paging-context';
import { PhysicalMemory } from '../../emulator/memory/physical';
import { Walker } from '../../emulator/memory/walker';

export const PE_PG_WP = 0x80010001n;
export const PAE = 0x20n;
export const PSE = 0x10n;
export const SMEP = 1n << 20n;
export const SMAP = 1n << 21n;
export const LMA_NXE = 0xd00n;
export const NXE = 0x800n;
export const NX = 1n << 63n;

/** RAM with a walker, and hands to write tables with. */
export class Tables {
  readonly physical = new PhysicalMemory(new MachineMemory(0x400000));
  readonly walker = new Walker(this.physical);

  entry(address: number, value: bigint): void {
    this.physical.write64(hostPhysical(BigInt(address)), value);
  }

  entry32(address: number, value: number): void {
    this.physical.write32(hostPhysical(BigInt(address)), value);
  }

  read(address: number): bigint {
    return this.physical.read64(hostPhysical(BigInt(address)));
  }

  context(registers: Partial<PagingRegisters>): PagingContext {
    return new PagingContext().set({ cr0: PE_PG_WP, cr3: 0x1000n, cr4: PAE, efer: LMA_NXE, eptp: 0n, ...registers });
  }

  /** 4-level tables at 0x1000..0x4fff that map linear 0x8080604000 + page 5 to `page` with `flags` at every level. */
  mapLong(page: number, flags = 7n, leafFlags = flags): bigint {
    this.entry(0x1000 + 1 * 8, 0x2000n | flags);
    this.entry(0x2000 + 2 * 8, 0x3000n | flags);
    this.entry(0x3000 + 3 * 8, 0x4000n | flags);
    this.entry(0x4000 + 5 * 8, BigInt(page) | leafFlags);
    return (1n << 39n) | (2n << 30n) | (3n << 21n) | (5n << 12n);
  }

  /** EPT at 0x10000..: identity for the first 2 MByte in 4-KByte pages with `flags`. The EPT pointer's value. */
  mapEpt(flags = 7n, memoryType = 6n): bigint {
    this.entry(0x10000, 0x11000n | 7n);
    this.entry(0x11000, 0x12000n | 7n);
    this.entry(0x12000, 0x13000n | 7n);
    for (let i = 0; i < 512; i++) this.eptPage(i * 4096, i * 4096, flags, memoryType);
    return 0x1001en;
  }

  eptPage(guestPhysical: number, hostPage: number, flags: bigint, memoryType = 6n): void {
    this.entry(0x13000 + (guestPhysical >>> 12) * 8, BigInt(hostPage) | (memoryType << 3n) | flags);
  }
}
