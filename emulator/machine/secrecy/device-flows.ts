import type { Volume } from '../../devices/storage/volume';
import { SECTOR } from '../../devices/storage/volume';

/** Secrets that something outside RAM holds: whose, and the step that brought them there */
export interface Held {
  labels: number;
  origin: number;
}

/** What a disk tells of its transfers. */
export interface DiskTransfers {
  /** Sectors are about to be written with what was last moved to the disk. */
  written(disk: number, sector: number, count: number): void;
  /** Sectors were read: what is moved next comes from them. */
  read(disk: number, sector: number, count: number): void;
}

/**
 * Secrets on disks, by sector, and in the buffers between disk and memory. A device's buffer is one thing: a secret byte in
 * it makes all that is written from it secret, until the next transfer.
 */
export class DeviceFlows {
  private sectors = new Map<string, Held>();
  /** Moved from memory to a device since the last sector was written */
  private outgoing: Held | undefined;
  /** Of the sectors that were read last */
  private incoming: Held | undefined;

  constructor(private readonly reached: (sector: number, count: number, from: Held) => number) {}

  toDevice(labels: number, origin: number): void {
    this.outgoing = { labels, origin };
  }

  /** What a device writes to memory, or is read from its data port */
  get fromDevice(): Held | undefined {
    return this.incoming;
  }

  written(disk: number, sector: number, count: number): void {
    const from = this.outgoing;
    this.outgoing = undefined;
    this.incoming = undefined;
    const origin = from ? this.reached(sector, count, from) : 0;
    for (let at = sector; at < sector + count; at++) {
      if (from) this.sectors.set(`${disk} ${at}`, { labels: from.labels, origin });
      else this.sectors.delete(`${disk} ${at}`);
    }
  }

  read(disk: number, sector: number, count: number): void {
    this.outgoing = undefined;
    this.incoming = undefined;
    if (this.sectors.size === 0) return;
    for (let at = sector; at < sector + count && !this.incoming; at++)
      this.incoming = this.sectors.get(`${disk} ${at}`);
  }

  save(): DeviceFlowsState {
    return { sectors: new Map(this.sectors), outgoing: this.outgoing, incoming: this.incoming };
  }

  restore({ sectors, outgoing, incoming }: DeviceFlowsState): void {
    this.sectors = new Map(sectors);
    this.outgoing = outgoing;
    this.incoming = incoming;
  }
}

interface DeviceFlowsState {
  readonly sectors: ReadonlyMap<string, Held>;
  readonly outgoing: Held | undefined;
  readonly incoming: Held | undefined;
}

/** From now on the disks tell of their transfers. */
export function followDisks(volumes: readonly Volume[], transfers: DiskTransfers): void {
  volumes.forEach((volume, disk) => {
    volume.transferring = (sector, length, write) => {
      const count = Math.ceil(length / SECTOR);
      if (write) transfers.written(disk, sector, count);
      else transfers.read(disk, sector, count);
    };
  });
}
