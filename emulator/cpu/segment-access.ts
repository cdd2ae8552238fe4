import { AccessRights } from '../arch/segments';
import { Access } from '../engine/host';
import type { Segment } from '../memory/layout';
import type { Processor } from './processor';

const CODE = 8;
/** Of data segments */
const EXPAND_DOWN = 4;
/** Writable data, readable code */
const READ_WRITE = 2;

/**
 * The type and limit checks of a memory reference outside 64-bit mode (SDM vol. 3, 5.3 to 5.5): true when it must raise
 * #GP or #SS.
 */
export function segmentFault(cpu: Processor, segment: Segment, offset: bigint, size: number, access: Access): boolean {
  const { state } = cpu;
  const limit = BigInt(state.segmentLimit(segment));
  const last = offset + BigInt(size - 1);
  if (cpu.realMode || cpu.virtual8086) return last > limit;
  const rights = state.segmentAccess(segment);
  if (rights & AccessRights.UNUSABLE) return true;
  const code = (rights & CODE) !== 0;
  if (access === Access.Write && (code || (rights & READ_WRITE) === 0)) return true;
  if (access === Access.Read && code && (rights & READ_WRITE) === 0) return true;
  if (!code && rights & EXPAND_DOWN) {
    const highest = rights & AccessRights.DEFAULT_BIG ? 0xffffffffn : 0xffffn;
    return offset <= limit || last > highest;
  }
  return last > limit;
}
