import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment, State } from '../memory/layout';
import { Privilege } from './translation';
import type { Processor } from './processor';
import type { SegmentRegister } from './state';

/** A descriptor as read from the GDT or LDT (SDM vol. 3, 3.4.5). */
export interface Descriptor {
  readonly selector: number;
  /** Linear address of the descriptor itself */
  readonly at: bigint;
  readonly raw: bigint;
  /** In VMCS format */
  readonly access: number;
  readonly type: number;
  /** Code or data, as opposed to system */
  readonly codeOrData: boolean;
  readonly dpl: number;
  readonly present: boolean;
  readonly base: bigint;
  /** In bytes */
  readonly limit: number;
}

const SELECTOR_INDEX = 0xfff8;
const LOCAL = 4;
/** TI and index: what an error code keeps of a selector */
const ERROR_SELECTOR = 0xfffc;

export const isNull = (selector: number): boolean => (selector & ERROR_SELECTOR) === 0;
export const rplOf = (selector: number): number => selector & 3;
export const errorOf = (selector: number, external = 0): number => (selector & ERROR_SELECTOR) | external;

/**
 * Reads the descriptor of a selector that is not null; undefined when it lies beyond its table's limit. May raise the
 * faults of the memory access.
 */
export function findDescriptor(cpu: Processor, selector: number): Descriptor | undefined {
  const { state } = cpu;
  const offset = selector & SELECTOR_INDEX;
  let base = state.get64(State.GDTR);
  let limit = state.get32(State.GDTR + 8) & 0xffff;
  if (selector & LOCAL) {
    if (state.segmentAccess(Segment.LDTR) & AccessRights.UNUSABLE) return undefined;
    base = state.segmentBase(Segment.LDTR);
    limit = state.segmentLimit(Segment.LDTR);
  }
  if (offset + 7 > limit) return undefined;
  const at = wrap(cpu, base + BigInt(offset));
  return parse(selector, at, cpu.linear.read(at, 8, Privilege.System));
}

/** `findDescriptor`, raising `vector`(selector) beyond the limit. */
export function readDescriptor(cpu: Processor, selector: number, vector: number = Vector.GP, external = 0): Descriptor {
  const descriptor = findDescriptor(cpu, selector);
  if (!descriptor) throw cpu.fault(vector, errorOf(selector, external));
  return descriptor;
}

/**
 * The upper 8 bytes of a system descriptor in IA-32e mode (SDM vol. 3, 3.5.2 and 5.8.3.1). Raises #GP(selector) when they
 * lie beyond the limit or their type field is not 0.
 */
export function upperHalf(cpu: Processor, { selector, at }: Descriptor): bigint {
  const { state } = cpu;
  const limit = selector & LOCAL ? state.segmentLimit(Segment.LDTR) : state.get32(State.GDTR + 8) & 0xffff;
  if ((selector & SELECTOR_INDEX) + 15 > limit) throw cpu.fault(Vector.GP, errorOf(selector));
  const high = cpu.linear.read(wrap(cpu, at + 8n), 8, Privilege.System);
  if (((high >> 40n) & 0x1fn) !== 0n) throw cpu.fault(Vector.GP, errorOf(selector));
  return high;
}

/** The base of an LDT or TSS descriptor: in IA-32e mode 64 bits, and #GP(selector) when it is not canonical. */
export function systemBase(cpu: Processor, descriptor: Descriptor): bigint {
  if (!cpu.longMode) return descriptor.base;
  const base = descriptor.base | ((upperHalf(cpu, descriptor) & 0xffffffffn) << 32n);
  if (BigInt.asIntN(48, base) !== BigInt.asIntN(64, base)) throw cpu.fault(Vector.GP, errorOf(descriptor.selector));
  return base;
}

export function parse(selector: number, at: bigint, raw: bigint): Descriptor {
  const access = Number((raw >> 40n) & 0xf0ffn);
  const pages = (access & AccessRights.GRANULARITY) !== 0;
  const limit = Number((raw & 0xffffn) | ((raw >> 32n) & 0xf0000n));
  return {
    selector,
    at,
    raw,
    access,
    type: access & AccessRights.TYPE,
    codeOrData: (access & AccessRights.CODE_OR_DATA) !== 0,
    dpl: (access >>> AccessRights.DPL_SHIFT) & 3,
    present: (access & AccessRights.PRESENT) !== 0,
    base: ((raw >> 16n) & 0xffffffn) | ((raw >> 32n) & 0xff000000n),
    limit: pages ? ((limit << 12) | 0xfff) >>> 0 : limit,
  };
}

/** Sets the accessed bit of a code or data descriptor in its table, if it is clear. */
export function markAccessed(cpu: Processor, descriptor: Descriptor): void {
  if ((descriptor.type & 1) !== 0) return;
  const at = descriptor.at + 5n;
  cpu.linear.write(at, 1, ((descriptor.raw >> 40n) & 0xffn) | 1n, Privilege.System);
}

/** The segment register that a code or data descriptor loads. */
export function registerOf(descriptor: Descriptor, rpl: number = rplOf(descriptor.selector)): SegmentRegister {
  return {
    selector: (descriptor.selector & ERROR_SELECTOR) | rpl,
    access: descriptor.access | 1,
    limit: descriptor.limit,
    base: descriptor.base,
  };
}

/** A segment register after loading a null selector: unusable. */
export const nullSegment = (selector: number, dpl = 0): SegmentRegister => ({
  selector,
  access: AccessRights.UNUSABLE | (dpl << AccessRights.DPL_SHIFT),
  limit: 0,
  base: 0n,
});

export const isCode = (d: Descriptor): boolean => d.codeOrData && (d.type & 8) !== 0;
export const isConforming = (d: Descriptor): boolean => (d.type & 4) !== 0;
export const isReadable = (d: Descriptor): boolean => (d.type & 10) !== 8;
export const isWritableData = (d: Descriptor): boolean => d.codeOrData && (d.type & 10) === 2;
/** L of a code descriptor, which only IA-32e mode knows */
export const isLong = (d: Descriptor): boolean => (d.access & AccessRights.LONG) !== 0;
export const isBig = (d: Descriptor): boolean => (d.access & AccessRights.DEFAULT_BIG) !== 0;

function wrap(cpu: Processor, linear: bigint): bigint {
  return cpu.longMode ? BigInt.asUintN(64, linear) : linear & 0xffffffffn;
}
