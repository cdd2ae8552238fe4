import { RAM_BASE } from './layout';
import { pageOf, type MachineMemory } from './machine-memory';
import type { WriteWatcher } from './write-watchers';

/** Kinds of access, as bits */
export const Watched = { WRITE: 1, READ: 2 } as const;

/** Host-physical bytes that are watched. */
export interface WatchedBytes {
  readonly address: number;
  readonly length: number;
  /** Bits of `Watched` */
  readonly access: number;
  /**
   * Told before the access takes place, of the part that it has in common with these bytes. Must not change the machine.
   * `access` is one bit of `Watched`.
   */
  readonly accessed: (access: number, address: number, length: number) => void;
}

/** A field of a VMCS that a VM exit writes: offset in the region, bytes, and bits of the VM-exit controls one of which must be 1 */
export interface WrittenField {
  readonly slot: number;
  readonly size: number;
  readonly when: number;
}

const PAGE = 4096;
const NOTHING = new Uint8Array();

/**
 * Exact watch of bytes of RAM, as many as wanted. Pages with watched bytes get no tags in the software TLB (and no direct
 * access to a VMCS), so that every access to them comes by a slow path. One that touches watched bytes in the middle of a
 * stretch of generated code is refused there, and its instruction executed alone: so whoever is told finds RIP, the count
 * of instructions and every register exact. The same holds for page walks, which write accessed and dirty flags.
 *
 * Reads are those of instructions, of event delivery, of VMREAD and of DMA; entries that a page walk reads, and fields that
 * a VM entry or exit reads, are no accesses in this sense.
 */
export class AccessWatch implements WriteWatcher {
  /** False while generated code runs more than one instruction: RIP and RETIRED are not known. */
  exact = true;
  /** Devices act by themselves between two steps: the state after the last one is not yet what can be seen. */
  stepOver = false;
  /** To be called between two instructions, when set: what the last one did is complete. */
  settle: (() => void) | undefined;
  /** A range is announced of which only parts are written, and these by `fields`. */
  private bulk = false;
  /** By page: bits of `Watched` */
  private readonly pages: Uint8Array;
  private readonly bytes = new Map<number, Uint8Array>();
  /** The page that was asked for last, mostly one that is written again and again beside the watched bytes */
  private latestPage = -1;
  private latestBytes: Uint8Array = NOTHING;
  private readonly ranges = new Map<number, Set<WatchedBytes>>();
  private count = 0;

  /** @param withdraw takes back all that generated code was given: tags of every vCPU, DIRECT_VMCS */
  constructor(
    private readonly memory: MachineMemory,
    private readonly withdraw: () => void,
  ) {
    this.pages = new Uint8Array(memory.ramSize / PAGE);
  }

  get empty(): boolean {
    return this.count === 0;
  }

  add(range: WatchedBytes): void {
    this.count++;
    for (const page of pagesOf(range)) {
      const there = this.ranges.get(page);
      if (there) there.add(range);
      else this.ranges.set(page, new Set([range]));
      this.update(page);
    }
    this.withdraw();
  }

  /** Tags that generated code may have again come back by themselves. */
  remove(range: WatchedBytes): void {
    this.count--;
    for (const page of pagesOf(range)) {
      this.ranges.get(page)?.delete(range);
      this.update(page);
    }
  }

  private update(page: number): void {
    const ranges = this.ranges.get(page);
    this.latestPage = -1;
    if (page >= this.pages.length) return;
    if (!ranges || ranges.size === 0) {
      this.ranges.delete(page);
      this.bytes.delete(page);
      this.pages[page] = 0;
      return;
    }
    const bytes = new Uint8Array(PAGE);
    let any = 0;
    for (const { address, length, access } of ranges) {
      const from = Math.max(address, page * PAGE);
      const to = Math.min(address + length, (page + 1) * PAGE);
      for (let at = from; at < to; at++) bytes[at % PAGE] = (bytes[at % PAGE] ?? 0) | access;
      any |= access;
    }
    this.bytes.set(page, bytes);
    this.pages[page] = any;
  }

  // What generated code may do by itself

  /** No direct access to a VMCS either when only reads of it are watched: VMREAD is one. */
  mayStore(ramPage: number): boolean {
    return this.pages[(ramPage - RAM_BASE) >>> 12] === 0;
  }

  /** A store beside the watched bytes, in generated code that does not know where it is */
  mayStoreAt(wasmAddress: number, length: number): boolean {
    return !this.touches(wasmAddress, length, Watched.WRITE);
  }

  /** Whether generated code may not read this RAM page by itself. */
  readsSlowly(ramPage: number): boolean {
    return ((this.pages[(ramPage - RAM_BASE) >>> 12] ?? 0) & Watched.READ) !== 0;
  }

  /** Whether an access is to be made by an instruction that is executed alone. It does not cross a page. */
  refuses(wasmAddress: number, length: number, access: number): boolean {
    return !this.exact && this.touches(wasmAddress, length, access);
  }

  private touches(wasmAddress: number, length: number, access: number): boolean {
    const page = (wasmAddress - RAM_BASE) >>> 12;
    if (((this.pages[page] ?? 0) & access) === 0) return false;
    if (page !== this.latestPage) {
      this.latestPage = page;
      this.latestBytes = this.bytes.get(page) ?? NOTHING;
    }
    const { latestBytes } = this;
    const offset = wasmAddress & (PAGE - 1);
    const end = Math.min(offset + length, PAGE);
    for (let i = offset; i < end; i++) if (((latestBytes[i] ?? 0) & access) !== 0) return true;
    return false;
  }

  // What happens

  writing(wasmAddress: number, length: number): void {
    if (this.bulk) return;
    // Most writes to a page with watched bytes touch none of them.
    if (length <= 8 && wasmAddress % PAGE <= PAGE - length && !this.touches(wasmAddress, length, Watched.WRITE)) return;
    this.access(wasmAddress, length, Watched.WRITE);
  }

  /** RAM is about to be read: does not cross a page unless it is DMA */
  reading(wasmAddress: number, length: number): void {
    this.access(wasmAddress, length, Watched.READ);
  }

  /** A VM exit is about to write these fields of a region. `announce` tells everybody else, of the whole region. */
  writingFields(region: number, fields: readonly WrittenField[], exitControls: number, announce: () => void): void {
    this.bulk = true;
    announce();
    this.bulk = false;
    if ((this.pages[(region - RAM_BASE) >>> 12] ?? 0) === 0) return;
    for (const { slot, size, when } of fields)
      if (when === 0 || (exitControls & when) !== 0) this.writing(region + slot, size);
  }

  private access(wasmAddress: number, length: number, access: number): void {
    for (let at = wasmAddress; at < wasmAddress + length;) {
      const end = Math.min(wasmAddress + length, pageOf(at) + PAGE);
      if (this.touches(at, end - at, access)) this.tell(at - RAM_BASE, end - at, access);
      at = end;
    }
  }

  private tell(address: number, length: number, access: number): void {
    for (const range of [...(this.ranges.get(Math.floor(address / PAGE)) ?? [])]) {
      if ((range.access & access) === 0) continue;
      const from = Math.max(address, range.address);
      const to = Math.min(address + length, range.address + range.length);
      if (from < to) range.accessed(access, from, to - from);
    }
  }

  get ramSize(): number {
    return this.memory.ramSize;
  }
}

function pagesOf({ address, length }: WatchedBytes): number[] {
  const first = Math.floor(address / PAGE);
  return Array.from({ length: Math.floor((address + length - 1) / PAGE) - first + 1 }, (_, i) => first + i);
}
