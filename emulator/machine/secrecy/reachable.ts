import { RAM_BASE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';

const READ = 1;
const LARGE = 0x80;
const LEVELS = 4;

/** Whether an EPT in force lets its owner read a host-physical page at the guest-physical address of the same number. */
export class IdentityMap {
  private readonly view: DataView;
  private table = -1;
  private region = -1;

  constructor(private readonly memory: MachineMemory) {
    this.view = memory.view;
  }

  /** Tables are read anew. */
  begin(): void {
    this.region = -1;
  }

  reads(eptp: bigint, page: number): boolean {
    if (eptp === 0n) return true;
    const region = Math.floor(page / 0x200000);
    if (region !== this.region) {
      this.region = region;
      this.table = this.lastTable(Number(eptp & 0xffffffffff000n), page);
    }
    // A large page, or none at all
    if (this.table === -1) return true;
    if (this.table === -2) return false;
    const entry = this.entry(this.table, (page / 4096) & 511);
    return entry !== undefined && (Number(entry & 7n) & READ) !== 0 && Number(entry & 0xffffffffff000n) === page;
  }

  /** The page table; -1: all is mapped by a large page, -2: nothing is mapped to itself here */
  private lastTable(root: number, page: number): number {
    let table = root;
    for (let level = LEVELS - 1; level > 0; level--) {
      const size = 2 ** (12 + 9 * level);
      const entry = this.entry(table, Math.floor(page / size) & 511);
      if (entry === undefined || (Number(entry & 7n) & READ) === 0) return -2;
      const address = Number(entry & 0xffffffffff000n);
      if (Number(entry & 0xffn) & LARGE) return address - (address % size) === page - (page % size) ? -1 : -2;
      table = address;
    }
    return table;
  }

  private entry(table: number, index: number): bigint | undefined {
    const at = table + index * 8;
    return at + 8 <= this.memory.ramSize ? this.view.getBigUint64(RAM_BASE + at, true) : undefined;
  }
}
