import type { Instruction } from '../isa/instruction';
import {
  CODE_BASE,
  ENTRY_MAPS,
  RAM_BASE,
  State,
  TLB_BANK_COUNT,
  TLB_BANK_SIZE,
  TLB_CODE,
  TLB_ENTRY_SIZE,
  tlbBase,
} from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import { CODE_PAGE_HEADER } from './interpreter';
import type { Mode } from './mode';
import { Field, Pseudo, RECORD_SIZE, ResolveKind } from './record';
import { Scratch } from './scratch';

const PAGE = 4096;
/** Distance of a page's second anchor from its first. */
export const ANCHOR_DISTANCE = 0x10000n;
const MAP_SIZE = CODE_PAGE_HEADER + PAGE * 4;
const MAXIMUM_PAGES = 1536;
const { RIP } = State;
const { OFFSET } = Field;
const MAPS = CODE_BASE;
const RECORDS = MAPS + MAXIMUM_PAGES * MAP_SIZE;
export const RECORDS_PER_CHUNK = 32;
const CHUNK_SIZE = RECORDS_PER_CHUNK * RECORD_SIZE;
const CHUNK_SHIFT = Math.log2(CHUNK_SIZE);
const CHUNK_COUNT = Math.floor((ENTRY_MAPS - RECORDS) / CHUNK_SIZE);

/**
 * Decoded code of one page: bytes of a page of RAM, seen at one linear page in one mode. Addresses inside records are
 * therefore constants.
 */
export class CodePage {
  /** Bytes that were decoded; stores elsewhere in the page leave it alone */
  readonly covered = new Uint8Array(PAGE);
  /** Instructions that helpers execute, always or sometimes */
  instructions: Instruction[] = [];
  chunks: number[] = [];
  /** Free record in the last chunk, and how many follow */
  free = 0;
  freeCount = 0;
  active = true;
  /** `rip` in two halves; the upper is 0 outside 64-bit mode, where instruction pointers have 32 bits */
  readonly ripLow: number;
  readonly ripHigh: number;

  constructor(
    /** wasm address of the page's first byte */
    readonly host: number,
    /** linear address of the page */
    readonly linear: bigint,
    /** RIP of the page's first byte */
    readonly rip: bigint,
    readonly mode: Mode,
    /** Byte address of the map from offsets to records */
    readonly map: number,
    /** Byte address of the two words that RIP-relative operands are based on: `rip`, and 64 KiB more */
    readonly anchor: number,
  ) {
    this.ripLow = Number(BigInt.asUintN(32, rip));
    this.ripHigh = mode.codeSize === 64 ? Number(rip >> 32n) : 0;
  }
}

/** Owns the memory for decoded records: pages, their maps, chunks of records. Decodes nothing itself. */
export class CodeCache {
  private readonly view: DataView;
  private readonly u8: Uint8Array;
  private readonly pages = new Map<string, CodePage>();
  private readonly byHost = new Map<number, CodePage[]>();
  private readonly activeCount: Uint16Array;
  private latest: CodePage | undefined;
  private readonly owners: (CodePage | undefined)[] = [];
  private freeChunks: number[] = [];
  /** Chunks of dropped pages, which may still be running */
  private retired: number[] = [];
  private nextChunk = 0;

  constructor(private readonly memory: MachineMemory) {
    this.view = memory.view;
    this.u8 = memory.u8;
    this.activeCount = new Uint16Array(Math.ceil((RAM_BASE + memory.ramSize) / PAGE));
  }

  /** Has room for the pages and records of a slice; otherwise `clear` is due. */
  get hasRoom(): boolean {
    return this.pages.size < MAXIMUM_PAGES - 8 && this.chunksLeft > 64;
  }

  private get chunksLeft(): number {
    return CHUNK_COUNT - this.nextChunk + this.freeChunks.length;
  }

  /** Whether one more page and run fit at once. */
  get exhausted(): boolean {
    return this.pages.size >= MAXIMUM_PAGES || this.chunksLeft < 4;
  }

  isCodePage(host: number): boolean {
    return (this.activeCount[host >>> 12] ?? 0) > 0;
  }

  page(host: number, linear: bigint, mode: Mode): CodePage {
    // Nearly always the page that was asked for last: most runs of the engine are short and stay in one page.
    const { latest } = this;
    if (latest?.active && latest.host === host && latest.linear === linear && latest.mode === mode) return latest;
    const key = `${host}.${linear}.${mode.id}`;
    let page = this.pages.get(key);
    if (!page) {
      const index = this.pages.size;
      const map = MAPS + index * MAP_SIZE + CODE_PAGE_HEADER;
      const anchor = Scratch.ANCHORS + index * 16;
      const rip = BigInt.asUintN(64, linear - mode.codeBase);
      page = new CodePage(host, linear, rip, mode, map, anchor);
      this.u8.fill(0, map, map + PAGE * 4);
      this.view.setInt32(map - CODE_PAGE_HEADER, mode.id, true);
      this.view.setBigUint64(anchor, rip, true);
      this.view.setBigUint64(anchor + 8, BigInt.asUintN(64, rip + ANCHOR_DISTANCE), true);
      this.pages.set(key, page);
      const others = this.byHost.get(host);
      if (others) others.push(page);
      else this.byHost.set(host, [page]);
      this.count(page, 1);
    } else if (!page.active) {
      page.active = true;
      this.count(page, 1);
    }
    this.latest = page;
    return page;
  }

  private count(page: CodePage, change: number): void {
    const index = page.host >>> 12;
    this.activeCount[index] = (this.activeCount[index] ?? 0) + change;
  }

  /** The record at an offset, 0 when none is decoded. */
  recordAt(page: CodePage, offset: number): number {
    return this.view.getInt32(page.map + offset * 4, true);
  }

  setRecordAt(page: CodePage, offset: number, record: number): void {
    this.view.setInt32(page.map + offset * 4, record, true);
  }

  /** Room for `count` consecutive records of one page; a record that leads there continues the previous chunk. */
  allocate(page: CodePage, count: number): number {
    // One record is kept for the GoTo to the next chunk.
    if (page.freeCount <= count) {
      const chunk = this.freeChunks.pop() ?? this.nextChunk++;
      this.owners[chunk] = page;
      page.chunks.push(chunk);
      page.free = RECORDS + chunk * CHUNK_SIZE;
      page.freeCount = RECORDS_PER_CHUNK;
    }
    const record = page.free;
    page.free += count * RECORD_SIZE;
    page.freeCount -= count;
    return record;
  }

  owner(record: number): CodePage {
    const page = this.owners[(record - RECORDS) >>> CHUNK_SHIFT];
    if (!page) throw new Error(`no code page owns record 0x${record.toString(16)}`);
    return page;
  }

  /** The instruction pointer of a record. */
  ripOf(record: number): bigint {
    const page = this.owner(record);
    const rip = page.rip + BigInt(this.view.getUint16(record + Field.OFFSET, true));
    return page.mode.codeSize === 64 ? BigInt.asUintN(64, rip) : rip & 0xffffffffn;
  }

  /** Offset of a record's instruction in its page. */
  offsetOf(record: number): number {
    return this.view.getUint16(record + Field.OFFSET, true);
  }

  /** Stores the instruction pointer of a record in State.RIP. */
  storeRip(record: number): void {
    const { view } = this;
    const page = this.owner(record);
    const low = page.ripLow + view.getUint16(record + OFFSET, true);
    const carry = low > 0xffffffff && page.mode.codeSize === 64 ? 1 : 0;
    view.setUint32(RIP, low >>> 0, true);
    view.setUint32(RIP + 4, page.ripHigh + carry, true);
  }

  /** True when one of the bytes was decoded. */
  covers(host: number, length: number): boolean {
    const offset = host & 0xfff;
    for (const page of this.byHost.get((host & ~0xfff) >>> 0) ?? []) {
      if (!page.active) continue;
      for (let i = offset; i < Math.min(offset + length, PAGE); i++) if (page.covered[i]) return true;
    }
    return false;
  }

  /** Drops what was decoded from a page of RAM. Records that may be running lead back to the run loop. */
  dropHost(host: number): void {
    for (const page of this.byHost.get(host) ?? []) this.drop(page);
  }

  /** Drops what was decoded for a linear page, whatever RAM it is in. */
  dropLinear(linear: bigint): void {
    for (const page of this.pages.values()) if (page.linear === linear) this.drop(page);
  }

  private drop(page: CodePage): void {
    if (!page.active) return;
    page.active = false;
    this.count(page, -1);
    this.u8.fill(0, page.map, page.map + PAGE * 4);
    page.covered.fill(0);
    page.instructions = [];
    for (const chunk of page.chunks) {
      const first = RECORDS + chunk * CHUNK_SIZE;
      for (let i = 0; i < RECORDS_PER_CHUNK; i++) {
        this.view.setInt32(first + i * RECORD_SIZE + Field.HANDLER, Pseudo.Resolve, true);
        this.view.setInt32(first + i * RECORD_SIZE + Field.DISPLACEMENT, ResolveKind.Continue, true);
      }
      this.retired.push(chunk);
    }
    page.chunks = [];
    page.freeCount = 0;
  }

  /** Generated code is not running: chunks of dropped pages can be used again. */
  recycle(): void {
    if (this.retired.length === 0) return;
    for (const chunk of this.retired) {
      this.owners[chunk] = undefined;
      this.freeChunks.push(chunk);
    }
    this.retired = [];
  }

  /** Drops everything, also the TLB's references. Generated code is not running. */
  clear(): void {
    for (let vcpu = 0; vcpu < this.memory.vcpus; vcpu++) {
      const from = tlbBase(vcpu);
      const end = from + TLB_BANK_COUNT * TLB_BANK_SIZE;
      for (let at = from; at < end; at += TLB_ENTRY_SIZE) this.view.setInt32(at + TLB_CODE, 0, true);
    }
    this.pages.clear();
    this.latest = undefined;
    this.byHost.clear();
    this.activeCount.fill(0);
    this.owners.length = 0;
    this.freeChunks = [];
    this.retired = [];
    this.nextChunk = 0;
  }
}
