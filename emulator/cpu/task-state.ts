import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment } from '../memory/layout';
import { errorOf } from './descriptors';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';
import { Privilege } from './translation';

/** TR's type with bit 3 set: a 32-bit or 64-bit TSS, otherwise 16-bit (SDM vol. 3, table 3-2) */
const TSS_32 = 8;

/** The stack that the TSS holds for a privilege level below 3. */
export interface InnerStack {
  readonly selector: number;
  readonly pointer: bigint;
}

/** Reads SSn:ESPn (or SPn) of a 16-bit or 32-bit TSS; raises #TS(TR) beyond its limit. SDM vol. 3, 8.2.1 and 8.6. */
export function innerStack(cpu: Processor, level: number, external = 0): InnerStack {
  const wide = (cpu.state.segmentAccess(Segment.TR) & TSS_32) !== 0;
  const offset = wide ? 4 + level * 8 : 2 + level * 4;
  const size = wide ? 4 : 2;
  const pointer = readTask(cpu, offset, size, external);
  return { selector: Number(readTask(cpu, offset + size, 2, external)), pointer };
}

/** Reads RSPn of the 64-bit TSS; raises #TS beyond its limit, #SS when it is not canonical. SDM vol. 3, 8.7. */
export const innerStack64 = (cpu: Processor, level: number, external = 0): bigint =>
  canonicalStack(cpu, 4 + level * 8, external);

/** Reads ISTn, n 1 to 7. */
export const interruptStack = (cpu: Processor, index: number, external = 0): bigint =>
  canonicalStack(cpu, 0x24 + (index - 1) * 8, external);

/** Whether the TSS's I/O permission bitmap allows an access of `size` ports from `port` (SDM vol. 1, 19.5.2). */
export function portPermitted(cpu: Processor, port: number, size: number): boolean {
  const { state } = cpu;
  const access = state.segmentAccess(Segment.TR);
  if (access & AccessRights.UNUSABLE || (access & TSS_32) === 0) return false;
  const limit = state.segmentLimit(Segment.TR);
  if (limit < 103) return false;
  const base = state.segmentBase(Segment.TR);
  const at = Number(cpu.linear.read(base + 102n, 2, Privilege.System)) + (port >>> 3);
  if (at + 1 > limit) return false;
  const bits = Number(cpu.linear.read(base + BigInt(at), 2, Privilege.System));
  return ((bits >>> (port & 7)) & ((1 << size) - 1)) === 0;
}

function canonicalStack(cpu: Processor, offset: number, external: number): bigint {
  const pointer = readTask(cpu, offset, 8, external);
  if (!isCanonical(pointer)) throw cpu.fault(Vector.SS, external);
  return pointer;
}

function readTask(cpu: Processor, offset: number, size: number, external: number): bigint {
  const { state } = cpu;
  if (offset + size - 1 > state.segmentLimit(Segment.TR))
    throw cpu.fault(Vector.TS, errorOf(state.segmentSelector(Segment.TR), external));
  return cpu.linear.read(state.segmentBase(Segment.TR) + BigInt(offset), size, Privilege.System);
}
