import type { PageModificationLog } from '../memory/ept-walker';
import type { VmxCore } from './core';
import { Slot } from './vmcs';

const ENTRIES = 512;
const ENTRY_SIZE = 8n;

/** The page-modification log of the current VMCS: PML index and PML address (SDM vol. 3, 29.3.6). */
export class VmcsLog implements PageModificationLog {
  constructor(private readonly core: VmxCore) {}

  private get index(): number {
    return this.core.current().get32(Slot.PML_INDEX) & 0xffff;
  }

  get full(): boolean {
    return this.index >= ENTRIES;
  }

  /** The index counts down, from 0 to FFFFH. */
  append(guestPhysical: number): void {
    const { core, index } = this;
    const at = core.vmcs.get64(Slot.PML_ADDRESS) + BigInt(index) * ENTRY_SIZE;
    core.cpu.walker.tables.store(Number(at), BigInt(guestPhysical));
    core.vmcs.set32(Slot.PML_INDEX, (index - 1) & 0xffff);
  }
}
