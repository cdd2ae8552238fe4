import type { Tlb } from './tlb';
import { EptBit, EptFailure, EptWalker, type StepSink } from './ept-walker';
import type { PagingContext } from './paging-context';
import { PAE, PDPTE_RESERVED_HIGH, PDPTE_RESERVED_LOW, type PagingFormat, type PagingLevel } from './paging-format';
import type { PhysicalMemory } from './physical';
import { TableMemory } from './table-memory';
import { Permission } from './tlb';

/** What an access is. WRITE, USER and FETCH have the positions of the page-fault error code (SDM vol. 3, 4.7). */
export const AccessBit = {
  WRITE: 2,
  USER: 4,
  FETCH: 16,
  /** An explicit supervisor access with RFLAGS.AC set: SMAP does not apply. */
  SMAP_LIFTED: 256,
} as const;

/** The other bits of the error code */
const PageFaultBit = { PRESENT: 1, RESERVED: 8 } as const;

export const enum WalkFault {
  None,
  /** `errorCode` */
  PageFault,
  /** `qualification`, `guestPhysical` */
  EptViolation,
  /** `guestPhysical` */
  EptMisconfiguration,
  /** `guestPhysical`: an EPT flag is to be set, and the page-modification log is full */
  LogFull,
  /** A guest paging structure lies on the APIC-access page. */
  ApicAccess,
}

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;
const NO_EXECUTE = 0x80000000;
/** Beside WRITABLE and USER in what entries allow: one of them disables execution. */
const NOT_EXECUTABLE = 1;
/** Entries of the longest walk */
const DEPTH = 5;
const TWO_32 = 0x100000000;

/**
 * EPT-violation qualification: linear address valid; the access was to the translated address, not a table entry; and
 * then, as advanced information, what paging allows (SDM vol. 3, table 28-7).
 */
const LINEAR_VALID = 1 << 7;
const TRANSLATED = 1 << 8;
const USER_LINEAR = 1 << 9;
const WRITABLE_LINEAR = 1 << 10;
const EXECUTE_DISABLED_LINEAR = 1 << 11;

/**
 * The page-table walker, for every format and both dimensions. The result of the last walk is in its fields: a walk
 * allocates nothing. With `probe` it ignores permissions, sets no flags in memory and shows every entry to `sink`.
 */
export class Walker {
  guestPhysical = 0;
  hostPhysical = 0;
  /** Permission bits of the page for the privilege of the access; WRITE only with the dirty flags set. */
  permissions = 0;
  global = false;
  /** After a probe: a write would find every dirty flag set. */
  dirty = false;
  /** Bytes that the paging leaf maps (the unit of INVLPG); 4096 with paging off */
  pageSize = 4096;
  fault: WalkFault = WalkFault.None;
  errorCode = 0;
  qualification = 0;
  /** After an EPT violation: the EPT entry does not suppress #VE. */
  convertible = false;
  readonly tables: TableMemory;
  readonly ept: EptWalker;
  private sinkFunction: StepSink | undefined;
  private readonly scratch = new BigUint64Array(1);
  private readonly scratchWords = new Uint32Array(this.scratch.buffer);
  // Entries of the running walk, for accessed and dirty flags: host-physical and guest-physical address, low half,
  // and whether EPT lets the table be written.
  private readonly entryHost = new Float64Array(DEPTH);
  private readonly entryGuest = new Float64Array(DEPTH);
  private readonly entryLow = new Uint32Array(DEPTH);
  private readonly entryRights = new Uint8Array(DEPTH);
  /** The table that an entry leads to, and what paging allows up to there */
  private readonly entryTable = new Float64Array(DEPTH);
  private readonly entryAllowed = new Uint8Array(DEPTH);
  /** Depth that the running walk began at: above it the paging-structure caches answered */
  private start = 0;

  /** @param tlb the vCPU's caches that walks use and fill; without, every walk reads all tables */
  constructor(
    physical: PhysicalMemory,
    private readonly tlb?: Tlb,
  ) {
    this.tables = new TableMemory(physical);
    this.ept = new EptWalker(this.tables);
    this.ept.cache = tlb?.guestPhysical;
  }

  set sink(sink: StepSink | undefined) {
    this.sinkFunction = sink;
    this.ept.sink = sink;
  }

  /**
   * Translates a canonical linear address.
   * @param access AccessBit values, 0 for a supervisor read
   * @returns whether it succeeded; otherwise `fault` and its companions say why not
   */
  walk(context: PagingContext, linear: bigint, access: number, probe = false): boolean {
    this.scratch[0] = linear;
    const low = this.scratchWords[0] ?? 0;
    const address = ((this.scratchWords[1] ?? 0) & 0xffff) * TWO_32 + low;
    this.fault = WalkFault.None;
    const { format } = context;
    if (format === undefined) {
      this.pageSize = 4096;
      this.global = false;
      this.permissions = Permission.READ | Permission.WRITE | Permission.EXECUTE;
      this.dirty = true;
      // Without paging every linear address is user-mode, writable and executable (SDM vol. 3, 4.6.1 and table 28-7).
      return this.finish(context, low, access, probe, WRITABLE | USER, false);
    }
    const input = format === PAE ? low : address;
    if (this.tlb === undefined || probe) return this.walkFromRoot(context, format, input, access, probe);
    const { structures } = this.tlb;
    this.start = structures.find(context, format.levels, input);
    if (this.start > 0) {
      const { table, rights } = structures;
      if (this.walkTables(context, format, table, input, access, false, this.start, rights)) return true;
      // A fault is never decided by what was cached: as on silicon the tables are walked before it is raised.
      structures.forget(context, format.levels, input);
      this.fault = WalkFault.None;
    }
    return this.walkFromRoot(context, format, input, access, false);
  }

  private walkFromRoot(
    context: PagingContext,
    format: PagingFormat,
    address: number,
    access: number,
    probe: boolean,
  ): boolean {
    this.start = 0;
    const root = format === PAE ? this.pageDirectory(context, address, access, probe) : context.root;
    return root >= 0 && this.walkTables(context, format, root, address, access, probe, 0, WRITABLE | USER);
  }

  /** Translates a guest-physical address through EPT alone, as for VMX's own and the PDPTEs' accesses. */
  walkGuestPhysical(context: PagingContext, guestPhysical: number, access: number, probe = false): boolean {
    this.fault = WalkFault.None;
    this.permissions = Permission.READ | Permission.WRITE | Permission.EXECUTE;
    this.guestPhysical = guestPhysical;
    if (!context.eptInUse) {
      this.hostPhysical = guestPhysical;
      return true;
    }
    this.hostPhysical = this.ept.translate(context, guestPhysical, access, probe);
    return this.hostPhysical >= 0 || this.eptFault(context, guestPhysical, access, 0);
  }

  private walkTables(
    context: PagingContext,
    format: PagingFormat,
    root: number,
    address: number,
    access: number,
    probe: boolean,
    start: number,
    allowed: number,
  ): boolean {
    const { tables } = this;
    const { levels } = format;
    let table = root;
    let rights = allowed & (WRITABLE | USER);
    let noExecute = (allowed & NOT_EXECUTABLE) !== 0;
    for (let depth = start; depth < levels.length; depth++) {
      const level = levels[depth] as PagingLevel;
      const guestEntry = table + (Math.floor(address / level.span) & format.indexMask) * format.entrySize;
      const entry = this.tableAddress(context, guestEntry, depth, probe);
      if (entry < 0) return false;
      tables.load(entry, format.entrySize);
      const { low, high } = tables;
      const leaf = level.leaf === 'always' || (level.leaf === 'bit 7' && (low & LARGE) !== 0);
      const base = leaf ? pageBase(format, level, low, high) : (high & 0xfffff) * TWO_32 + ((low & 0xfffff000) >>> 0);
      this.sinkFunction?.(
        'paging', level.name, levels.length - depth, guestEntry, low, high, address, leaf ? base + (address % level.span) : base, leaf,
      ); // prettier-ignore
      if ((low & PRESENT) === 0) return this.pageFault(context, access, 0);
      const reservedHigh = context.noExecute ? format.reservedHigh : format.reservedHigh | NO_EXECUTE;
      const reservedLow = leaf ? level.reservedLeafLow : level.reservedLow;
      if ((low & reservedLow) !== 0 || (high & reservedHigh) !== 0)
        return this.pageFault(context, access, PageFaultBit.PRESENT | PageFaultBit.RESERVED);
      rights &= low;
      if (context.noExecute && (high & NO_EXECUTE) !== 0) noExecute = true;
      this.entryHost[depth] = entry;
      this.entryGuest[depth] = guestEntry;
      this.entryLow[depth] = low;
      if (!leaf) {
        table = base;
        this.entryTable[depth] = base;
        this.entryAllowed[depth] = (rights & (WRITABLE | USER)) | (noExecute ? NOT_EXECUTABLE : 0);
        continue;
      }
      this.dirty = (low & DIRTY) !== 0;
      this.pageSize = level.span;
      this.global = context.global && (low & GLOBAL) !== 0;
      if (!probe) {
        if (!this.permit(context, rights, noExecute, access))
          return this.pageFault(context, access, PageFaultBit.PRESENT);
        if (!this.updateFlags(context, start, depth, access)) return false;
        for (let above = this.start; above < depth; above++) {
          const table = this.entryTable[above] ?? 0;
          this.tlb?.structures.fill(context, levels, above, address, table, this.entryAllowed[above] ?? 0);
        }
        if ((low & DIRTY) === 0 && (access & AccessBit.WRITE) === 0) this.permissions &= ~Permission.WRITE;
      } else this.permit(context, rights, noExecute, access);
      return this.finish(context, base + (address % level.span), access, probe, rights, noExecute);
    }
    return false;
  }

  /** Sets `permissions` for the access's privilege (SDM vol. 3, 4.6.1); false when they do not allow the access. */
  private permit(context: PagingContext, rights: number, noExecute: boolean, access: number): boolean {
    const userPage = (rights & USER) !== 0;
    const writable = (rights & WRITABLE) !== 0;
    let permissions = Permission.READ | Permission.WRITE | Permission.EXECUTE;
    if (access & AccessBit.USER) {
      if (!userPage) permissions = 0;
      else if (!writable) permissions &= ~Permission.WRITE;
    } else {
      if (userPage && context.smap && (access & AccessBit.SMAP_LIFTED) === 0) permissions = Permission.EXECUTE;
      if (!writable && context.writeProtect) permissions &= ~Permission.WRITE;
      if (userPage && context.smep) permissions &= ~Permission.EXECUTE;
    }
    if (noExecute) permissions &= ~Permission.EXECUTE;
    this.permissions = permissions;
    return (permissions & needed(access)) !== 0;
  }

  /** Accessed flags of all entries and the dirty flag of the leaf (SDM vol. 3, 4.8). */
  private updateFlags(context: PagingContext, start: number, leafDepth: number, access: number): boolean {
    for (let depth = start; depth <= leafDepth; depth++) {
      const bits = depth === leafDepth && access & AccessBit.WRITE ? ACCESSED | DIRTY : ACCESSED;
      if (((this.entryLow[depth] ?? 0) & bits) === bits) continue;
      if (context.eptInUse && ((this.entryRights[depth] ?? 0) & EptBit.WRITE) === 0) {
        // Who asks learns permissions and suppression from a walk for write, which fails.
        this.ept.translate(context, this.entryGuest[depth] ?? 0, EptBit.READ | EptBit.WRITE, false);
        return this.eptFault(context, this.entryGuest[depth] ?? 0, EptBit.READ | EptBit.WRITE, LINEAR_VALID);
      }
      this.tables.setBits(this.entryHost[depth] ?? 0, bits);
    }
    return true;
  }

  /** Host-physical address of a paging-structure entry, or -1 after recording the EPT fault. */
  private tableAddress(context: PagingContext, guestEntry: number, depth: number, probe: boolean): number {
    if (!context.eptInUse) return guestEntry;
    // With EPT accessed and dirty flags, accesses to guest tables count as writes (SDM vol. 3, "Accessed and Dirty
    // Flags for EPT").
    const access = context.eptAccessedDirty ? EptBit.READ | EptBit.WRITE : EptBit.READ;
    const host = this.ept.translate(context, guestEntry, access, probe);
    this.entryRights[depth] = this.ept.permissions;
    if (host < 0) this.eptFault(context, guestEntry, access, LINEAR_VALID);
    else if (host - (host % 4096) === context.apicAccessPage && !probe) {
      this.fault = WalkFault.ApicAccess;
      return -1;
    }
    return host;
  }

  /** PAE: the page directory's address from the PDPTE registers, or -1 after recording the fault. */
  private pageDirectory(context: PagingContext, linear: number, access: number, probe: boolean): number {
    const index = linear >>> 30;
    let low = context.pdptes[index * 2] ?? 0;
    let high = context.pdptes[index * 2 + 1] ?? 0;
    const address = context.root + index * 8;
    if (!context.hasPdptes) {
      const entry = this.tableAddress(context, address, 0, probe);
      if (entry < 0) return -1;
      this.tables.load(entry, 8);
      ({ low, high } = this.tables);
    }
    const base = (high & 0xfffff) * TWO_32 + ((low & 0xfffff000) >>> 0);
    this.sinkFunction?.('paging', 'PDPTE', 3, address, low, high, linear, base, false);
    if ((low & PRESENT) !== 0) return base;
    this.pageFault(context, access, 0);
    return -1;
  }

  /** The last step: the guest-physical address of the access through EPT. `rights` are what paging allows. */
  private finish(
    context: PagingContext,
    guestPhysical: number,
    access: number,
    probe: boolean,
    rights: number,
    noExecute: boolean,
  ): boolean {
    this.guestPhysical = guestPhysical;
    this.hostPhysical = guestPhysical;
    if (!context.eptInUse) return true;
    const execute = rights & USER ? EptBit.EXECUTE_USER : EptBit.EXECUTE;
    const bits = access & AccessBit.FETCH ? execute : access & AccessBit.WRITE ? EptBit.WRITE : EptBit.READ;
    const host = this.ept.translate(context, guestPhysical, bits, probe);
    if (host < 0) return this.eptFault(context, guestPhysical, bits, advancedInformation(rights, noExecute));
    this.hostPhysical = host;
    const { permissions, dirty } = this.ept;
    this.dirty &&= dirty;
    if ((permissions & EptBit.READ) === 0) this.permissions &= ~Permission.READ;
    if ((permissions & EptBit.WRITE) === 0 || (!dirty && !probe)) this.permissions &= ~Permission.WRITE;
    if ((permissions & execute) === 0) this.permissions &= ~Permission.EXECUTE;
    return true;
  }

  private pageFault(context: PagingContext, access: number, bits: number): false {
    // The I/D flag exists only where a fetch can be told apart (SDM vol. 3, 4.7).
    const fetch = context.noExecute || context.smep ? AccessBit.FETCH : 0;
    this.fault = WalkFault.PageFault;
    this.errorCode = bits | (access & (AccessBit.WRITE | AccessBit.USER | fetch));
    return false;
  }

  private eptFault(context: PagingContext, guestPhysical: number, access: number, flags: number): false {
    const { failure, permissions, convertible } = this.ept;
    this.guestPhysical = guestPhysical;
    this.qualification = 0;
    this.convertible = false;
    if (failure !== EptFailure.Violation) {
      this.fault = failure === EptFailure.LogFull ? WalkFault.LogFull : WalkFault.EptMisconfiguration;
      return false;
    }
    this.fault = WalkFault.EptViolation;
    const kind = access & EptBit.EXECUTE_USER ? EptBit.EXECUTE : access;
    const allowed = context.modeBasedExecute ? permissions : permissions & 7;
    this.qualification = kind | (allowed << 3) | flags;
    this.convertible = convertible;
    return false;
  }
}

const advancedInformation = (rights: number, noExecute: boolean): number =>
  LINEAR_VALID |
  TRANSLATED |
  (rights & USER ? USER_LINEAR : 0) |
  (rights & WRITABLE ? WRITABLE_LINEAR : 0) |
  (noExecute ? EXECUTE_DISABLED_LINEAR : 0);

const needed = (access: number): number =>
  access & AccessBit.FETCH ? Permission.EXECUTE : access & AccessBit.WRITE ? Permission.WRITE : Permission.READ;

/** The page's first byte. 4-MByte pages of 32-bit paging hold address bits 39:32 in bits 20:13. */
function pageBase(format: PagingFormat, level: PagingLevel, low: number, high: number): number {
  if (format.entrySize === 4 && level.leaf === 'bit 7')
    return ((low >>> 13) & 0xff) * TWO_32 + ((low & 0xffc00000) >>> 0);
  const base = (high & 0xfffff) * TWO_32 + ((low & 0xfffff000) >>> 0);
  return base - (base % level.span);
}

/** Whether a PAE PDPTE may be loaded: not present, or without reserved bits (SDM vol. 3, 4.4.1). */
export const pdpteValid = (low: number, high: number): boolean =>
  (low & PRESENT) === 0 || ((low & PDPTE_RESERVED_LOW) === 0 && (high & PDPTE_RESERVED_HIGH) === 0);
