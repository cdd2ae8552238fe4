import type { StateReader, StateWriter } from '../device';
import { SECTOR } from '../storage/volume';
import type { AtaDrive } from './ata-drive';
import { AtaError } from './ata-registers';
import type { TaskFile } from './task-file';

/** The data of a command: where on the disk, how much is left, and the block that is between disk and host. */
export class BlockTransfer {
  /** Next sector, and sectors left */
  next = 0;
  left = 0;
  /** Sectors between two interrupts */
  private blockSectors = 1;
  private extended = false;
  toHost = false;
  private buffer: Uint8Array = new Uint8Array(0);
  private position = 0;

  constructor(private readonly file: TaskFile) {}

  begin(start: number, sectors: number, block: number, extended: boolean, toHost: boolean): void {
    this.next = start;
    this.left = sectors;
    this.blockSectors = block;
    this.extended = extended;
    this.toHost = toHost;
    this.buffer = new Uint8Array(0);
    this.position = 0;
  }

  /** Data that comes from the device itself, not from a sector */
  beginWith(data: Uint8Array): void {
    this.begin(0, 0, 1, false, true);
    this.buffer = data;
  }

  /** Sectors of the next block */
  get block(): number {
    return Math.min(this.blockSectors, this.left);
  }

  /** The host has moved all of the block. */
  get blockDone(): boolean {
    return this.position >= this.buffer.length;
  }

  get blockBytes(): number {
    return this.buffer.length;
  }

  /** The next block comes from the disk, if there is one. @returns 0, or the error */
  fetch(drive: AtaDrive | undefined): number {
    this.position = 0;
    if (this.left === 0) return 0;
    const sectors = this.block;
    if (!reaches(drive, this.next, sectors)) return AtaError.ABRT;
    this.buffer = new Uint8Array(sectors * SECTOR);
    if (!drive.volume.read(this.next, this.buffer)) return AtaError.UNC;
    this.consume(sectors, drive);
    return 0;
  }

  /** The host is to give the next block. */
  await(): void {
    this.buffer = new Uint8Array(this.block * SECTOR);
    this.position = 0;
  }

  /** The block goes to the disk. @returns 0, or the error */
  store(drive: AtaDrive | undefined): number {
    const sectors = this.buffer.length / SECTOR;
    if (!reaches(drive, this.next, sectors) || !drive.volume.write(this.next, this.buffer)) return AtaError.ABRT;
    this.consume(sectors, drive);
    return 0;
  }

  take(size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= (this.buffer[this.position + i] ?? 0) << (8 * i);
    this.position += size;
    return value >>> 0;
  }

  put(size: number, value: number): void {
    for (let i = 0; i < size && this.position + i < this.buffer.length; i++) {
      this.buffer[this.position + i] = value >>> (8 * i);
    }
    this.position += size;
  }

  /** Sectors have moved: the registers hold the last one's address and how many are left. */
  consume(sectors: number, drive: AtaDrive): void {
    this.next += sectors;
    this.left -= sectors;
    this.file.count = this.left & 0xff;
    this.showAddress(this.next - 1, drive);
  }

  showAddress(sector: number, drive: AtaDrive): void {
    this.file.setAddress(sector, this.extended, drive.heads, drive.sectorsPerTrack);
  }

  save(out: StateWriter): void {
    out.f64(this.next);
    out.u32(this.left);
    out.u32(this.blockSectors);
    out.u8(Number(this.extended) | (Number(this.toHost) << 1));
    out.blob(this.buffer);
    out.u32(this.position);
  }

  restore(from: StateReader): void {
    this.next = from.f64();
    this.left = from.u32();
    this.blockSectors = from.u32();
    const bits = from.u8();
    this.extended = (bits & 1) !== 0;
    this.toHost = (bits & 2) !== 0;
    this.buffer = from.blob();
    this.position = from.u32();
  }
}

/** Whether a drive has these sectors */
export const reaches = (drive: AtaDrive | undefined, first: number, count: number): drive is AtaDrive =>
  drive !== undefined && first + count <= drive.sectors;
