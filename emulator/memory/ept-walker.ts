import { EPT } from './paging-format';
import type { PagingContext } from './paging-context';
import type { TableMemory } from './table-memory';

/** Access and permission bits in the order of EPT entries and of the exit qualification. */
export const EptBit = { READ: 1, WRITE: 2, EXECUTE: 4, LEAF: 0x80, ACCESSED: 0x100, DIRTY: 0x200 } as const;

/** Receives every entry that a walk reads. `input` is the address being translated, `output` what the entry leads to. */
export type StepSink = (
  table: 'paging' | 'ept',
  name: string,
  level: number,
  entryAddress: number,
  low: number,
  high: number,
  input: number,
  output: number,
  leaf: boolean,
) => void;

const LEVELS = EPT.levels;

/** The second dimension: guest-physical to host-physical (SDM vol. 3, "The Extended Page Table Mechanism"). */
export class EptWalker {
  /** AND of bits 2:0 of all entries of the last walk; 0 when one was not present */
  permissions = 0;
  /** Bytes that the last leaf entry maps */
  pageSize = 0;
  /** Dirty flag of the leaf after the walk; true when EPT has no accessed and dirty flags */
  dirty = true;
  /** After a failed walk: an EPT misconfiguration instead of a violation */
  misconfiguration = false;
  sink: StepSink | undefined;
  private readonly entries = new Float64Array(LEVELS.length);
  private readonly lows = new Uint32Array(LEVELS.length);

  constructor(private readonly tables: TableMemory) {}

  /**
   * @param access bits of EptBit that the access needs
   * @param probe ignore permissions and leave accessed and dirty flags alone
   * @returns the host-physical address, or -1 for a violation or misconfiguration
   */
  translate(context: PagingContext, guestPhysical: number, access: number, probe: boolean): number {
    const { tables } = this;
    this.misconfiguration = false;
    this.permissions = 7;
    let table = context.eptRoot;
    for (let depth = 0; depth < LEVELS.length; depth++) {
      const level = LEVELS[depth];
      if (level === undefined) break;
      const address = table + (Math.floor(guestPhysical / level.span) & EPT.indexMask) * 8;
      tables.load(address, 8);
      const { low, high } = tables;
      const rights = low & 7;
      const leaf = level.leaf === 'always' || (level.leaf === 'bit 7' && (low & EptBit.LEAF) !== 0);
      const base = (high & 0xfffff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
      const output = leaf ? base - (base % level.span) + (guestPhysical % level.span) : base;
      this.sink?.('ept', level.name, LEVELS.length - depth, address, low, high, guestPhysical, output, leaf);
      if (rights === 0) {
        this.permissions = 0;
        return -1;
      }
      if (misconfigured(low, high, leaf, level.reservedLow, level.reservedLeafLow)) {
        this.misconfiguration = true;
        this.permissions = 0;
        return -1;
      }
      this.permissions &= rights;
      this.entries[depth] = address;
      this.lows[depth] = low;
      if (leaf) {
        this.pageSize = level.span;
        return this.finish(context, depth, output, access, probe);
      }
      table = base;
    }
    return -1;
  }

  private finish(context: PagingContext, leafDepth: number, output: number, access: number, probe: boolean): number {
    this.dirty = true;
    if (probe) return output;
    if ((access & ~this.permissions) !== 0) return -1;
    if (!context.eptAccessedDirty) return output;
    for (let depth = 0; depth <= leafDepth; depth++) {
      const low = this.lows[depth] ?? 0;
      const wanted = depth === leafDepth && access & EptBit.WRITE ? EptBit.ACCESSED | EptBit.DIRTY : EptBit.ACCESSED;
      if ((low & wanted) !== wanted) this.tables.setBits(this.entries[depth] ?? 0, wanted);
    }
    this.dirty = (access & EptBit.WRITE) !== 0 || ((this.lows[leafDepth] ?? 0) & EptBit.DIRTY) !== 0;
    return output;
  }
}

/**
 * SDM vol. 3, "EPT Misconfigurations", for an entry that is present. Execute-only translations are announced as
 * supported (IA32_VMX_EPT_VPID_CAP bit 0), so only "writable and not readable" is illegal among the permissions.
 */
function misconfigured(low: number, high: number, leaf: boolean, reserved: number, reservedLeaf: number): boolean {
  if ((low & 3) === EptBit.WRITE) return true;
  if ((high & EPT.reservedHigh) !== 0) return true;
  if (!leaf) return (low & reserved) !== 0;
  if ((low & reservedLeaf) !== 0) return true;
  const memoryType = (low >>> 3) & 7;
  return memoryType === 2 || memoryType === 3 || memoryType === 7;
}
