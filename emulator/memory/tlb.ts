import {
  TLB_ADDEND,
  TLB_BANK_COUNT,
  TLB_BANK_SIZE,
  TLB_BASE,
  TLB_CODE,
  TLB_ENTRIES,
  TLB_ENTRY_SIZE,
  TLB_EXECUTE,
  TLB_READ,
  TLB_WRITE,
} from './layout';
import type { MachineMemory } from './machine-memory';

/** What the mappings of a bank depend on besides VPID and EPT root. Bits of `TlbTag.mode`. */
export const TagMode = {
  USER: 1,
  PAGING: 2,
  WRITE_PROTECT: 4,
  NO_EXECUTE: 8,
  SMEP: 16,
  SMAP: 32,
  /** RFLAGS.AC lifts SMAP for explicit accesses. */
  ALIGNMENT: 64,
} as const;

/** Meaning of the permission bits of `fill`. */
export const Permission = { READ: 1, WRITE: 2, EXECUTE: 4 } as const;

const GLOBAL = 1;
const LARGE = 2;
const NONE = -1n;
const FREE = -1;
const PAGE = ~0xfffn;

/**
 * The software TLB. A bank caches combined mappings of one tag: VPID, EPT root (EPTP bits 51:12, 0 without EPT), and the
 * mode bits that permissions depend on. Banks are reused round-robin, entries are direct-mapped by linear page number:
 * eviction is deterministic. Nothing is ever dropped because a table in memory changed: as on silicon, a stale
 * entry stays usable until software flushes it (SDM vol. 3, "Caching Translation Information").
 */
export class Tlb {
  private readonly view: DataView;
  private readonly u8: Uint8Array;
  private readonly vpid = new Int32Array(TLB_BANK_COUNT).fill(FREE);
  private readonly mode = new Int32Array(TLB_BANK_COUNT);
  /** EPTP bits 51:12, as a number */
  private readonly eptRoot = new Float64Array(TLB_BANK_COUNT);
  /** Per bank and index: GLOBAL, and LARGE when the entry is a part of a larger page */
  private readonly kind = new Uint8Array(TLB_BANK_COUNT * TLB_ENTRIES);
  /** Per bank and index: bytes of the page that the entry is a part of */
  private readonly pageSize = new Float64Array(TLB_BANK_COUNT * TLB_ENTRIES);
  /** Kinds that occur in a bank */
  private readonly kinds = new Uint8Array(TLB_BANK_COUNT);
  private next = 0;
  /** Called with a description after every flush: lookups derived from the entries are stale. */
  onFlush: ((scope: string) => void) | undefined;

  constructor(memory: MachineMemory) {
    this.view = memory.view;
    this.u8 = memory.u8;
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) this.clear(bank);
  }

  /**
   * The byte address (for State.TLB_BANK) of the bank with this tag; when there is none, one is emptied for it.
   * `keep` is the address of a bank that must not be taken for that.
   */
  select(vpid: number, eptRoot: number, mode: number, keep = 0): number {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] === vpid && this.mode[bank] === mode && this.eptRoot[bank] === eptRoot) return address(bank);
    }
    if (address(this.next) === keep) this.next = (this.next + 1) % TLB_BANK_COUNT;
    const bank = this.next;
    this.next = (bank + 1) % TLB_BANK_COUNT;
    if (this.vpid[bank] !== FREE) this.clear(bank);
    this.vpid[bank] = vpid;
    this.mode[bank] = mode;
    this.eptRoot[bank] = eptRoot;
    return address(bank);
  }

  /**
   * Caches one page. `linearPage` is canonical with low bits clear; `ramPage` the wasm address of the page's first byte.
   * The write tag must only be asked for when the dirty flag is set and the page holds no decoded code. `pageSize` is
   * what the paging leaf maps: INVLPG drops all parts of a large page.
   */
  fill(
    bankAddress: number,
    linearPage: bigint,
    ramPage: number,
    permissions: number,
    global: boolean,
    pageSize: number,
  ): void {
    const { view } = this;
    const index = Number((linearPage >> 12n) & BigInt(TLB_ENTRIES - 1));
    const at = bankAddress + index * TLB_ENTRY_SIZE;
    const tag = BigInt.asIntN(64, linearPage);
    const addend = (ramPage - Number(BigInt.asUintN(32, linearPage))) | 0;
    const executable = (permissions & Permission.EXECUTE) !== 0;
    const same = view.getInt32(at + TLB_ADDEND, true) === addend && view.getBigInt64(at + TLB_EXECUTE, true) === tag;
    if (!same) view.setInt32(at + TLB_CODE, 0, true);
    view.setBigInt64(at + TLB_READ, permissions & Permission.READ ? tag : NONE, true);
    view.setBigInt64(at + TLB_WRITE, permissions & Permission.WRITE ? tag : NONE, true);
    view.setBigInt64(at + TLB_EXECUTE, executable ? tag : NONE, true);
    view.setInt32(at + TLB_ADDEND, addend, true);
    const bank = (bankAddress - TLB_BASE) / TLB_BANK_SIZE;
    const kind = (global ? GLOBAL : 0) | (pageSize > 4096 ? LARGE : 0);
    this.kind[bank * TLB_ENTRIES + index] = kind;
    this.pageSize[bank * TLB_ENTRIES + index] = pageSize;
    this.kinds[bank] = (this.kinds[bank] ?? 0) | kind;
  }

  /** The wasm address that this linear address maps to for the access (TLB_READ, _WRITE or _EXECUTE), or -1. */
  lookup(bankAddress: number, linear: bigint, access: number): number {
    const index = Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1));
    const at = bankAddress + index * TLB_ENTRY_SIZE;
    if (this.view.getBigInt64(at + access, true) !== BigInt.asIntN(64, linear & PAGE)) return -1;
    return (Number(BigInt.asUintN(32, linear)) + this.view.getInt32(at + TLB_ADDEND, true)) >>> 0;
  }

  /** Every mapping of every tag. */
  flushAll(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) if (this.vpid[bank] !== FREE) this.clear(bank);
    this.onFlush?.('all');
  }

  /** Linear and combined mappings of one VPID, for every EPT root. `keepGlobal`: as MOV to CR3 does. */
  flushVpid(vpid: number, keepGlobal = false): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] === vpid) this.clear(bank, keepGlobal);
    }
    this.onFlush?.(keepGlobal ? `VPID ${vpid} without global pages` : `VPID ${vpid}`);
  }

  /** Linear and combined mappings of all VPIDs but 0 (INVVPID type 2). */
  flushAllVpids(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) if ((this.vpid[bank] ?? FREE) > 0) this.clear(bank);
    this.onFlush?.('all VPIDs but 0');
  }

  /** Guest-physical and combined mappings of one EPT root (EPTP bits 51:12), for every VPID. */
  flushEptRoot(eptRoot: number): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] !== FREE && this.eptRoot[bank] === eptRoot) this.clear(bank);
    }
    this.onFlush?.(`EPT root 0x${(eptRoot * 4096).toString(16)}`);
  }

  /** Guest-physical and combined mappings of every EPT root (INVEPT type 2). */
  flushAllEptRoots(): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] !== FREE && this.eptRoot[bank] !== 0) this.clear(bank);
    }
    this.onFlush?.('all EPT roots');
  }

  /** One linear page of one VPID, global or not, whatever the EPT root (INVLPG, INVVPID type 0). */
  flushPage(vpid: number, linear: bigint): void {
    const index = Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1));
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] !== vpid) continue;
      if ((this.kinds[bank] ?? 0) & LARGE) this.dropParts(bank, linear);
      else this.drop(bank, index);
    }
    this.onFlush?.(`VPID ${vpid}, page 0x${(linear & PAGE).toString(16)}`);
  }

  /**
   * Takes back the write tags of one RAM page in every bank: its bytes are being decoded (or watched), so the next
   * store must take the slow path. `ramPage` is a wasm address.
   */
  withdrawWrite(ramPage: number): void {
    for (let bank = 0; bank < TLB_BANK_COUNT; bank++) {
      if (this.vpid[bank] === FREE) continue;
      for (let at = address(bank), end = at + TLB_BANK_SIZE; at < end; at += TLB_ENTRY_SIZE) {
        const tag = this.view.getBigInt64(at + TLB_WRITE, true);
        if (tag === NONE) continue;
        const page = (this.view.getInt32(at + TLB_WRITE, true) + this.view.getInt32(at + TLB_ADDEND, true)) >>> 0;
        if (page === ramPage) this.view.setBigInt64(at + TLB_WRITE, NONE, true);
      }
    }
  }

  /** Every entry of a bank that belongs to the page around `linear`, whatever its size (SDM vol. 3, 4.10.4.1). */
  private dropParts(bank: number, linear: bigint): void {
    for (let index = 0; index < TLB_ENTRIES; index++) {
      const tag = this.tagOf(address(bank) + index * TLB_ENTRY_SIZE);
      if (tag === NONE) continue;
      const size = BigInt(this.pageSize[bank * TLB_ENTRIES + index] ?? 4096);
      if ((BigInt.asUintN(64, tag) & ~(size - 1n)) === (BigInt.asUintN(64, linear) & ~(size - 1n)))
        this.drop(bank, index);
    }
  }

  private tagOf(at: number): bigint {
    for (const access of [TLB_READ, TLB_EXECUTE, TLB_WRITE]) {
      const tag = this.view.getBigInt64(at + access, true);
      if (tag !== NONE) return tag;
    }
    return NONE;
  }

  private drop(bank: number, index: number): void {
    const at = address(bank) + index * TLB_ENTRY_SIZE;
    this.view.setBigInt64(at + TLB_READ, NONE, true);
    this.view.setBigInt64(at + TLB_WRITE, NONE, true);
    this.view.setBigInt64(at + TLB_EXECUTE, NONE, true);
  }

  private clear(bank: number, keepGlobal = false): void {
    const from = address(bank);
    if (!keepGlobal || ((this.kinds[bank] ?? 0) & GLOBAL) === 0) {
      this.u8.fill(0xff, from, from + TLB_BANK_SIZE);
      this.kinds[bank] = 0;
      return;
    }
    for (let index = 0; index < TLB_ENTRIES; index++) {
      if ((this.kind[bank * TLB_ENTRIES + index] ?? 0) & GLOBAL) continue;
      this.u8.fill(0xff, from + index * TLB_ENTRY_SIZE, from + (index + 1) * TLB_ENTRY_SIZE);
    }
  }
}

const address = (bank: number): number => TLB_BASE + bank * TLB_BANK_SIZE;

/** EPTP bits 51:12 as the number that banks are tagged with; 0 without EPT. */
export const eptRootOf = (eptp: bigint): number => Number((eptp >> 12n) & 0xffffffffffn);
