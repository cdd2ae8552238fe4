import { PAGE_SIZE } from '../memory/address';

/** A page of zeros, which needs no room */
export const ZERO_PAGE = -1;
const WORDS = PAGE_SIZE / 4;
/** Pages of a slab, at most: 1 MiB */
const LARGEST_SLAB = 256;
const SMALLEST_SLAB = 4;

/** Room for page images: slabs of slots, made as they are needed and kept; a slot that was given back is taken again. */
export class PagePool {
  private readonly slabs: Uint8Array[] = [];
  private readonly slabPages: number;
  private readonly shift: number;
  private free = new Int32Array(64);
  private freeCount = 0;
  private readonly scratch = new Uint8Array(PAGE_SIZE);
  private readonly words: Int32Array;

  /**
   * @param memory what pages are copied from and to
   * @param limit bytes that all slabs together may take, asked anew for each
   */
  constructor(
    private readonly memory: Uint8Array,
    private readonly limit: () => number,
  ) {
    this.words = new Int32Array(memory.buffer);
    let pages = LARGEST_SLAB;
    while (pages > SMALLEST_SLAB && pages * PAGE_SIZE * 8 > limit()) pages >>= 1;
    this.slabPages = pages;
    this.shift = Math.log2(pages);
  }

  /** Bytes of all slabs */
  get bytes(): number {
    return this.slabs.length * this.slabPages * PAGE_SIZE;
  }

  /** Slots that can be taken without a new slab */
  get available(): number {
    return this.freeCount;
  }

  /** Whether `count` more images surely find room */
  has(count: number): boolean {
    while (this.freeCount < count) if (!this.grow()) return false;
    return true;
  }

  /** A copy of the page at this address of memory: its slot or ZERO_PAGE. There must be room: `has`. */
  keep(at: number): number {
    if (this.isZero(at)) return ZERO_PAGE;
    const slot = this.take();
    this.slab(slot).set(this.memory.subarray(at, at + PAGE_SIZE), this.offset(slot));
    return slot;
  }

  put(slot: number, at: number): void {
    if (slot === ZERO_PAGE) this.memory.fill(0, at, at + PAGE_SIZE);
    else this.memory.set(this.image(slot), at);
  }

  /** Memory gets the image, and what it held becomes the image: the slot that this is in now. There must be room for one. */
  swap(slot: number, at: number): number {
    if (slot === ZERO_PAGE) {
      const kept = this.keep(at);
      this.memory.fill(0, at, at + PAGE_SIZE);
      return kept;
    }
    const page = this.memory.subarray(at, at + PAGE_SIZE);
    const image = this.image(slot);
    if (this.isZero(at)) {
      page.set(image);
      this.release(slot);
      return ZERO_PAGE;
    }
    this.scratch.set(page);
    page.set(image);
    image.set(this.scratch);
    return slot;
  }

  release(slot: number): void {
    if (slot === ZERO_PAGE) return;
    if (this.freeCount === this.free.length) {
      const grown = new Int32Array(this.free.length * 2);
      grown.set(this.free);
      this.free = grown;
    }
    this.free[this.freeCount++] = slot;
  }

  /** Gives every slab back; no slot is in use. */
  clear(): void {
    this.slabs.length = 0;
    this.freeCount = 0;
  }

  image(slot: number): Uint8Array {
    const offset = this.offset(slot);
    return this.slab(slot).subarray(offset, offset + PAGE_SIZE);
  }

  private take(): number {
    if (this.freeCount === 0 && !this.grow()) throw new Error('no room for a page image');
    return this.free[--this.freeCount] ?? 0;
  }

  private grow(): boolean {
    if (this.bytes + this.slabPages * PAGE_SIZE > this.limit()) return false;
    const first = this.slabs.length * this.slabPages;
    this.slabs.push(new Uint8Array(this.slabPages * PAGE_SIZE));
    for (let i = this.slabPages - 1; i >= 0; i--) this.release(first + i);
    return true;
  }

  private slab(slot: number): Uint8Array {
    const slab = this.slabs[slot >>> this.shift];
    if (!slab) throw new RangeError(`no page image ${slot}`);
    return slab;
  }

  private offset(slot: number): number {
    return (slot & (this.slabPages - 1)) * PAGE_SIZE;
  }

  private isZero(at: number): boolean {
    const { words } = this;
    const first = at >>> 2;
    for (let i = first; i < first + WORDS; i++) if (words[i] !== 0) return false;
    return true;
  }
}
