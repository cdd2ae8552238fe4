import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import { targetOf } from '../memory/access';
import { hex } from '../memory/reference';
import { userError } from '../session/errors';
import type { MemoryPlace } from './place';

/**
 * The last entry that decides where an address leads: 'paging' of a linear address, 'ept' of a guest-physical one. Throws
 * RequestError when no entry does.
 */
export function entryPlace(
  table: 'paging' | 'ept',
  written: string,
  debuggee: Debuggee,
  fallback: Context,
): MemoryPlace {
  const { machine } = debuggee;
  const { reference, context, space } = targetOf(written, machine, fallback);
  const kind = table === 'ept' ? 'guest-physical' : 'linear';
  const { steps, failure } = machine.walk({ ...space, kind }, reference.address);
  const step = steps.findLast((candidate) => candidate.table === table);
  const layer = debuggee.layers.nameOf(context);
  if (!step)
    throw userError(
      `no ${table === 'ept' ? 'EPT' : 'page-table'} entry maps ${hex(reference.address)} in ${layer}: ${failure ?? 'it does not use such tables'}`,
    );
  // Entries of a 32-bit page table have 4 bytes.
  const pae = (space.cr4 & 0x20n) !== 0n;
  const length = table === 'ept' || pae ? 8 : 4;
  const address = table === 'ept' ? step.entryAddress : hostAddress(step.entryAddress);
  const name = `${step.name} for ${hex(reference.address)}`;
  return { kind: 'memory', name, space: 'host-physical', context: undefined, address, length };

  /** Table entries of a guest lie at guest-physical addresses. */
  function hostAddress(entry: bigint): bigint {
    if (space.eptp === 0n) return entry;
    return machine.walk({ ...space, kind: 'guest-physical' }, entry).hostPhysical ?? entry;
  }
}
