/** Bytes of a block, the unit in which an overlay keeps what was written */
export const BLOCK = 4096;
/** Blocks of a leaf */
const LEAF = 256;

interface Block {
  /** In which it was made; an older one is part of something kept, and never changes */
  readonly epoch: number;
  readonly bytes: Uint8Array;
}
interface Leaf {
  readonly epoch: number;
  readonly blocks: (Block | undefined)[];
}

/** What an overlay held at a moment; never changes */
export interface KeptOverlay {
  readonly leaves: ReadonlyMap<number, Leaf>;
  readonly size: number;
  /** What it takes beyond what was kept before */
  readonly bytes: number;
}

export const EMPTY: KeptOverlay = { leaves: new Map(), size: 0, bytes: 0 };

/**
 * Blocks by number, of which all contents ever kept share what they have in common: to keep them costs nothing, and to
 * change a block afterwards costs a copy of it and of its leaf's list.
 */
export class Overlay {
  private leaves: Map<number, Leaf> = new Map();
  private leavesEpoch = 0;
  private epoch = 0;
  private kept: KeptOverlay | undefined = EMPTY;
  private copied = 0;
  /** How many blocks there are */
  size = 0;

  get(block: number): Uint8Array | undefined {
    return this.leaves.get(Math.floor(block / LEAF))?.blocks[block % LEAF]?.bytes;
  }

  /** The bytes of a block, to be changed: those that it has, or `original` when it has none. */
  change(block: number, original: () => Uint8Array): Uint8Array {
    const leaf = this.leafToChange(Math.floor(block / LEAF));
    const found = leaf.blocks[block % LEAF];
    if (found?.epoch === this.epoch) return found.bytes;
    // May throw: then nothing has changed.
    const bytes = (found?.bytes ?? original()).slice();
    leaf.blocks[block % LEAF] = { epoch: this.epoch, bytes };
    if (!found) this.size++;
    this.copied += BLOCK;
    return bytes;
  }

  private leafToChange(index: number): Leaf {
    const found = this.leaves.get(index);
    if (found?.epoch === this.epoch) return found;
    if (this.leavesEpoch !== this.epoch) {
      this.leaves = new Map(this.leaves);
      this.leavesEpoch = this.epoch;
      this.copied += this.leaves.size * 16;
    }
    const leaf = { epoch: this.epoch, blocks: found?.blocks.slice() ?? new Array<Block | undefined>(LEAF) };
    this.leaves.set(index, leaf);
    this.kept = undefined;
    this.copied += LEAF * 8;
    return leaf;
  }

  /** Numbers of all blocks, in their order */
  blocks(): number[] {
    const numbers: number[] = [];
    for (const [index, { blocks }] of this.leaves)
      blocks.forEach((block, i) => block && numbers.push(index * LEAF + i));
    return numbers.sort((a, b) => a - b);
  }

  keep(): KeptOverlay {
    if (this.kept) return this.kept;
    const kept = { leaves: this.leaves, size: this.size, bytes: this.copied };
    this.kept = { ...kept, bytes: 0 };
    this.copied = 0;
    this.epoch++;
    return kept;
  }

  takeBack(kept: KeptOverlay): void {
    // Older leaves of another future may have been made in this epoch.
    this.epoch++;
    this.leaves = kept.leaves as Map<number, Leaf>;
    this.size = kept.size;
    this.kept = { ...kept, bytes: 0 };
    this.copied = 0;
  }
}
