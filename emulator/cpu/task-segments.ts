import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment } from '../memory/layout';
import {
  errorOf,
  findDescriptor,
  isCode,
  isConforming,
  isNull,
  isReadable,
  markAccessed,
  nullSegment,
  readDescriptor,
  registerOf,
  rplOf,
} from './descriptors';
import type { Processor } from './processor';
import { checkedStackSegment, realModeSegment } from './segment-load';
import type { SegmentRegister } from './state';

const LDT = 2;
const LOCAL = 4;
const DATA_SEGMENTS = [Segment.DS, Segment.ES, Segment.FS, Segment.GS] as const;

/** A segment register between its selector and its descriptor: unusable, at the new task's privilege level */
export const reference = (selector: number, level: number): SegmentRegister => ({
  selector,
  access: AccessRights.UNUSABLE | (level << AccessRights.DPL_SHIFT),
  limit: 0,
  base: 0n,
});

/**
 * The last part of a task switch: LDTR, CS, SS and the data segments, with the checks of the new task, #TS for most of
 * what is wrong (SDM vol. 3, table 8-1). Registers hold the selectors already.
 */
export function loadTaskSegments(cpu: Processor, selectors: readonly number[], ldt: number, level: number): void {
  const { state } = cpu;
  loadLdt(cpu, ldt);
  const selectorOf = (segment: Segment): number => selectors[segment] ?? 0;
  if (cpu.virtual8086) {
    for (const segment of [Segment.CS, Segment.SS, ...DATA_SEGMENTS])
      state.setSegment(segment, realModeSegment(cpu, segment, selectorOf(segment)));
    return;
  }
  loadCode(cpu, selectorOf(Segment.CS), level);
  state.setSegment(Segment.SS, checkedStackSegment(cpu, selectorOf(Segment.SS), level, Vector.TS));
  for (const segment of DATA_SEGMENTS) state.setSegment(segment, dataSegment(cpu, selectorOf(segment), level));
}

function loadLdt(cpu: Processor, selector: number): void {
  if (isNull(selector)) {
    cpu.state.setSegment(Segment.LDTR, nullSegment(selector));
    return;
  }
  const descriptor = selector & LOCAL ? undefined : findDescriptor(cpu, selector);
  const valid = descriptor && !descriptor.codeOrData && descriptor.type === LDT && descriptor.present;
  if (!valid) throw cpu.fault(Vector.TS, errorOf(selector));
  const { access, limit, base } = descriptor;
  cpu.state.setSegment(Segment.LDTR, { selector, access, limit, base });
}

function loadCode(cpu: Processor, selector: number, level: number): void {
  const error = errorOf(selector);
  if (isNull(selector)) throw cpu.fault(Vector.TS, error);
  const code = readDescriptor(cpu, selector, Vector.TS);
  const allowed = isCode(code) && (isConforming(code) ? code.dpl <= level : code.dpl === level);
  if (!allowed) throw cpu.fault(Vector.TS, error);
  if (!code.present) throw cpu.fault(Vector.NP, error);
  markAccessed(cpu, code);
  cpu.state.setSegment(Segment.CS, registerOf(code, level));
}

function dataSegment(cpu: Processor, selector: number, level: number): SegmentRegister {
  if (isNull(selector)) return nullSegment(selector);
  const error = errorOf(selector);
  const descriptor = readDescriptor(cpu, selector, Vector.TS);
  const free = isCode(descriptor) && isConforming(descriptor);
  const readable = descriptor.codeOrData && isReadable(descriptor);
  const reachable = free || (descriptor.dpl >= level && descriptor.dpl >= rplOf(selector));
  if (!readable || !reachable) throw cpu.fault(Vector.TS, error);
  if (!descriptor.present) throw cpu.fault(Vector.NP, error);
  markAccessed(cpu, descriptor);
  return registerOf(descriptor);
}
