import type { StateReader, StateWriter } from '../device';
import { SECTOR, type Volume } from '../storage/volume';
import type { DeviceTiming, TimedDevice } from '../timed-device';
import { VirtioFunction } from './virtio-function';
import { Feature } from './virtio-registers';
import { QueueBroken, type Chain, type Segment } from './virtqueue';

/** Feature bits of block devices (VIRTIO 1.2, 5.2.3) */
const SEGMENTS_MOST = 1n << 2n;
const READ_ONLY = 1n << 5n;
const BLOCK_SIZE = 1n << 6n;
const FLUSH = 1n << 9n;
/** Request types and results (5.2.6) */
const enum Request {
  In = 0,
  Out = 1,
  Flush = 4,
  GetId = 8,
}
/** Device IDs (4.1.2.1) */
const TRANSITIONAL_DEVICE = 0x1001;
const MODERN_DEVICE = 0x1042;
const OK = 0;
const IO_ERROR = 1;
const UNSUPPORTED = 2;
const HEADER = 16;
const ID_LENGTH = 20;
const QUEUE_SIZE = 256;
const CHUNK = 0x10000;
/** Ticks of the virtual clock: how long a request takes */
const REQUEST_TICKS = 500;
const SECTOR_TICKS = 50;

/**
 * A virtio block device (VIRTIO 1.2, 5.2). Requests are carried out one after the other. Behind an IOMMU it has the
 * modern interface only: the older one cannot agree on ACCESS_PLATFORM.
 */
export class VirtioBlock extends VirtioFunction implements TimedDevice {
  readonly name: string;
  private deadline = Infinity;
  private readonly header = new Uint8Array(HEADER);

  /** @param remapped an IOMMU is in the way: the driver has to give addresses that it translates */
  constructor(
    ramSize: number,
    private readonly volume: Volume,
    private readonly timing: DeviceTiming,
    private readonly number: number,
    remapped: boolean,
  ) {
    super({
      identity: {
        vendor: 0x1af4,
        device: remapped ? MODERN_DEVICE : TRANSITIONAL_DEVICE,
        revision: remapped ? 1 : 0,
        classCode: 0x010000,
        subsystemVendor: 0x1af4,
        subsystem: 2,
        interruptPin: 1,
      },
      ramSize,
      features:
        SEGMENTS_MOST |
        BLOCK_SIZE |
        FLUSH |
        (volume.readOnly ? READ_ONLY : 0n) |
        Feature.ANY_LAYOUT |
        Feature.INDIRECT |
        Feature.EVENT_INDEX |
        Feature.VERSION_1 |
        (remapped ? Feature.ACCESS_PLATFORM : 0n),
      queueSize: QUEUE_SIZE,
      legacy: !remapped,
      configuration: configurationOf(volume),
    });
    this.name = `virtio disk ${volume.name}`;
  }

  notified(): void {
    if (this.deadline === Infinity) this.schedule(0);
  }

  protected deviceReset(): void {
    this.setDeadline(Infinity);
  }

  nextDeadline(): number {
    return this.deadline;
  }

  private setDeadline(clock: number): void {
    this.deadline = clock;
    this.timing.deadlineChanged();
  }

  advance(now: number): void {
    if (now < this.deadline) return;
    this.setDeadline(Infinity);
    if (!this.driverReady) return;
    try {
      const chain = this.queue.take(this.eventIndex);
      if (!chain) return;
      const written = this.carryOut(chain);
      if (this.queue.give(chain.head, written, this.eventIndex)) this.interrupt();
      if (this.queue.hasWork()) this.schedule(Math.ceil(written / SECTOR));
    } catch (error) {
      if (!(error instanceof QueueBroken)) throw error;
      this.needsReset();
    }
  }

  private schedule(sectors: number): void {
    this.setDeadline(this.timing.clock() + REQUEST_TICKS + sectors * SECTOR_TICKS);
  }

  /** @returns bytes written to the chain, with the status @throws QueueBroken */
  private carryOut({ readable, writable }: Chain): number {
    const input = lengthOf(writable) - 1;
    const output = lengthOf(readable) - HEADER;
    if (output < 0) throw new QueueBroken('a request has no header of 16 bytes');
    if (input < 0) throw new QueueBroken('a request has no room for its status');
    if (!this.read(readable, 0, this.header)) throw new QueueBroken('the header of a request cannot be read');
    const view = new DataView(this.header.buffer);
    const sector = view.getBigUint64(8, true);
    let status = UNSUPPORTED;
    let written = 0;
    switch (view.getUint32(0, true) as Request) {
      case Request.In:
        status = this.inRange(sector, input) && this.readDisk(Number(sector), writable, input) ? OK : IO_ERROR;
        written = status === OK ? input : 0;
        break;
      case Request.Out:
        status = this.inRange(sector, output) && this.writeDisk(Number(sector), readable, output) ? OK : IO_ERROR;
        break;
      case Request.Flush:
        status = this.volume.flush() ? OK : IO_ERROR;
        break;
      case Request.GetId:
        written = Math.min(input, ID_LENGTH);
        status = this.write(writable, 0, this.identifier().subarray(0, written)) ? OK : IO_ERROR;
        break;
      default:
    }
    if (!this.write(writable, input, Uint8Array.of(status))) {
      throw new QueueBroken('the status of a request cannot be written');
    }
    return written + 1;
  }

  private inRange(sector: bigint, length: number): boolean {
    return length % SECTOR === 0 && sector + BigInt(length / SECTOR) <= BigInt(this.volume.sectors);
  }

  private readDisk(sector: number, target: readonly Segment[], length: number): boolean {
    for (let done = 0; done < length; done += CHUNK) {
      const chunk = new Uint8Array(Math.min(CHUNK, length - done));
      if (!this.volume.read(sector + done / SECTOR, chunk) || !this.write(target, done, chunk)) return false;
    }
    return true;
  }

  private writeDisk(sector: number, source: readonly Segment[], length: number): boolean {
    if (this.volume.readOnly) return false;
    for (let done = 0; done < length; done += CHUNK) {
      const chunk = new Uint8Array(Math.min(CHUNK, length - done));
      if (!this.read(source, HEADER + done, chunk) || !this.volume.write(sector + done / SECTOR, chunk)) return false;
    }
    return true;
  }

  private identifier(): Uint8Array {
    const bytes = new Uint8Array(ID_LENGTH);
    const text = `UV${String(this.number).padStart(5, '0')}`;
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  private read(from: readonly Segment[], offset: number, target: Uint8Array): boolean {
    return eachPart(from, offset, target.length, (address, at, length) =>
      this.dmaRead(address, target.subarray(at, at + length)),
    );
  }

  private write(to: readonly Segment[], offset: number, bytes: Uint8Array): boolean {
    return eachPart(to, offset, bytes.length, (address, at, length) =>
      this.dmaWrite(address, bytes.subarray(at, at + length)),
    );
  }

  override save(out: StateWriter): void {
    super.save(out);
    out.f64(this.deadline);
    this.volume.save(out);
  }

  override restore(from: StateReader): void {
    super.restore(from);
    this.setDeadline(from.f64());
    this.volume.restore(from);
  }
}

const lengthOf = (segments: readonly Segment[]): number => segments.reduce((sum, { length }) => sum + length, 0);

/** Calls `action` for the pieces of memory that `length` bytes from `offset` on lie in. False: one failed. */
function eachPart(
  segments: readonly Segment[],
  offset: number,
  length: number,
  action: (address: bigint, at: number, length: number) => boolean,
): boolean {
  let skip = offset;
  let done = 0;
  for (const segment of segments) {
    if (done === length) return true;
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const part = Math.min(segment.length - skip, length - done);
    if (!action(segment.address + BigInt(skip), done, part)) return false;
    skip = 0;
    done += part;
  }
  return done === length;
}

/** struct virtio_blk_config (5.2.4), as far as the features need it */
function configurationOf(volume: Volume): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(volume.sectors), true);
  view.setUint32(12, QUEUE_SIZE - 2, true);
  view.setUint32(20, SECTOR, true);
  return bytes;
}
