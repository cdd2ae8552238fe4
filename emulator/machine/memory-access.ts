import type { EngineControl } from '../engine/host';
import { Actor } from '../memory/actor';
import { hostPhysical, PAGE_SIZE } from '../memory/address';
import type { PhysicalMemory } from '../memory/physical';
import type { AddressSpace } from './api';
import type { Translations } from './translations';

/** The debugger's access to memory: RAM only, through the tables of an address space, without effect on the processor. */
export class MemoryAccess {
  constructor(
    private readonly physical: PhysicalMemory,
    private readonly translations: Translations,
    private readonly engine: EngineControl,
  ) {}

  /** @returns as many bytes as are mapped to RAM without a gap */
  read(space: AddressSpace, address: bigint, length: number): Uint8Array {
    const result = new Uint8Array(length);
    const done = this.eachPage(space, address, length, (at, offset, size) => {
      result.set(this.physical.memory.u8.subarray(at, at + size), offset);
    });
    return done === length ? result : result.slice(0, done);
  }

  /** @returns how many bytes were written; decoded and translated code of these bytes is dropped */
  write(space: AddressSpace, address: bigint, bytes: Uint8Array): number {
    return this.eachPage(space, address, bytes.length, (at, offset, size) => {
      const { memory } = this.physical;
      memory.actor = Actor.Debugger;
      memory.writing?.(at, size);
      memory.actor = Actor.Instruction;
      memory.u8.set(bytes.subarray(offset, offset + size), at);
      this.engine.codeChanged(at, size);
    });
  }

  private eachPage(
    space: AddressSpace,
    address: bigint,
    length: number,
    action: (wasmAddress: number, offset: number, size: number) => void,
  ): number {
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const physical = this.translations.toHostPhysical(space, at);
      const ram = physical === undefined ? -1 : this.physical.hostOffset(hostPhysical(physical));
      if (ram < 0) return done;
      const size = Math.min(length - done, PAGE_SIZE - Number(at & 0xfffn));
      action(ram, done, size);
      done += size;
    }
    return done;
  }
}
