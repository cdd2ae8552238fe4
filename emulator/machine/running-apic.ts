import type { LocalApic } from '../devices/local-apic';
import type { HostPhysicalAddress } from '../memory/address';
import type { MmioRange } from '../memory/bus';

/** The register page of the local APICs: each processor sees its own, where its IA32_APIC_BASE says (SDM vol. 3, 12.4.1). */
export class RunningApic implements MmioRange {
  readonly name = 'local APIC';

  /** @param running the local APIC of the vCPU that runs */
  constructor(private readonly running: () => LocalApic) {}

  get base(): HostPhysicalAddress {
    return this.running().base;
  }

  get size(): bigint {
    return this.running().size;
  }

  read(offset: bigint, size: number): bigint {
    return this.running().read(offset, size);
  }

  write(offset: bigint, size: number, value: bigint): void {
    this.running().write(offset, size, value);
  }
}
