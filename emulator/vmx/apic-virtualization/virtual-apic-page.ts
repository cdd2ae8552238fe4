import { hostPhysical } from '../../memory/address';
import { State } from '../../memory/layout';
import { pageOf } from '../../memory/machine-memory';
import type { Processor } from '../../cpu/processor';

/** Registers of the virtual-APIC page that the processor itself uses (SDM vol. 3, 30.1.1) */
export const VirtualRegister = {
  TPR: 0x80,
  PPR: 0xa0,
  EOI: 0xb0,
  ISR: 0x100,
  IRR: 0x200,
  ICR_LOW: 0x300,
  ICR_HIGH: 0x310,
  SELF_IPI: 0x3f0,
} as const;

const WORDS = 8;

/** Writes physical memory for the processor's own purposes; code that was decoded there is forgotten. */
export function storePhysical(cpu: Processor, address: bigint, size: number, value: bigint): void {
  cpu.physical.write(hostPhysical(address), size, value);
  const at = cpu.physical.hostOffset(hostPhysical(address));
  if (at >= 0 && cpu.engine.isCodePage(pageOf(at))) cpu.engine.codeWritten(at, size);
}

/** The virtual-APIC page of the running guest, at State.VIRTUAL_APIC_PAGE; nothing of it is kept elsewhere. */
export class VirtualApicPage {
  constructor(private readonly cpu: Processor) {}

  read(offset: number, size: number): bigint {
    return this.cpu.physical.read(hostPhysical(this.address(offset)), size);
  }

  write(offset: number, size: number, value: bigint): void {
    storePhysical(this.cpu, this.address(offset), size, value);
  }

  get32(offset: number): number {
    return Number(this.read(offset, 4));
  }

  set32(offset: number, value: number): void {
    this.write(offset, 4, BigInt(value >>> 0));
  }

  /** @param register VISR or VIRR: vector n is bit n mod 32 of the word at 16 times n div 32 */
  addVector(register: number, vector: number): void {
    const at = register + ((vector & 0xe0) >>> 1);
    this.set32(at, this.get32(at) | (1 << (vector & 31)));
  }

  removeVector(register: number, vector: number): void {
    const at = register + ((vector & 0xe0) >>> 1);
    this.set32(at, this.get32(at) & ~(1 << (vector & 31)));
  }

  /** The highest vector of VISR or VIRR; 0 when there is none */
  highestVector(register: number): number {
    for (let word = WORDS - 1; word >= 0; word--) {
      const value = this.get32(register + word * 16);
      if (value !== 0) return word * 32 + 31 - Math.clz32(value);
    }
    return 0;
  }

  private address(offset: number): bigint {
    return this.cpu.state.get64(State.VIRTUAL_APIC_PAGE) + BigInt(offset);
  }
}
