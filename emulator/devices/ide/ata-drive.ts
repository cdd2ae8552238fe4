import type { Device, StateReader, StateWriter } from '../device';
import type { Volume } from '../storage/volume';

export const MULTIPLE_MOST = 16;
/** SET FEATURES 03h, transfer modes: PIO default, PIO with flow control 0-4, multiword DMA 0-2, Ultra DMA 0-5 */
const MULTIWORD = 0x20;
const ULTRA = 0x40;
const LBA28_END = 0x0fffffff;

/** An ATA disk without packet feature: its geometry and modes. */
export class AtaDrive implements Device {
  readonly name: string;
  /** As INITIALIZE DEVICE PARAMETERS has set it; the natural one after power-on */
  heads = 16;
  sectorsPerTrack = 63;
  /** Sectors in a block of READ and WRITE MULTIPLE, 0: the commands are off */
  multiple = 0;
  private multiword = 2;
  private ultra = -1;
  writeCache = true;
  readAhead = true;

  constructor(
    readonly volume: Volume,
    private readonly number: number,
  ) {
    this.name = `ATA disk ${volume.name}`;
  }

  get sectors(): number {
    return this.volume.sectors;
  }

  /** Cylinders of the natural geometry; at most what CHS can express */
  get cylinders(): number {
    return Math.min(16383, Math.floor(this.sectors / (16 * 63)));
  }

  /** Software reset: settings that "revert to power-on defaults" do (ATA-6, 8.37.17); here they always do. */
  reset(): void {
    this.heads = 16;
    this.sectorsPerTrack = 63;
    this.multiple = 0;
  }

  /** False: no such mode */
  setTransferMode(mode: number): boolean {
    if (mode <= 1 || (mode >= 8 && mode <= 12)) return true;
    if (mode >= MULTIWORD && mode <= MULTIWORD + 2) {
      this.multiword = mode - MULTIWORD;
      this.ultra = -1;
      return true;
    }
    if (mode >= ULTRA && mode <= ULTRA + 5) {
      this.ultra = mode - ULTRA;
      this.multiword = -1;
      return true;
    }
    return false;
  }

  /** The 256 words of IDENTIFY DEVICE (ATA-6, 8.15, table 20). */
  identify(): Uint8Array {
    const bytes = new Uint8Array(512);
    const view = new DataView(bytes.buffer);
    const word = (at: number, value: number) => view.setUint16(at * 2, value & 0xffff, true);
    const double = (at: number, value: number) => view.setUint32(at * 2, value >>> 0, true);
    // Strings: two characters a word, the first in the high byte
    const text = (at: number, words: number, value: string) => {
      for (let i = 0; i < words * 2; i++) bytes[at * 2 + (i ^ 1)] = (value.charCodeAt(i) || 32) & 0x7f;
    };
    const chs = Math.min(this.sectors, LBA28_END);
    const currentCylinders = Math.min(65535, Math.floor(chs / (this.heads * this.sectorsPerTrack)));
    word(0, 0x0040); // not removable
    word(1, this.cylinders);
    word(3, 16);
    word(6, 63);
    text(10, 10, `UV${String(this.number).padStart(5, '0')}`);
    text(23, 4, '1.0');
    text(27, 20, 'UNDERVISOR HARDDISK');
    word(47, 0x8000 | MULTIPLE_MOST);
    word(48, 1); // 32-bit access to the data port
    word(49, 0x0f00); // standby timer of the device, IORDY, LBA, DMA
    word(50, 0x4000);
    word(51, 0x0200);
    word(53, 0x0007); // words 54-58, 64-70 and 88 are valid
    word(54, currentCylinders);
    word(55, this.heads);
    word(56, this.sectorsPerTrack);
    double(57, currentCylinders * this.heads * this.sectorsPerTrack);
    word(59, this.multiple ? 0x0100 | this.multiple : 0);
    double(60, Math.min(this.sectors, LBA28_END));
    word(63, 0x0007 | (this.multiword >= 0 ? 0x100 << this.multiword : 0));
    word(64, 0x0003);
    for (let at = 65; at <= 68; at++) word(at, 120);
    word(80, 0x0070); // ATA-4, -5, -6
    word(82, 0x4060); // NOP, look-ahead, write cache
    word(83, 0x7400); // FLUSH CACHE EXT, FLUSH CACHE, 48-bit
    word(84, 0x4000);
    word(85, 0x4000 | (this.readAhead ? 0x40 : 0) | (this.writeCache ? 0x20 : 0));
    word(86, 0x3400);
    word(87, 0x4000);
    word(88, 0x003f | (this.ultra >= 0 ? 0x100 << this.ultra : 0));
    word(93, 0x600b); // hardware reset result: 80-conductor cable
    view.setBigUint64(200, BigInt(this.sectors), true); // words 100-103
    return bytes;
  }

  save(out: StateWriter): void {
    out.u8(this.heads);
    out.u8(this.sectorsPerTrack);
    out.u8(this.multiple);
    out.u8(this.multiword & 0xff);
    out.u8(this.ultra & 0xff);
    out.u8(Number(this.writeCache) | (Number(this.readAhead) << 1));
    this.volume.save(out);
  }

  restore(from: StateReader): void {
    const signed = (value: number) => (value === 0xff ? -1 : value);
    this.heads = from.u8();
    this.sectorsPerTrack = from.u8();
    this.multiple = from.u8();
    this.multiword = signed(from.u8());
    this.ultra = signed(from.u8());
    const bits = from.u8();
    this.writeCache = (bits & 1) !== 0;
    this.readAhead = (bits & 2) !== 0;
    this.volume.restore(from);
  }
}
