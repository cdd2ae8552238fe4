import type { Device, StateReader, StateWriter } from '../device';
import type { BlockSource } from './block-source';
import { BLOCK, EMPTY, Overlay, type KeptOverlay } from './overlay';

export const SECTOR = 512;

/**
 * The contents of a disk: the image, and over it the blocks that the machine has written. They stay in memory unless
 * the disk writes through; then the image follows. Either way the overlay is the state: restoring it brings the disk
 * back, and with it the image of a disk that writes through.
 */
export class Volume implements Device {
  readonly sectors: number;
  /** Told of each transfer before it takes place: first sector, bytes */
  transferring: ((sector: number, length: number, write: boolean) => void) | undefined;
  private readonly overlay = new Overlay();
  /** Writing through: what the image held before the first write to a block */
  private readonly originals = new Map<number, Uint8Array>();

  /** @param through whether writes reach the image */
  constructor(
    readonly name: string,
    private readonly source: BlockSource,
    readonly readOnly: boolean,
    private readonly through: boolean,
  ) {
    this.sectors = Math.ceil(source.size / SECTOR);
  }

  /** Fills `target` from a sector on; false: the image could not be read. The caller has checked the range. */
  read(sector: number, target: Uint8Array): boolean {
    this.transferring?.(sector, target.length, false);
    return this.eachBlock(sector * SECTOR, target.length, (block, at, offset, length) => {
      const bytes = this.overlay.get(block) ?? this.original(block);
      target.set(bytes.subarray(at, at + length), offset);
    });
  }

  write(sector: number, bytes: Uint8Array): boolean {
    if (this.readOnly) return false;
    this.transferring?.(sector, bytes.length, true);
    return this.eachBlock(sector * SECTOR, bytes.length, (block, at, offset, length) => {
      const kept = this.overlay.change(block, () => {
        const original = this.original(block);
        if (this.through) this.originals.set(block, original.slice());
        return original;
      });
      kept.set(bytes.subarray(offset, offset + length), at);
      if (this.through) this.writeSource(block, kept);
    });
  }

  flush(): boolean {
    try {
      if (this.through) this.source.flush?.();
      return true;
    } catch {
      return false;
    }
  }

  save(out: StateWriter): void {
    if (out.shares(() => this.overlay.keep())) return;
    out.u32(this.overlay.size);
    for (const block of this.overlay.blocks()) {
      out.f64(block);
      out.blob(this.overlay.get(block) ?? new Uint8Array(BLOCK));
    }
  }

  restore(from: StateReader): void {
    const before = this.overlay.blocks();
    const kept = from.shared() as KeptOverlay | undefined;
    this.overlay.takeBack(kept ?? EMPTY);
    for (let count = kept ? 0 : from.u32(); count > 0; count--) {
      const block = from.f64();
      const bytes = from.blob();
      this.overlay.change(block, () => bytes).set(bytes);
    }
    if (!this.through) return;
    try {
      for (const block of new Set([...before, ...this.overlay.blocks()])) {
        if (!this.originals.has(block)) this.originals.set(block, this.fromSource(block));
        this.writeSource(block, this.overlay.get(block) ?? this.original(block));
      }
    } catch {
      // The image cannot follow any more; the disk that the machine sees is right by the overlay.
    }
  }

  private original(block: number): Uint8Array {
    return this.originals.get(block) ?? this.fromSource(block);
  }

  /** Beyond the end of an image that is no whole number of blocks there are zeros. */
  private fromSource(block: number): Uint8Array {
    const bytes = new Uint8Array(BLOCK);
    const length = Math.min(BLOCK, this.source.size - block * BLOCK);
    this.source.read(block * BLOCK, bytes.subarray(0, length));
    return bytes;
  }

  private writeSource(block: number, bytes: Uint8Array): void {
    const length = Math.min(BLOCK, this.source.size - block * BLOCK);
    this.source.write?.(block * BLOCK, bytes.subarray(0, length));
  }

  private eachBlock(
    start: number,
    length: number,
    action: (block: number, at: number, offset: number, length: number) => void,
  ): boolean {
    try {
      for (let done = 0; done < length;) {
        const at = (start + done) % BLOCK;
        const part = Math.min(BLOCK - at, length - done);
        action(Math.floor((start + done) / BLOCK), at, done, part);
        done += part;
      }
      return true;
    } catch {
      return false;
    }
  }
}
