import type { PortRange } from '../memory/bus';
import type { Device, StateReader, StateWriter } from './device';
import type { DmaPort } from './dma-port';

// Register map, items and DMA: "QEMU Firmware Configuration (fw_cfg) Device", docs/specs/fw_cfg.rst; the numbers of the
// items: QEMU, include/standard-headers/linux/qemu_fw_cfg.h.
const SELECTOR = 0x510;
const DMA_HIGH = 0x514;
const DMA_LOW = 0x518;
const DMA_SIGNATURE = 'QEMU CFG';

/** Items with fixed numbers */
export const enum FwCfgItem {
  Signature = 0x00,
  Interface = 0x01,
  RamSize = 0x03,
  Processors = 0x05,
  InitrdSize = 0x0b,
  MostProcessors = 0x0f,
  InitrdData = 0x12,
  CommandLineSize = 0x14,
  CommandLineData = 0x15,
  Directory = 0x19,
  FirstFile = 0x20,
}
/** Traditional interface, and DMA */
const INTERFACES = 3;
const NAME_SIZE = 56;

const DMA_ERROR = 0x01;
const DMA_READ = 0x02;
const DMA_SKIP = 0x04;
const DMA_SELECT = 0x08;
const DMA_WRITE = 0x10;
const DMA_STRUCTURE_SIZE = 16;
/** A request is carried out in pieces of this size: a guest may ask for gigabytes of nothing. */
const PIECE = 0x10000;
const NOTHING = new Uint8Array(PIECE);

/**
 * QEMU's firmware configuration device: numbered items and named files that describe the machine. Everything here is
 * read-only; items that do not exist read as zeros, as there.
 */
export class FwCfg implements PortRange, Device {
  readonly name = 'fw-cfg';
  readonly first = SELECTOR;
  readonly count = 12;
  private readonly items = new Map<number, Uint8Array>();
  private selected = 0;
  private offset = 0;
  private dmaHigh = 0;

  /**
   * @param files by their names, such as `etc/e820`
   * @param memory host-physical memory
   */
  constructor(
    items: ReadonlyMap<number, Uint8Array>,
    files: ReadonlyMap<string, Uint8Array>,
    private readonly memory: DmaPort,
  ) {
    this.items.set(FwCfgItem.Signature, new TextEncoder().encode('QEMU'));
    this.items.set(FwCfgItem.Interface, Uint8Array.of(INTERFACES, 0, 0, 0));
    for (const [number, bytes] of items) this.items.set(number, bytes);
    this.items.set(FwCfgItem.Directory, this.addFiles(files));
  }

  read(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(port + i) << (8 * i);
    return value >>> 0;
  }

  /** The selector takes 16 bits, the DMA address two times 32; all else is lost, writing to the data port too. */
  write(port: number, size: number, value: number): void {
    if (port === SELECTOR && size === 2) this.select(value);
    if (size !== 4) return;
    if (port === DMA_HIGH) this.dmaHigh = swap(value);
    if (port === DMA_LOW) {
      const address = (BigInt(this.dmaHigh) << 32n) | BigInt(swap(value));
      this.dmaHigh = 0;
      this.transfer(address);
    }
  }

  save(out: StateWriter): void {
    out.u32(this.selected);
    out.u32(this.offset);
    out.u32(this.dmaHigh);
  }

  restore(from: StateReader): void {
    this.selected = from.u32();
    this.offset = from.u32();
    this.dmaHigh = from.u32();
  }

  private readByte(port: number): number {
    if (port >= DMA_HIGH) return DMA_SIGNATURE.charCodeAt(port - DMA_HIGH);
    return this.items.get(this.selected)?.[this.offset++] ?? 0;
  }

  private select(number: number): void {
    this.selected = number;
    this.offset = 0;
  }

  /** One request by DMA. The structure is big-endian: control, length, address. */
  private transfer(at: bigint): void {
    const bytes = new Uint8Array(DMA_STRUCTURE_SIZE);
    const structure = new DataView(bytes.buffer);
    if (!this.memory.read(at, bytes)) return;
    const control = structure.getUint32(0);
    if (control & DMA_SELECT) this.select(control >>> 16);
    const done = this.carryOut(control, structure.getUint32(4), structure.getBigUint64(8));
    structure.setUint32(0, done ? 0 : DMA_ERROR);
    this.memory.write(at, bytes.subarray(0, 4));
  }

  private carryOut(control: number, length: number, address: bigint): boolean {
    if (!(control & (DMA_READ | DMA_WRITE | DMA_SKIP)) || length === 0) return true;
    if (!(control & DMA_READ) && control & DMA_WRITE) return false;
    const item = this.items.get(this.selected) ?? NOTHING.subarray(0, 0);
    for (let done = 0; done < length && control & DMA_READ;) {
      const from = this.offset + done;
      const size = Math.min(length - done, PIECE, from < item.length ? item.length - from : Infinity);
      const piece = from < item.length ? item.subarray(from, from + size) : NOTHING.subarray(0, size);
      if (!this.memory.write(BigInt.asUintN(64, address + BigInt(done)), piece)) return false;
      done += size;
    }
    this.offset = Math.min(this.offset + length, item.length);
    return true;
  }

  /** @returns the directory: a big-endian count, and for each file size, number and name */
  private addFiles(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
    const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
    const directory = new Uint8Array(4 + sorted.length * (8 + NAME_SIZE));
    const view = new DataView(directory.buffer);
    view.setUint32(0, sorted.length);
    sorted.forEach(([name, bytes], i) => {
      const at = 4 + i * (8 + NAME_SIZE);
      view.setUint32(at, bytes.length);
      view.setUint16(at + 4, FwCfgItem.FirstFile + i);
      directory.set(new TextEncoder().encode(name).subarray(0, NAME_SIZE - 1), at + 8);
      this.items.set(FwCfgItem.FirstFile + i, bytes);
    });
    return directory;
  }
}

const swap = (value: number): number =>
  ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
