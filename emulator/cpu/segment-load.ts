import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment } from '../memory/layout';
import {
  errorOf,
  isCode,
  isConforming,
  isNull,
  isReadable,
  isWritableData,
  markAccessed,
  nullSegment,
  readDescriptor,
  registerOf,
  rplOf,
} from './descriptors';
import type { Processor } from './processor';
import type { SegmentRegister } from './state';

/** Access rights of a segment loaded in real or virtual-8086 mode: present, writable, accessed; DPL as given. */
const realRights = (dpl: number): number =>
  AccessRights.PRESENT | AccessRights.CODE_OR_DATA | (dpl << AccessRights.DPL_SHIFT) | 3;

/**
 * What MOV, POP and LDS and the like load into ES, SS, DS, FS or GS, with the checks of SDM vol. 2, "MOV-Move". Raises
 * #GP, #NP or #SS; changes nothing but the descriptor's accessed bit.
 */
export function checkedSegment(cpu: Processor, segment: Segment, selector: number): SegmentRegister {
  if (cpu.realMode || cpu.virtual8086) return realModeSegment(cpu, segment, selector);
  if (segment === Segment.SS) return checkedStackSegment(cpu, selector, cpu.cpl);
  if (isNull(selector)) return nullSegment(selector);
  const descriptor = readDescriptor(cpu, selector);
  const code = isCode(descriptor);
  const readable = descriptor.codeOrData && isReadable(descriptor);
  const privileged = code && isConforming(descriptor);
  if (!readable || (!privileged && (rplOf(selector) > descriptor.dpl || cpu.cpl > descriptor.dpl)))
    throw cpu.fault(Vector.GP, errorOf(selector));
  if (!descriptor.present) throw cpu.fault(Vector.NP, errorOf(selector));
  markAccessed(cpu, descriptor);
  return registerOf(descriptor);
}

/**
 * SS for a privilege level: of MOV SS (`vector` #GP), or of a far transfer that changes the level, where `vector` is
 * what a bad selector raises (#TS when it came from a TSS).
 */
export function checkedStackSegment(
  cpu: Processor,
  selector: number,
  level: number,
  vector: number = Vector.GP,
  external = 0,
): SegmentRegister {
  if (isNull(selector)) {
    // 64-bit code at CPL 0 to 2 may run with a null SS whose RPL is the CPL.
    if (cpu.codeSize === 64 && level !== 3 && rplOf(selector) === level) return nullSegment(selector, level);
    throw cpu.fault(vector, external);
  }
  const descriptor = readDescriptor(cpu, selector, vector, external);
  if (rplOf(selector) !== level || !isWritableData(descriptor) || descriptor.dpl !== level)
    throw cpu.fault(vector, errorOf(selector, external));
  if (!descriptor.present) throw cpu.fault(Vector.SS, errorOf(selector, external));
  markAccessed(cpu, descriptor);
  return registerOf(descriptor);
}

/** Real mode keeps limit and rights of the register (SDM vol. 3, 20.1.1); virtual-8086 mode sets its own. */
export function realModeSegment(cpu: Processor, segment: Segment, selector: number): SegmentRegister {
  const base = BigInt(selector) << 4n;
  if (cpu.virtual8086) return { selector, base, limit: 0xffff, access: realRights(3) };
  const { state } = cpu;
  const access = state.segmentAccess(segment);
  return {
    selector,
    base,
    limit: state.segmentLimit(segment),
    access: access & AccessRights.UNUSABLE ? realRights(0) : access,
  };
}

/** DS, ES, FS and GS after a return to an outer level: those it may not use become null (SDM vol. 2, "RET"). */
export function dropPrivilegedSegments(cpu: Processor, level: number): void {
  for (const segment of [Segment.ES, Segment.DS, Segment.FS, Segment.GS]) {
    const rights = cpu.state.segmentAccess(segment);
    if (rights & AccessRights.UNUSABLE) continue;
    const conformingCode = (rights & 0xc) === 0xc;
    const dpl = (rights >>> AccessRights.DPL_SHIFT) & 3;
    if (!conformingCode && dpl < level) cpu.state.setSegment(segment, nullSegment(0));
  }
}
