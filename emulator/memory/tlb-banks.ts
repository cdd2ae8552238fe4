import {
  TLB_ADDEND,
  TLB_AREA,
  TLB_AREA_SIZE,
  TLB_BANK_COUNT,
  TLB_BANK_SIZE,
  TLB_CODE,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_EXECUTE,
  TLB_READ,
  TLB_WRITE,
  tlbBase,
  TlbArea,
} from './layout';
import type { MachineMemory } from './machine-memory';
import type { PagingContext } from './paging-context';

/** What the mappings of a bank depend on besides VPID, PCID and EPT root. Bits of a bank's mode. */
export const TagMode = {
  USER: 1,
  PAGING: 2,
  WRITE_PROTECT: 4,
  NO_EXECUTE: 8,
  SMEP: 16,
  SMAP: 32,
  /** RFLAGS.AC lifts SMAP for explicit accesses. */
  ALIGNMENT: 64,
  MODE_BASED_EXECUTE: 128,
} as const;

/** Meaning of the permission bits of `fill`. */
export const Permission = { READ: 1, WRITE: 2, EXECUTE: 4 } as const;

/** Low bits of an entry's first word; the rest of it are bits 31:12 of the linear address */
const PERMISSIONS = 7;
const GLOBAL = 8;
export const VALID = 16;
const SIZE_SHIFT = 5;
const LARGE = 0x60;
/** Page sizes by their code */
const SIZES = [0x1000, 0x200000, 0x400000, 0x40000000] as const;
const PAGE_NUMBER = ~0xfff;
/** Which mappings of a page `dropPage` drops */
export const enum Dropped {
  Every,
  NotGlobal,
  OnlyGlobal,
}
const NONE = -1;

/** Words of an entry's meaning: linear address and flags, its upper half, guest-physical page number, RAM page */
export const ENTRY_WORDS = 4;
/** Words of a bank's tag: VPID and PCID, mode, EPT root, kinds of entries, entries filled since it was empty */
export const TAG_WORDS = 8;
const MODE = 1;
export const ROOT = 2;
const KINDS = 3;
export const FILLED = 4;
const IN_USE = 0x40000000;
export const NEXT = TLB_BANK_COUNT * TAG_WORDS;

/**
 * The banks of one vCPU's software TLB. A bank caches linear or combined mappings of one tag: VPID, PCID, EPT root (EPTP bits
 * 51:12, 0 without EPT), and the mode bits that permissions depend on. Banks are reused round-robin, entries are
 * direct-mapped by linear page number: eviction is deterministic. Nothing is ever dropped because a table in memory
 * changed: as on silicon, a stale entry stays usable until software flushes it (SDM vol. 3, 4.10 and 29.4).
 *
 * An entry exists twice: as tags that generated code compares, and as its meaning. The tags are only a shortcut: they
 * may be withdrawn (decoded code, a watched page) without the mapping being forgotten. All of it lies in the machine's
 * memory.
 */
export class TlbBanks {
  protected readonly words: Int32Array;
  protected readonly base: number;
  protected readonly entries: number;
  protected readonly tags: number;

  constructor(
    protected readonly memory: MachineMemory,
    readonly vcpu = 0,
  ) {
    this.words = memory.i32;
    this.base = tlbBase(vcpu);
    this.entries = (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.ENTRIES) >>> 2;
    this.tags = tagsOf(vcpu);
    this.withdrawBanks();
  }

  /** All tags of all banks */
  protected withdrawBanks(): void {
    this.memory.u8.fill(0xff, this.base, this.base + TLB_BANK_COUNT * TLB_BANK_SIZE);
  }

  /**
   * The byte address (for State.TLB_BANK) of the bank with this tag; when there is none, one is emptied for it.
   * `keep` is the address of a bank that must not be taken for that.
   */
  select(vpid: number, pcid: number, eptRoot: number, mode: number, keep = 0): number {
    const { words, tags } = this;
    const first = vpid | (pcid << 16);
    const used = mode | IN_USE;
    for (let bank = 0, at = tags; bank < TLB_BANK_COUNT; bank++, at += TAG_WORDS) {
      if (words[at] === first && words[at + MODE] === used && words[at + ROOT] === (eptRoot | 0))
        return this.address(bank);
    }
    let bank = words[tags + NEXT] ?? 0;
    if (this.address(bank) === keep) bank = (bank + 1) % TLB_BANK_COUNT;
    words[tags + NEXT] = (bank + 1) % TLB_BANK_COUNT;
    this.clear(bank);
    const at = tags + bank * TAG_WORDS;
    words[at] = first;
    words[at + MODE] = used;
    words[at + ROOT] = eptRoot;
    return this.address(bank);
  }

  /** As `fillWords`; `linearPage` is canonical with low bits clear. For tests and tools. */
  fill(
    bankAddress: number,
    linearPage: bigint,
    ramPage: number,
    permissions: number,
    global: boolean,
    pageSize: number,
    guestPage = 0,
  ): void {
    const low = Number(BigInt.asIntN(32, linearPage));
    const high = Number(BigInt.asIntN(32, linearPage >> 32n));
    this.fillWords(bankAddress, low, high, ramPage, permissions, permissions, global, pageSize, guestPage);
  }

  /**
   * Caches one page: the halves of its linear address as signed words, the wasm address of its first byte in RAM. Write
   * permission is only to be given when the dirty flag is set. `tagged` are the permissions that generated code may use
   * by itself: without write for a page that holds decoded code. `pageSize` is what the paging leaf maps: INVLPG drops
   * all parts of a large page. `guestPage` is the guest-physical page number under EPT.
   */
  fillWords(
    bankAddress: number,
    low: number,
    high: number,
    ramPage: number,
    permissions: number,
    tagged: number,
    global: boolean,
    pageSize: number,
    guestPage: number,
  ): void {
    const { words } = this;
    const index = (low >>> 12) & (TLB_ENTRIES - 1);
    const bank = (bankAddress - this.base) / TLB_BANK_SIZE;
    const size = pageSize === 0x1000 ? 0 : pageSize === 0x200000 ? 1 : pageSize === 0x400000 ? 2 : 3;
    const flags = permissions | VALID | (global ? GLOBAL : 0) | (size << SIZE_SHIFT);
    const entry = this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
    words[entry] = (low & PAGE_NUMBER) | flags;
    words[entry + 1] = high;
    words[entry + 2] = guestPage;
    words[entry + 3] = ramPage;
    const tag = this.tags + bank * TAG_WORDS;
    words[tag + KINDS] = (words[tag + KINDS] ?? 0) | flags;
    words[tag + FILLED] = 1;
    this.setTags(bankAddress + index * TLB_ENTRY_SIZE, low & PAGE_NUMBER, high, ramPage, tagged);
  }

  private setTags(at: number, low: number, high: number, ramPage: number, permissions: number): void {
    const { words } = this;
    const word = at >>> 2;
    const addend = (ramPage - low) | 0;
    const execute = word + (TLB_EXECUTE >>> 2);
    const same = words[word + (TLB_ADDEND >>> 2)] === addend && words[execute] === low && words[execute + 1] === high;
    if (!same) words[word + (TLB_CODE >>> 2)] = 0;
    this.setTag(word + (TLB_READ >>> 2), permissions & Permission.READ, low, high);
    this.setTag(word + (TLB_WRITE >>> 2), permissions & Permission.WRITE, low, high);
    this.setTag(execute, permissions & Permission.EXECUTE, low, high);
    words[word + (TLB_ADDEND >>> 2)] = addend;
  }

  private setTag(word: number, allowed: number, low: number, high: number): void {
    this.words[word] = allowed ? low : NONE;
    this.words[word + 1] = allowed ? high : NONE;
  }

  /**
   * The wasm address of the cached page around this linear address, or -1 when the bank holds none that allows
   * `permission`. Knows also mappings whose tags are withdrawn.
   */
  find(bankAddress: number, low: number, high: number, permission: number): number {
    const { words } = this;
    const bank = (bankAddress - this.base) / TLB_BANK_SIZE;
    const entry = this.entries + (bank * TLB_ENTRIES + ((low >>> 12) & (TLB_ENTRIES - 1))) * ENTRY_WORDS;
    const first = words[entry] ?? 0;
    if (((first ^ low) & PAGE_NUMBER) !== 0 || words[entry + 1] !== high) return -1;
    if ((first & VALID) === 0 || (first & permission) === 0) return -1;
    return (words[entry + 3] ?? 0) >>> 0;
  }

  /** Gives generated code the tags of a mapping that `find` found, without write or read when these are false. */
  retag(bankAddress: number, low: number, high: number, writable: boolean, readable = true): void {
    const { words } = this;
    const bank = (bankAddress - this.base) / TLB_BANK_SIZE;
    const index = (low >>> 12) & (TLB_ENTRIES - 1);
    const entry = this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
    const withheld = (writable ? 0 : Permission.WRITE) | (readable ? 0 : Permission.READ);
    const permissions = (words[entry] ?? 0) & PERMISSIONS & ~withheld;
    const ramPage = (words[entry + 3] ?? 0) >>> 0;
    this.setTags(bankAddress + index * TLB_ENTRY_SIZE, low & PAGE_NUMBER, high, ramPage, permissions);
  }

  /** Gives back the tags for fetches of all mappings of a bank that has no tags. */
  protected tagFetches(bank: number): void {
    const { words } = this;
    for (let index = 0; index < TLB_ENTRIES; index++) {
      const entry = this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
      const first = words[entry] ?? 0;
      if ((first & VALID) === 0 || (first & Permission.EXECUTE) === 0) continue;
      const at = this.address(bank) + index * TLB_ENTRY_SIZE;
      const ramPage = (words[entry + 3] ?? 0) >>> 0;
      this.setTags(at, first & PAGE_NUMBER, words[entry + 1] ?? 0, ramPage, Permission.EXECUTE);
    }
  }

  /** Of a mapping that `find` found: its permissions, and the guest-physical page number */
  permissionsOf(bankAddress: number, low: number): number {
    return (this.words[this.entryAt(bankAddress, low)] ?? 0) & PERMISSIONS;
  }

  guestPageOf(bankAddress: number, low: number): number {
    return (this.words[this.entryAt(bankAddress, low) + 2] ?? 0) >>> 0;
  }

  private entryAt(bankAddress: number, low: number): number {
    const bank = (bankAddress - this.base) / TLB_BANK_SIZE;
    return this.entries + (bank * TLB_ENTRIES + ((low >>> 12) & (TLB_ENTRIES - 1))) * ENTRY_WORDS;
  }

  /** Takes all tags back; the mappings stay, and their next use comes by `find`. */
  withdrawAll(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++)
      if ((this.words[this.tags + bank * TAG_WORDS + FILLED] ?? 0) !== 0) this.withdrawBank(this.address(bank));
  }

  withdrawBank(bankAddress: number): void {
    this.memory.u8.fill(0xff, bankAddress, bankAddress + TLB_BANK_SIZE);
  }

  /** The wasm address that generated code would use for the access (TLB_READ, _WRITE or _EXECUTE), or -1. For tests. */
  lookup(bankAddress: number, linear: bigint, access: number): number {
    const low = Number(BigInt.asIntN(32, linear));
    const at = (bankAddress + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE + access) >>> 2;
    const high = Number(BigInt.asIntN(32, linear >> 32n));
    if (this.words[at] !== (low & PAGE_NUMBER) || this.words[at + 1] !== high) return -1;
    return (low + (this.words[at + ((TLB_ADDEND - access) >>> 2)] ?? 0)) >>> 0;
  }

  /**
   * What a page fault or an EPT violation at a linear address invalidates: its mappings under the current VPID, PCID and
   * EPT root (SDM vol. 3, 4.10.4.1 and 29.4.3.1).
   * @returns whether code could have been executed by one of them
   */
  forget(context: PagingContext, low: number, high: number): boolean {
    let executable = false;
    const { words } = this;
    const index = (low >>> 12) & (TLB_ENTRIES - 1);
    for (let bank = 0, at = this.tags; bank < TLB_BANK_COUNT; bank++, at += TAG_WORDS) {
      if (words[at] !== context.tag || words[at + ROOT] !== (context.eptRootPage | 0) || !this.isInUse(bank)) continue;
      const entry = this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
      const first = words[entry] ?? 0;
      if ((first & VALID) === 0 || ((first ^ low) & PAGE_NUMBER) !== 0 || words[entry + 1] !== high) continue;
      executable ||= (first & Permission.EXECUTE) !== 0;
      this.drop(bank, index);
    }
    return executable;
  }

  /**
   * Takes back the write tags of one RAM page, in the banks of every vCPU: its bytes are being decoded (or watched), so
   * the next store must take the slow path. `ramPage` is a wasm address.
   */
  withdrawWrite(ramPage: number): void {
    this.withdrawTag(ramPage, TLB_WRITE);
  }

  /** The same for loads and stores */
  withdrawData(ramPage: number): void {
    this.withdrawTag(ramPage, TLB_READ);
    this.withdrawTag(ramPage, TLB_WRITE);
  }

  private withdrawTag(ramPage: number, tag: number): void {
    const { words, memory } = this;
    for (let vcpu = 0; vcpu < memory.vcpus; vcpu++) {
      for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
        if ((words[tagsOf(vcpu) + bank * TAG_WORDS + FILLED] ?? 0) === 0) continue;
        const from = (tlbBase(vcpu) + bank * TLB_BANK_SIZE) >>> 2;
        for (let at = from; at < from + (TLB_BANK_SIZE >>> 2); at += TLB_ENTRY_SIZE >>> 2) {
          const write = at + (tag >>> 2);
          const low = words[write] ?? 0;
          if ((low + (words[at + (TLB_ADDEND >>> 2)] ?? 0)) >>> 0 !== ramPage || (low & 0xfff) !== 0) continue;
          words[write] = NONE;
          words[write + 1] = NONE;
        }
      }
    }
  }

  /** Takes back the write tags of every page, in the banks of every vCPU: the next store to each takes the slow path. */
  withdrawWrites(): void {
    const { words, memory } = this;
    for (let vcpu = 0; vcpu < memory.vcpus; vcpu++) {
      for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
        if ((words[tagsOf(vcpu) + bank * TAG_WORDS + FILLED] ?? 0) === 0) continue;
        const first = (tlbBase(vcpu) + bank * TLB_BANK_SIZE + TLB_WRITE) >>> 2;
        for (let at = first; at < first + (TLB_BANK_SIZE >>> 2); at += TLB_ENTRY_SIZE >>> 2) {
          words[at] = NONE;
          words[at + 1] = NONE;
        }
      }
    }
  }

  private address(bank: number): number {
    return this.base + bank * TLB_BANK_SIZE;
  }

  protected isInUse(bank: number): boolean {
    return ((this.words[this.tags + bank * TAG_WORDS + MODE] ?? 0) & IN_USE) !== 0;
  }

  /** -1 for a bank that nothing uses */
  protected vpidOf(bank: number): number {
    return this.isInUse(bank) ? (this.words[this.tags + bank * TAG_WORDS] ?? 0) & 0xffff : -1;
  }

  /** The page around a linear address, with every part of it when it is large (SDM vol. 3, 4.10.4.1). */
  protected dropPage(bank: number, low: number, high: number, which: Dropped): void {
    const kinds = this.words[this.tags + bank * TAG_WORDS + KINDS] ?? 0;
    if (which === Dropped.OnlyGlobal && (kinds & GLOBAL) === 0) return;
    if ((kinds & LARGE) === 0) this.dropIfAround(bank, (low >>> 12) & (TLB_ENTRIES - 1), low, high, which);
    else for (let index = 0; index < TLB_ENTRIES; index++) this.dropIfAround(bank, index, low, high, which);
  }

  private dropIfAround(bank: number, index: number, low: number, high: number, which: Dropped): void {
    const { words } = this;
    const entry = this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS;
    const first = words[entry] ?? 0;
    if ((first & VALID) === 0 || words[entry + 1] !== high) return;
    if (which !== Dropped.Every && ((first & GLOBAL) !== 0) !== (which === Dropped.OnlyGlobal)) return;
    const size = SIZES[(first & LARGE) >>> SIZE_SHIFT] ?? 0x1000;
    if (((first ^ low) & ~(size - 1)) === 0) this.drop(bank, index);
  }

  private drop(bank: number, index: number): void {
    const { words } = this;
    words[this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS] = 0;
    const at = (this.address(bank) + index * TLB_ENTRY_SIZE) >>> 2;
    words.fill(NONE, at, at + (TLB_ADDEND >>> 2));
  }

  protected clear(bank: number, keepGlobal = false): void {
    const { words } = this;
    const tag = this.tags + bank * TAG_WORDS;
    if ((words[tag + FILLED] ?? 0) === 0) return;
    if (keepGlobal && ((words[tag + KINDS] ?? 0) & GLOBAL) !== 0) {
      for (let index = 0; index < TLB_ENTRIES; index++) {
        const first = words[this.entries + (bank * TLB_ENTRIES + index) * ENTRY_WORDS] ?? 0;
        if ((first & GLOBAL) === 0 && (first & VALID) !== 0) this.drop(bank, index);
      }
      return;
    }
    const from = this.address(bank);
    this.memory.u8.fill(0xff, from, from + TLB_BANK_SIZE);
    const entry = this.entries + bank * TLB_ENTRIES * ENTRY_WORDS;
    words.fill(0, entry, entry + TLB_ENTRIES * ENTRY_WORDS);
    words[tag + KINDS] = 0;
    words[tag + FILLED] = 0;
  }
}

const tagsOf = (vcpu: number): number => (TLB_AREA + vcpu * TLB_AREA_SIZE + TlbArea.TAGS) >>> 2;
