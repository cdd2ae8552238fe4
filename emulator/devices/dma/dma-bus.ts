import type { Taps } from '../../cpu/taps';
import { Actor } from '../../memory/actor';
import { PAGE_SIZE } from '../../memory/address';
import type { PhysicalMemory } from '../../memory/physical';
import type { DmaPort } from '../dma-port';
import type { InterruptMessageSink } from '../interrupt-message';

/** DMA remapping, as the bus sees it. Addresses are numbers: they have at most 52 bits. */
export interface DmaRemapper {
  readonly translationEnabled: boolean;
  /** The host-physical address, or -1 after recording the fault whose name is in `blockedBy`. */
  translate(requester: number, address: number, write: boolean): number;
  readonly blockedBy: string;
}

export interface DmaWiring {
  readonly physical: PhysicalMemory;
  /** RAM changed behind the processors' backs: wasm address, bytes within one page. */
  readonly codeWritten: (wasmAddress: number, length: number) => void;
  readonly messages: InterruptMessageSink;
  readonly taps: Taps;
}

/** A write of a doubleword here is an interrupt request, never memory (SDM vol. 3, "Message Address Register Format"). */
const INTERRUPT_RANGE = 0xfee00000n;
const INTERRUPT_RANGE_END = 0xfef00000n;
const ADDRESS_END = 1n << 52n;

/**
 * The way of every device access to memory: to the interrupt range, or through the IOMMU page by page, to RAM. A
 * transfer to anything else is blocked: devices do not reach each other on this board.
 */
export class DmaBus {
  remapper: DmaRemapper | undefined;

  constructor(private readonly wiring: DmaWiring) {}

  port(requester: number): DmaPort {
    return {
      read: (address, target) => this.transfer(requester, address, target, false),
      write: (address, bytes) => this.transfer(requester, address, bytes, true),
    };
  }

  private transfer(requester: number, address: bigint, bytes: Uint8Array, write: boolean): boolean {
    if (address >= INTERRUPT_RANGE && address < INTERRUPT_RANGE_END) {
      return this.interrupt(requester, address, bytes, write);
    }
    if (address < 0n || address + BigInt(bytes.length) > ADDRESS_END) {
      return this.blocked(requester, Number(address), bytes.length, write, 'beyond the physical address space');
    }
    const start = Number(address);
    for (let done = 0; done < bytes.length;) {
      const at = start + done;
      const length = Math.min(PAGE_SIZE - (at % PAGE_SIZE), bytes.length - done);
      if (!this.page(requester, at, bytes, done, length, write)) return false;
      done += length;
    }
    return true;
  }

  private page(
    requester: number,
    address: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    write: boolean,
  ): boolean {
    const { physical, taps } = this.wiring;
    let host = address;
    const { remapper } = this;
    if (remapper?.translationEnabled) {
      host = remapper.translate(requester, address, write);
      if (host < 0) return this.blocked(requester, address, length, write, remapper.blockedBy);
    }
    const ram = physical.ramAddress(host);
    if (ram < 0) return this.blocked(requester, address, length, write, 'no RAM at this address', host);
    const { memory } = physical;
    const { u8, actor, actorDetail } = memory;
    memory.actor = Actor.Device;
    memory.actorDetail = requester;
    if (write) {
      memory.writing?.(ram, length);
      u8.set(bytes.subarray(offset, offset + length), ram);
      this.wiring.codeWritten(ram, length);
    } else {
      memory.accessWatch?.reading(ram, length);
      bytes.set(u8.subarray(ram, ram + length), offset);
    }
    memory.actor = actor;
    memory.actorDetail = actorDetail;
    taps.dma?.({ requester, address, hostPhysical: host, length, write, blocked: undefined });
    return true;
  }

  private interrupt(requester: number, address: bigint, bytes: Uint8Array, write: boolean): boolean {
    if (!write || bytes.length !== 4 || address & 3n) {
      const reason = 'the interrupt address range takes aligned writes of four bytes only';
      return this.blocked(requester, Number(address), bytes.length, write, reason);
    }
    const data = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
    this.wiring.messages.send(requester, address, data);
    return true;
  }

  private blocked(
    requester: number,
    address: number,
    length: number,
    write: boolean,
    blocked: string,
    hostPhysical = -1,
  ): false {
    this.wiring.taps.dma?.({ requester, address, hostPhysical, length, write, blocked });
    return false;
  }
}
