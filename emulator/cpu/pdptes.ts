import { Cr0 } from '../arch/control-registers';
import { State } from '../memory/layout';
import { PagingContext } from '../memory/paging-context';
import { pdpteValid, WalkFault } from '../memory/walker';
import { raiseEptFault } from './linear-memory';
import type { Processor } from './processor';

const ENTRIES = 4;
const TABLE = 0xffffffe0n;
/** Bits of EptBit */
const READ = 1;
const READ_WRITE = 3;

/** See `Processor.loadPdptes`. The access is to a guest-physical address without a linear one. */
export function loadPdptes(cpu: Processor, cr3: bigint): boolean {
  const { state, walker } = cpu;
  const context = new PagingContext().set({ cr0: Cr0.PE, cr3, cr4: 0n, efer: 0n, eptp: state.get64(State.EPTP) });
  if (!walker.walkGuestPhysical(context, Number(cr3 & TABLE), context.eptAccessedDirty ? READ_WRITE : READ)) {
    throw raiseEptFault(cpu, {
      misconfiguration: walker.fault === WalkFault.EptMisconfiguration,
      guestPhysical: BigInt(walker.guestPhysical),
      linear: undefined,
      qualification: BigInt(walker.qualification),
    });
  }
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
