import { Vector } from '../arch/exceptions';
import { AccessRights } from '../arch/segments';
import { Segment } from '../memory/layout';
import {
  errorOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isNull,
  markAccessed,
  nullSegment,
  readDescriptor,
  registerOf,
  rplOf,
  upperHalf,
  type Descriptor,
} from './descriptors';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';
import { checkedStackSegment } from './segment-load';
import { StackPointer, stackWidth } from './stack-pointer';
import type { SegmentRegister } from './state';
import { innerStack, innerStack64 } from './task-state';
import { Privilege } from './translation';

const CALL_GATE_16 = 4;
const TASK_GATE = 5;
const CALL_GATE = 12;
const TSS_AVAILABLE_16 = 1;
const TSS_AVAILABLE = 9;
const RSP = 4;

const hasRealSegments = (cpu: Processor): boolean => cpu.realMode || cpu.virtual8086;

/** CS in real or virtual-8086 mode */
function realCode(cpu: Processor, selector: number): SegmentRegister {
  return { ...cpu.state.segment(Segment.CS), selector, base: BigInt(selector) << 4n };
}

/** Raises #GP(0) when RIP would leave the code segment, or is not canonical in 64-bit mode. */
function checkTarget(cpu: Processor, rip: bigint, limit: number, long: boolean): void {
  if (long ? !isCanonical(rip) : rip > BigInt(limit)) throw cpu.fault(Vector.GP, 0);
}

const entersLong = (cpu: Processor, code: Descriptor): boolean => cpu.longMode && isLong(code);

/** Checks of a code segment reached directly by JMP, CALL (SDM vol. 2, "JMP": conforming and non-conforming). */
function directTarget(cpu: Processor, selector: number, code: Descriptor): void {
  const error = errorOf(selector);
  if (cpu.longMode && isLong(code) && isBig(code)) throw cpu.fault(Vector.GP, error);
  const allowed = isConforming(code) ? code.dpl <= cpu.cpl : rplOf(selector) <= cpu.cpl && code.dpl === cpu.cpl;
  if (!allowed) throw cpu.fault(Vector.GP, error);
  if (!code.present) throw cpu.fault(Vector.NP, error);
}

function notNull(cpu: Processor, selector: number): void {
  if (isNull(selector)) throw cpu.fault(Vector.GP, 0);
}

interface CallGate {
  readonly code: Descriptor;
  readonly offset: bigint;
  /** Bytes pushed per word */
  readonly size: 2 | 4 | 8;
  readonly parameters: number;
}

/**
 * Follows a call gate, or raises; undefined after the task switch that a TSS or a task gate asks for (SDM vol. 3, 5.8.3,
 * 5.8.4 and 8.3).
 */
function throughGate(cpu: Processor, selector: number, gate: Descriptor, source: 0 | 2): CallGate | undefined {
  const error = errorOf(selector);
  const type = gate.codeOrData ? -1 : gate.type;
  const task = type === TASK_GATE || type === TSS_AVAILABLE || type === TSS_AVAILABLE_16;
  const known = type === CALL_GATE || (!cpu.longMode && (type === CALL_GATE_16 || task));
  if (!known || gate.dpl < cpu.cpl || rplOf(selector) > gate.dpl) throw cpu.fault(Vector.GP, error);
  if (!gate.present) throw cpu.fault(Vector.NP, error);
  if (task) {
    const target = type === TASK_GATE ? Number((gate.raw >> 16n) & 0xffffn) : selector;
    cpu.taskSwitch({ selector: target, source, returnRip: cpu.nextRip, flags: cpu.state.rflags, external: 0 });
    return undefined;
  }
  let offset = gate.raw & 0xffffn;
  if (type === CALL_GATE) offset |= (gate.raw >> 32n) & 0xffff0000n;
  if (cpu.longMode) offset |= (upperHalf(cpu, gate) & 0xffffffffn) << 32n;
  const target = Number((gate.raw >> 16n) & 0xffffn);
  notNull(cpu, target);
  const code = readDescriptor(cpu, target);
  if (!isCode(code) || code.dpl > cpu.cpl || (cpu.longMode && (!isLong(code) || isBig(code))))
    throw cpu.fault(Vector.GP, errorOf(target));
  if (!code.present) throw cpu.fault(Vector.NP, errorOf(target));
  const size = cpu.longMode ? 8 : type === CALL_GATE ? 4 : 2;
  return { code, offset, size, parameters: Number((gate.raw >> 32n) & 0x1fn) };
}

function loadCode(cpu: Processor, code: Descriptor, level: number, rip: bigint): void {
  markAccessed(cpu, code);
  cpu.state.setSegment(Segment.CS, registerOf(code, level));
  cpu.nextRip = rip;
}

/** JMP far. */
export function jumpFar(cpu: Processor, selector: number, offset: bigint): void {
  if (hasRealSegments(cpu)) {
    checkTarget(cpu, offset, cpu.state.segmentLimit(Segment.CS), false);
    cpu.state.setSegment(Segment.CS, realCode(cpu, selector));
    cpu.nextRip = offset;
  } else {
    notNull(cpu, selector);
    const descriptor = readDescriptor(cpu, selector);
    if (isCode(descriptor)) {
      directTarget(cpu, selector, descriptor);
      checkTarget(cpu, offset, descriptor.limit, entersLong(cpu, descriptor));
      loadCode(cpu, descriptor, cpu.cpl, offset);
    } else {
      const gate = throughGate(cpu, selector, descriptor, 2);
      if (!gate) return;
      const { code, offset: rip } = gate;
      if (!isConforming(code) && code.dpl !== cpu.cpl) throw cpu.fault(Vector.GP, errorOf(code.selector));
      checkTarget(cpu, rip, code.limit, entersLong(cpu, code));
      loadCode(cpu, code, cpu.cpl, rip);
    }
  }
  cpu.contextChanged();
}

/** CALL far; `size` is the operand size in bytes. */
export function callFar(cpu: Processor, selector: number, offset: bigint, size: 2 | 4 | 8): void {
  const { state } = cpu;
  if (hasRealSegments(cpu)) {
    checkTarget(cpu, offset, state.segmentLimit(Segment.CS), false);
    pushReturn(cpu, size);
    state.setSegment(Segment.CS, realCode(cpu, selector));
    cpu.nextRip = offset;
  } else {
    notNull(cpu, selector);
    const descriptor = readDescriptor(cpu, selector);
    if (isCode(descriptor)) {
      directTarget(cpu, selector, descriptor);
      checkTarget(cpu, offset, descriptor.limit, entersLong(cpu, descriptor));
      pushReturn(cpu, size);
      loadCode(cpu, descriptor, cpu.cpl, offset);
    } else {
      const gate = throughGate(cpu, selector, descriptor, 0);
      if (!gate) return;
      checkTarget(cpu, gate.offset, gate.code.limit, entersLong(cpu, gate.code));
      if (!isConforming(gate.code) && gate.code.dpl < cpu.cpl) callInner(cpu, gate);
      else {
        pushReturn(cpu, gate.size);
        loadCode(cpu, gate.code, cpu.cpl, gate.offset);
      }
    }
  }
  cpu.contextChanged();
}

function pushReturn(cpu: Processor, size: 2 | 4 | 8): void {
  const stack = StackPointer.current(cpu);
  stack.reserve(size * 2);
  stack.push(BigInt(cpu.state.segmentSelector(Segment.CS)), size);
  stack.push(cpu.nextRip, size);
  stack.commit();
}

/** A call through a gate to a more privileged level: stack switch by the TSS (SDM vol. 3, 5.8.5). */
function callInner(cpu: Processor, { code, offset, size, parameters }: CallGate): void {
  const { state } = cpu;
  const level = code.dpl;
  let segment: SegmentRegister;
  let pointer: bigint;
  if (cpu.longMode) {
    segment = nullSegment(level, level);
    pointer = innerStack64(cpu, level);
  } else {
    const inner = innerStack(cpu, level);
    segment = checkedStackSegment(cpu, inner.selector, level, Vector.TS);
    ({ pointer } = inner);
  }
  const width = cpu.longMode ? 64 : stackWidth(cpu, segment);
  const stack = new StackPointer(cpu, segment, width, pointer, Privilege.System, errorOf(segment.selector));
  const count = cpu.longMode ? 0 : parameters;
  stack.reserve((4 + count) * size);
  const outer = StackPointer.current(cpu);
  stack.push(BigInt(state.segmentSelector(Segment.SS)), size);
  stack.push(state.gpr(RSP), size);
  for (let i = count - 1; i >= 0; i--) stack.push(outer.peek(i * size, size), size);
  stack.push(BigInt(state.segmentSelector(Segment.CS)), size);
  stack.push(cpu.nextRip, size);
  state.setSegment(Segment.SS, segment);
  stack.commit();
  loadCode(cpu, code, level, offset);
}

/**
 * The code segment that RET far or IRET returns to (SDM vol. 2, "RET"): raises #GP, #NP; changes nothing. The new
 * privilege level is the selector's RPL.
 */
export function returnTarget(cpu: Processor, selector: number, rip: bigint): Descriptor {
  notNull(cpu, selector);
  const code = readDescriptor(cpu, selector);
  const error = errorOf(selector);
  const rpl = rplOf(selector);
  const allowed = isCode(code) && rpl >= cpu.cpl && (isConforming(code) ? code.dpl <= rpl : code.dpl === rpl);
  if (!allowed || (cpu.longMode && isLong(code) && isBig(code))) throw cpu.fault(Vector.GP, error);
  if (!code.present) throw cpu.fault(Vector.NP, error);
  checkTarget(cpu, rip, code.limit, entersLong(cpu, code));
  return code;
}

/** SS for a return to an outer level: a null selector is legal only for 64-bit code below CPL 3. */
export function returnStack(cpu: Processor, selector: number, code: Descriptor, level: number): SegmentRegister {
  if (isNull(selector)) {
    if (entersLong(cpu, code) && level !== 3 && rplOf(selector) === level) return nullSegment(selector, level);
    throw cpu.fault(Vector.GP, 0);
  }
  return checkedStackSegment(cpu, selector, level);
}

/** Loads CS, SS and the stack pointer of an outer level. */
export function enterOuter(
  cpu: Processor,
  code: Descriptor,
  rip: bigint,
  stack: SegmentRegister,
  pointer: bigint,
): void {
  const { state } = cpu;
  const level = rplOf(code.selector);
  loadCode(cpu, code, level, rip);
  // The stack's DPL is the privilege level from here on, also for a null SS.
  const access = (stack.access & ~(3 << AccessRights.DPL_SHIFT)) | (level << AccessRights.DPL_SHIFT);
  state.setSegment(Segment.SS, { ...stack, access });
  const wide = entersLong(cpu, code) || (stack.access & AccessRights.DEFAULT_BIG) !== 0;
  state.setGpr(RSP, wide ? pointer : (state.gpr(RSP) & ~0xffffn) | (pointer & 0xffffn));
}

/** Sets CS for a return without a change of level. */
export const enterSame = (cpu: Processor, code: Descriptor, rip: bigint): void => loadCode(cpu, code, cpu.cpl, rip);

export function returnInRealMode(cpu: Processor, selector: number, rip: bigint): void {
  checkTarget(cpu, rip, cpu.state.segmentLimit(Segment.CS), false);
  cpu.state.setSegment(Segment.CS, realCode(cpu, selector));
  cpu.nextRip = rip;
}
