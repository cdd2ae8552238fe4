/**
 * Which pages changed in a piece of time, and where their images are kept: page numbers with slots of a PagePool. Filled in
 * any order, then sealed: sorted by page, each once.
 */
export class PageImages {
  private pages = new Int32Array(64);
  private slots = new Int32Array(64);
  count = 0;

  /** What it takes besides the images */
  get bytes(): number {
    return this.pages.length * 8;
  }

  /** What it will take after one more `add` */
  get reach(): number {
    return this.count === this.pages.length ? Math.max(512, this.bytes * 2) : this.bytes;
  }

  add(page: number, slot: number): void {
    if (this.count === this.pages.length) {
      this.pages = resized(this.pages, Math.max(64, this.count * 2));
      this.slots = resized(this.slots, this.pages.length);
    }
    this.pages[this.count] = page;
    this.slots[this.count++] = slot;
  }

  page(index: number): number {
    return this.pages[index] ?? 0;
  }

  slot(index: number): number {
    return this.slots[index] ?? 0;
  }

  setSlot(index: number, slot: number): void {
    this.slots[index] = slot;
  }

  clear(): void {
    this.count = 0;
  }

  /** The same, sorted, and no larger than it must be */
  sealed(): PageImages {
    const { count } = this;
    const keys = new Float64Array(count);
    for (let i = 0; i < count; i++) keys[i] = this.page(i) * 2 ** 32 + i;
    keys.sort();
    const result = new PageImages();
    result.pages = new Int32Array(count);
    result.slots = new Int32Array(count);
    result.count = count;
    for (let i = 0; i < count; i++) {
      const from = (keys[i] ?? 0) % 2 ** 32;
      result.pages[i] = this.page(from);
      result.slots[i] = this.slot(from);
    }
    return result;
  }

  /** Of a sealed one */
  has(page: number): boolean {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = this.page(middle);
      if (found === page) return true;
      if (found < page) low = middle + 1;
      else high = middle;
    }
    return false;
  }

  /** How many pages two sealed ones have in common */
  shared(other: PageImages): number {
    let common = 0;
    for (let i = 0, j = 0; i < this.count && j < other.count;) {
      const difference = this.page(i) - other.page(j);
      if (difference === 0) common++;
      if (difference <= 0) i++;
      if (difference >= 0) j++;
    }
    return common;
  }

  /** The pages of two sealed ones, with this one's images where both have one; the others' go to `dropped`. Sealed. */
  mergedOver(other: PageImages, dropped: (slot: number) => void): PageImages {
    const result = new PageImages();
    result.pages = new Int32Array(this.count + other.count);
    result.slots = new Int32Array(this.count + other.count);
    let [i, j] = [0, 0];
    while (i < this.count || j < other.count) {
      const difference = i === this.count ? 1 : j === other.count ? -1 : this.page(i) - other.page(j);
      if (difference === 0) dropped(other.slot(j++));
      if (difference <= 0) result.add(this.page(i), this.slot(i++));
      else result.add(other.page(j), other.slot(j++));
    }
    result.pages = resized(result.pages, result.count);
    result.slots = resized(result.slots, result.count);
    return result;
  }
}

function resized(array: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const result = new Int32Array(length);
  result.set(array.subarray(0, Math.min(length, array.length)));
  return result;
}
