import { FlushScope } from './flush-scope';
import { GuestPhysicalCache } from './guest-physical-cache';
import { TLB_BANK_COUNT, TLB_ENTRIES } from './layout';
import type { MachineMemory } from './machine-memory';
import { SparseReader, SparseWriter, type EntryTable } from './sparse-entries';
import { StructureCache } from './structure-cache';
import { Dropped, ENTRY_WORDS, FILLED, NEXT, ROOT, TAG_WORDS, TlbBanks, VALID } from './tlb-banks';

export { Permission, TagMode } from './tlb-banks';

const VPID_MASK = 0xffff;
/** VPID and PCID */
const TAG_MASK = -1;
const ANY_PCID = -1;

/**
 * What one vCPU remembers of translations: the banks of its software TLB, guest-physical mappings and paging structures;
 * and what each kind of invalidation takes from them (SDM vol. 3, 4.10.4.1 and 29.4.3).
 */
export class Tlb extends TlbBanks {
  /** Called after every flush: lookups derived from the entries are stale. */
  onFlush: ((scope: FlushScope, first: number, second: number) => void) | undefined;
  /** What page walks use besides */
  readonly guestPhysical: GuestPhysicalCache;
  readonly structures: StructureCache;

  constructor(memory: MachineMemory, vcpu = 0) {
    super(memory, vcpu);
    this.guestPhysical = new GuestPhysicalCache(memory, vcpu);
    this.structures = new StructureCache(memory, vcpu);
  }

  /** Every mapping of every tag. */
  flushAll(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) this.clear(bank);
    this.guestPhysical.clear();
    this.structures.clear();
    this.onFlush?.(FlushScope.All, 0, 0);
  }

  /** Linear and combined mappings of one VPID, for every PCID and EPT root. */
  flushVpid(vpid: number, keepGlobal = false): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpidOf(bank) === vpid) this.clear(bank, keepGlobal);
    }
    this.structures.flush(vpid, VPID_MASK);
    this.onFlush?.(keepGlobal ? FlushScope.VpidButGlobal : FlushScope.Vpid, vpid, 0);
  }

  /** Linear and combined mappings of one VPID and PCID, for every EPT root; without global ones as by MOV to CR3. */
  flushPcid(vpid: number, pcid: number, keepGlobal = true): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.isInUse(bank) && this.words[this.tags + bank * TAG_WORDS] === (vpid | (pcid << 16)))
        this.clear(bank, keepGlobal);
    }
    this.structures.flush(vpid | (pcid << 16), TAG_MASK);
    this.onFlush?.(FlushScope.Pcid, vpid, pcid);
  }

  /** Linear and combined mappings of all VPIDs but 0 (INVVPID type 2). */
  flushAllVpids(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) if (this.vpidOf(bank) > 0) this.clear(bank);
    this.structures.flushVpids();
    this.onFlush?.(FlushScope.AllVpids, 0, 0);
  }

  /** Guest-physical and combined mappings of one EPT root (EPTP bits 51:12), for every VPID. */
  flushEptRoot(eptRoot: number): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.isInUse(bank) && this.words[this.tags + bank * TAG_WORDS + ROOT] === (eptRoot | 0)) this.clear(bank);
    }
    this.guestPhysical.flushRoot(eptRoot);
    this.structures.flushRoot(eptRoot);
    this.onFlush?.(FlushScope.EptRoot, eptRoot, 0);
  }

  /** Guest-physical and combined mappings of every EPT root (INVEPT type 2). */
  flushAllEptRoots(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.isInUse(bank) && this.words[this.tags + bank * TAG_WORDS + ROOT] !== 0) this.clear(bank);
    }
    this.guestPhysical.clear();
    this.structures.flushRoots();
    this.onFlush?.(FlushScope.AllEptRoots, 0, 0);
  }

  /**
   * One linear page of one VPID, whatever the EPT root. With a PCID only its mappings and, unless `keepGlobal`, the
   * global ones of all PCIDs (INVLPG, INVPCID type 0), else all (INVVPID type 0). The paging-structure caches lose
   * everything of the PCID, or of the VPID.
   */
  flushPage(vpid: number, linear: bigint, pcid = ANY_PCID, keepGlobal = false): void {
    const low = Number(BigInt.asIntN(32, linear));
    const high = Number(BigInt.asIntN(32, linear >> 32n));
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpidOf(bank) !== vpid) continue;
      const same = pcid === ANY_PCID || (this.words[this.tags + bank * TAG_WORDS] ?? 0) >>> 16 === pcid;
      if (same) this.dropPage(bank, low, high, keepGlobal ? Dropped.NotGlobal : Dropped.Every);
      else if (!keepGlobal) this.dropPage(bank, low, high, Dropped.OnlyGlobal);
    }
    if (pcid === ANY_PCID) this.structures.flush(vpid, VPID_MASK);
    else this.structures.flush(vpid | (pcid << 16), TAG_MASK);
    this.onFlush?.(FlushScope.Page, vpid, (high >>> 0) * 2 ** 32 + (low >>> 0));
  }

  /** The mappings, for a snapshot: a `restore` of it, later, makes every access hit or miss as it would have now. */
  save(): Int32Array {
    const { words, tags } = this;
    const out = new SparseWriter(words);
    for (let i = 0; i <= NEXT; i++) out.put(words[tags + i] ?? 0);
    for (const { entries } of [this.guestPhysical, this.structures]) out.entries(entries);
    // A bank into which nothing was filled since it was empty has no entry.
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++)
      if ((words[tags + bank * TAG_WORDS + FILLED] ?? 0) !== 0) out.entries(this.entriesOf(bank));
    return out.finish();
  }

  /**
   * Tags for loads and stores come back with the first use: only then is it known which pages hold decoded code. Those
   * for fetches come back at once, so that translated code can go on where it was.
   */
  restore(saved: Int32Array): void {
    const { words, tags } = this;
    this.withdrawBanks();
    words.fill(0, this.entries, this.entries + TLB_BANK_COUNT * TLB_ENTRIES * ENTRY_WORDS);
    words.set(saved.subarray(0, NEXT + 1), tags);
    const from = new SparseReader(words, saved, NEXT + 1);
    for (const { entries } of [this.guestPhysical, this.structures]) from.entries(entries);
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if ((words[tags + bank * TAG_WORDS + FILLED] ?? 0) === 0) continue;
      from.entries(this.entriesOf(bank));
      this.tagFetches(bank);
    }
    this.onFlush?.(FlushScope.All, 0, 0);
  }

  private entriesOf(bank: number): EntryTable {
    const first = this.entries + bank * TLB_ENTRIES * ENTRY_WORDS;
    return { first, count: TLB_ENTRIES, size: ENTRY_WORDS, flags: 0, valid: VALID };
  }
}

/** EPTP bits 51:12 as the number that banks are tagged with; 0 without EPT. */
export const eptRootOf = (eptp: bigint): number => Number((eptp >> 12n) & 0xffffffffffn);
