import type { DmaPort } from '../../devices/dma-port';
import { Actor } from '../../memory/actor';
import { hostPhysical, PAGE_SIZE } from '../../memory/address';
import type { PhysicalMemory } from '../../memory/physical';

/** RAM as a device of the board itself reaches it: by host-physical address, no IOMMU on the way. */
export class RamPort implements DmaPort {
  /** @param changed called with each written piece of wasm memory: decoded and translated code of it is stale */
  constructor(
    private readonly physical: PhysicalMemory,
    private readonly changed: (wasmAddress: number, size: number) => void,
  ) {}

  read(address: bigint, target: Uint8Array): boolean {
    return this.eachPage(address, target.length, (at, offset, size) =>
      target.set(this.physical.memory.u8.subarray(at, at + size), offset),
    );
  }

  write(address: bigint, bytes: Uint8Array): boolean {
    return this.eachPage(address, bytes.length, (at, offset, size) => {
      const { memory } = this.physical;
      const { actor, actorDetail } = memory;
      memory.actor = Actor.Device;
      memory.actorDetail = -1;
      memory.writing?.(at, size);
      memory.u8.set(bytes.subarray(offset, offset + size), at);
      memory.actor = actor;
      memory.actorDetail = actorDetail;
      this.changed(at, size);
    });
  }

  private eachPage(
    address: bigint,
    length: number,
    action: (wasmAddress: number, offset: number, size: number) => void,
  ): boolean {
    for (let done = 0; done < length;) {
      const at = address + BigInt(done);
      const ram = at < 1n << 52n ? this.physical.hostOffset(hostPhysical(at)) : -1;
      if (ram < 0) return false;
      const size = Math.min(length - done, PAGE_SIZE - Number(at & 0xfffn));
      action(ram, done, size);
      done += size;
    }
    return true;
  }
}
