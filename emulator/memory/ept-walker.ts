import { EPT, EPT_5 } from './paging-format';
import { MappingFlag, type GuestPhysicalCache } from './guest-physical-cache';
import type { PagingContext } from './paging-context';
import type { TableMemory } from './table-memory';

/**
 * Access and permission bits in the order of EPT entries and of the exit qualification. EXECUTE_USER stands for bit 10
 * of an entry: with mode-based execute control EXECUTE is for supervisor-mode linear addresses only.
 */
export const EptBit = {
  READ: 1,
  WRITE: 2,
  EXECUTE: 4,
  EXECUTE_USER: 8,
  LEAF: 0x80,
  ACCESSED: 0x100,
  DIRTY: 0x200,
} as const;

/** Bit 10 of an entry becomes bit 3 of the permissions. */
const USER_SHIFT = 7;
const PRESENT = 7;
const PRESENT_MODE_BASED = 0x407;
const ALL = 15;
/** Bit 63 of an entry, in its high half */
const SUPPRESS_VE = 0x80000000;

/** Why EPT did not translate. */
export const enum EptFailure {
  None,
  Violation,
  Misconfiguration,
  /** An accessed or dirty flag would have to be set, and the page-modification log has no room. */
  LogFull,
}

/** The page-modification log of the running guest (SDM vol. 3, 29.3.6). */
export interface PageModificationLog {
  /** The PML index is not in 0 to 511. */
  readonly full: boolean;
  append(guestPhysical: number): void;
}

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

/** The second dimension: guest-physical to host-physical (SDM vol. 3, 29.3, "The Extended Page Table Mechanism"). */
export class EptWalker {
  /**
   * AND of the permissions of all entries of the last walk, 0 when one was not present. Bit 3 is the permission to
   * execute for user-mode linear addresses: bit 10 of the entries with mode-based execute control, else bit 2.
   */
  permissions = 0;
  /** Bytes that the last leaf entry maps */
  pageSize = 0;
  /** Dirty flag of the leaf after the walk; true when EPT has no accessed and dirty flags */
  dirty = true;
  failure = EptFailure.None;
  /** After a violation: bit 63 of the entry that decides whether it may be a #VE instead is 0 (SDM vol. 3, 26.5.7.1). */
  convertible = false;
  sink: StepSink | undefined;
  log: PageModificationLog | undefined;
  /** Absent in the debugger's walker, which is to see the tables */
  cache: GuestPhysicalCache | undefined;
  private readonly entries = new Float64Array(EPT_5.levels.length);
  private readonly lows = new Uint32Array(EPT_5.levels.length);

  constructor(private readonly tables: TableMemory) {}

  /**
   * @param access bits of EptBit that the access needs
   * @param probe ignore permissions and leave accessed and dirty flags alone
   * @returns the host-physical address, or -1 with `failure`
   */
  translate(context: PagingContext, guestPhysical: number, access: number, probe: boolean): number {
    const { cache } = this;
    if (probe || cache === undefined) return this.walk(context, guestPhysical, access, probe);
    const root = context.eptRootPage;
    const page = Math.floor(guestPhysical / 4096);
    const modeBased = context.modeBasedExecute ? MappingFlag.MODE_BASED : 0;
    const flags = cache.find(root, page);
    // A mapping that does not allow the access is not used: what is in memory decides about a violation.
    const needed = access | (access & EptBit.WRITE ? MappingFlag.DIRTY : 0) | MappingFlag.VALID | modeBased;
    if ((flags & (needed | MappingFlag.MODE_BASED)) === needed) {
      this.failure = EptFailure.None;
      this.permissions = flags & MappingFlag.PERMISSIONS;
      this.dirty = (flags & MappingFlag.DIRTY) !== 0;
      return cache.target(page) * 4096 + (guestPhysical % 4096);
    }
    const host = this.walk(context, guestPhysical, access, false);
    if (host < 0) cache.drop(root, page);
    else {
      const dirty = this.dirty ? MappingFlag.DIRTY : 0;
      cache.fill(root, page, Math.floor(host / 4096), this.permissions | dirty | modeBased);
    }
    return host;
  }

  private walk(context: PagingContext, guestPhysical: number, access: number, probe: boolean): number {
    const { tables } = this;
    const { levels } = context.eptLevels === 5 ? EPT_5 : EPT;
    const modeBased = context.modeBasedExecute;
    const present = modeBased ? PRESENT_MODE_BASED : PRESENT;
    this.failure = EptFailure.None;
    this.permissions = ALL;
    let table = context.eptRoot;
    for (let depth = 0; depth < levels.length; depth++) {
      const level = levels[depth];
      if (level === undefined) break;
      const address = table + (Math.floor(guestPhysical / level.span) & EPT.indexMask) * 8;
      tables.load(address, 8);
      const { low, high } = tables;
      const leaf = level.leaf === 'always' || (level.leaf === 'bit 7' && (low & EptBit.LEAF) !== 0);
      const base = (high & 0xfffff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
      const output = leaf ? base - (base % level.span) + (guestPhysical % level.span) : base;
      this.sink?.('ept', level.name, levels.length - depth, address, low, high, guestPhysical, output, leaf);
      this.convertible = (high & SUPPRESS_VE) === 0;
      if ((low & present) === 0) return this.fail(EptFailure.Violation, 0);
      if (misconfigured(low, high, leaf, level.reservedLow, level.reservedLeafLow))
        return this.fail(EptFailure.Misconfiguration, 0);
      const user = modeBased ? (low >>> USER_SHIFT) & EptBit.EXECUTE_USER : (low << 1) & EptBit.EXECUTE_USER;
      this.permissions &= (low & 7) | user;
      this.entries[depth] = address;
      this.lows[depth] = low;
      if (leaf) {
        this.pageSize = level.span;
        return this.finish(context, depth, guestPhysical, output, access, probe);
      }
      table = base;
    }
    return this.fail(EptFailure.Violation, 0);
  }

  private fail(failure: EptFailure, permissions: number): -1 {
    this.failure = failure;
    this.permissions = permissions;
    return -1;
  }

  private finish(
    context: PagingContext,
    leafDepth: number,
    guestPhysical: number,
    output: number,
    access: number,
    probe: boolean,
  ): number {
    this.dirty = true;
    if (probe) {
      this.dirty = !context.eptAccessedDirty || ((this.lows[leafDepth] ?? 0) & EptBit.DIRTY) !== 0;
      return output;
    }
    if ((access & ~this.permissions) !== 0) return this.fail(EptFailure.Violation, this.permissions);
    if (!context.eptAccessedDirty) return output;
    const wasDirty = ((this.lows[leafDepth] ?? 0) & EptBit.DIRTY) !== 0;
    const modifies = (access & EptBit.WRITE) !== 0 && !wasDirty;
    let clear = modifies;
    for (let depth = 0; depth <= leafDepth; depth++) clear ||= ((this.lows[depth] ?? 0) & EptBit.ACCESSED) === 0;
    this.dirty = wasDirty || modifies;
    if (!clear) return output;
    // The log is looked at before any flag is set, of whichever kind (SDM vol. 3, 29.3.6).
    const log = context.logsModifications ? this.log : undefined;
    if (log?.full) return this.fail(EptFailure.LogFull, this.permissions);
    for (let depth = 0; depth <= leafDepth; depth++) {
      const wanted = depth === leafDepth && modifies ? EptBit.ACCESSED | EptBit.DIRTY : EptBit.ACCESSED;
      if (((this.lows[depth] ?? 0) & wanted) !== wanted) this.tables.setBits(this.entries[depth] ?? 0, wanted);
    }
    if (modifies) log?.append(guestPhysical - (guestPhysical % 4096));
    return output;
  }
}

/**
 * SDM vol. 3, 29.3.3.1, for an entry that is present. Execute-only translations are announced as supported
 * (IA32_VMX_EPT_VPID_CAP bit 0), so only "writable and not readable" is illegal among the permissions.
 */
export function misconfigured(
  low: number,
  high: number,
  leaf: boolean,
  reserved: number,
  reservedLeaf: number,
): boolean {
  if ((low & 3) === EptBit.WRITE) return true;
  if ((high & EPT.reservedHigh) !== 0) return true;
  if (!leaf) return (low & reserved) !== 0;
  if ((low & reservedLeaf) !== 0) return true;
  const memoryType = (low >>> 3) & 7;
  return memoryType === 2 || memoryType === 3 || memoryType === 7;
}
