import { Cr0 } from '../arch/control-registers';
import { EptBit } from '../memory/ept-walker';
import { State } from '../memory/layout';
import { PagingContext } from '../memory/paging-context';
import { pdpteValid } from '../memory/walker';
import { raiseApicAccess, raiseEptFault } from './linear-memory';
import { ApicAccess, type Processor } from './processor';
import { eptFaultOf } from './translation';

const ENTRIES = 4;
const PAGE_BYTES = 4096;
const TABLE = 0xffffffe0n;

/**
 * See `Processor.loadPdptes`. The access is to a guest-physical address without a linear one, and a read even where
 * accesses to guest paging structures count as writes (SDM vol. 3, 29.3.5).
 */
export function loadPdptes(cpu: Processor, cr3: bigint): boolean {
  const { state, walker } = cpu;
  const eptp = state.get64(State.EPTP);
  const eptControls = state.get32(State.EPT_CONTROLS);
  const context = new PagingContext().set({ cr0: Cr0.PE, cr3, cr4: 0n, efer: 0n, eptp, eptControls });
  if (!walker.walkGuestPhysical(context, Number(cr3 & TABLE), EptBit.READ)) {
    throw raiseEptFault(cpu, {
      kind: eptFaultOf(walker.fault),
      convertible: walker.convertible,
      guestPhysical: BigInt(walker.guestPhysical),
      linear: undefined,
      qualification: BigInt(walker.qualification),
    });
  }
  const accessPage = cpu.virtualization.apic?.accessPage ?? -1;
  if (walker.hostPhysical - (walker.hostPhysical % PAGE_BYTES) === accessPage && context.eptInUse)
    throw raiseApicAccess(cpu, ApicAccess.PHYSICAL << 12, cpu.engine.instruction.length);
  const values: bigint[] = [];
  for (let i = 0; i < ENTRIES; i++) {
    walker.tables.load(walker.hostPhysical + i * 8, 8);
    const { low, high } = walker.tables;
    if (!pdpteValid(low, high)) return false;
    values.push((BigInt(high) << 32n) | BigInt(low));
  }
  values.forEach((value, i) => state.set64(State.PDPTE + i * 8, value));
  return true;
}
