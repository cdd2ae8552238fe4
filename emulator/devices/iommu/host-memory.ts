import { Actor } from '../../memory/actor';
import type { PhysicalMemory } from '../../memory/physical';

const TWO_32 = 0x100000000;

/** RAM as the unit itself reaches it: tables, descriptors, status words. Nothing of it is remapped. */
export class HostMemory {
  /** Words of the last successful `load`, lowest first */
  readonly words = new Uint32Array(4);

  constructor(
    private readonly physical: PhysicalMemory,
    private readonly written: (wasmAddress: number, length: number) => void,
  ) {}

  /** Loads 2 or 4 naturally aligned doublewords; false: there is no RAM. */
  load(address: number, count: 2 | 4): boolean {
    const at = this.physical.ramAddress(address);
    if (at < 0) return false;
    const { i32 } = this.physical.memory;
    for (let i = 0; i < count; i++) this.words[i] = i32[(at >>> 2) + i] ?? 0;
    return true;
  }

  store32(address: number, value: number): void {
    const at = this.physical.ramAddress(address);
    if (at < 0) return;
    const { memory } = this.physical;
    const { actor, actorDetail } = memory;
    memory.actor = Actor.Device;
    memory.actorDetail = -1;
    memory.writing?.(at, 4);
    memory.i32[at >>> 2] = value;
    memory.actor = actor;
    memory.actorDetail = actorDetail;
    this.written(at, 4);
  }

  get low(): number {
    return this.words[0] ?? 0;
  }

  get high(): number {
    return this.words[1] ?? 0;
  }
}

/** Bits 51:12 of an entry as an address */
export const tableAddress = (low: number, high: number): number =>
  (high & 0xfffff) * TWO_32 + ((low & 0xfffff000) >>> 0);
