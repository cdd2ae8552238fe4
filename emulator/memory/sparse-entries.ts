/** A table of entries in the machine's memory, of which few are valid. Places and sizes in words. */
export interface EntryTable {
  readonly first: number;
  readonly count: number;
  /** Of an entry */
  readonly size: number;
  /** Which word of an entry has the bit `valid` */
  readonly flags: number;
  readonly valid: number;
}

/** Where tables are collected; kept, for a snapshot is made every few milliseconds */
let collected = new Int32Array(4096);

/** Writes tables as their valid entries: how many, then the index and the words of each. One at a time. */
export class SparseWriter {
  private length = 0;

  constructor(private readonly words: Int32Array) {}

  put(word: number): void {
    this.reserve(1);
    collected[this.length++] = word;
  }

  entries({ first, count, size, flags, valid }: EntryTable): void {
    this.reserve(1 + count * (1 + size));
    const { words } = this;
    const saved = collected;
    const counter = this.length;
    let at = counter + 1;
    let found = 0;
    for (let index = 0, entry = first; index < count; index++, entry += size) {
      if (((words[entry + flags] ?? 0) & valid) === 0) continue;
      saved[at++] = index;
      for (let i = 0; i < size; i++) saved[at++] = words[entry + i] ?? 0;
      found++;
    }
    saved[counter] = found;
    this.length = at;
  }

  finish(): Int32Array {
    return collected.slice(0, this.length);
  }

  private reserve(more: number): void {
    if (this.length + more <= collected.length) return;
    const grown = new Int32Array((this.length + more) * 2);
    grown.set(collected.subarray(0, this.length));
    collected = grown;
  }
}

export class SparseReader {
  constructor(
    private readonly words: Int32Array,
    private readonly saved: Int32Array,
    private at: number,
  ) {}

  /** What is not valid becomes zero. */
  entries({ first, count, size }: EntryTable): void {
    const { words, saved } = this;
    words.fill(0, first, first + count * size);
    for (let found = saved[this.at++] ?? 0; found > 0; found--) {
      const entry = first + (saved[this.at++] ?? 0) * size;
      for (let i = 0; i < size; i++) words[entry + i] = saved[this.at++] ?? 0;
    }
  }
}
