import type { EngineControl } from '../engine/host';
import { Actor } from '../memory/actor';
import { hostPhysical, PAGE_SIZE } from '../memory/address';
import type { PhysicalMemory } from '../memory/physical';
import { RAM_BASE } from '../memory/layout';
import type { AddressSpace } from './api';
import type { WrittenRange } from './input';
import type { Translations } from './translations';

/** The debugger's access to memory: RAM only, through the tables of an address space, without effect on the processor. */
export class MemoryAccess {
  constructor(
    private readonly physical: PhysicalMemory,
    private readonly translations: Translations,
    private readonly engine: EngineControl,
    /** Before bytes are written */
    private readonly writing: (ranges: readonly WrittenRange[]) => void,
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
    const ranges: WrittenRange[] = [];
    const done = this.eachPage(space, address, bytes.length, (at, offset, size) => {
      ranges.push({ address: at - RAM_BASE, bytes: bytes.slice(offset, offset + size) });
    });
    if (done > 0) this.writing(ranges);
    this.put(ranges);
    return done;
  }

  put(ranges: readonly WrittenRange[]): void {
    for (const { address, bytes } of ranges) {
      const { memory } = this.physical;
      memory.actor = Actor.Debugger;
      memory.writing?.(RAM_BASE + address, bytes.length);
      memory.actor = Actor.Instruction;
      memory.u8.set(bytes, RAM_BASE + address);
      this.engine.codeChanged(RAM_BASE + address, bytes.length);
    }
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
