import { Vector, exceptionRow } from '../arch/exceptions';
import { Rflags } from '../arch/flags';
import { InterruptionType, isSoftwareEvent } from '../arch/interruption';
import { Segment, State } from '../memory/layout';
import {
  errorOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isNull,
  nullSegment,
  readDescriptor,
  registerOf,
  type Descriptor,
} from './descriptors';
import { isCanonical } from './linear-memory';
import type { Processor } from './processor';
import { checkedStackSegment } from './segment-load';
import { StackPointer, stackWidth } from './stack-pointer';
import type { SegmentRegister } from './state';
import { innerStack, innerStack64, interruptStack } from './task-state';
import { Privilege } from './translation';

/** An exception, interrupt or INT n on its way through the IDT. */
export interface Event {
  readonly vector: number;
  /** VMCS interruption type (arch/interruption.ts) */
  readonly type: number;
  readonly errorCode: number | undefined;
  /** #DB: the bits for DR6 */
  readonly payload: bigint;
  /** Goes on the stack as the return address */
  readonly returnRip: bigint;
  /** By VM entry, which pushes RFLAGS as loaded (SDM vol. 3, 27.6.1.1) */
  readonly injected?: boolean;
}

const NMI_BLOCKING = 8;
const GATE_TASK = 5;
const GATE_INTERRUPT_16 = 6;
const GATE_TRAP_16 = 7;
const GATE_INTERRUPT = 14;
const GATE_TRAP = 15;
const IDT_ERROR = 2;
const RSP = 4;
/** DR6.BS: of the debug exceptions here, the only trap */
const SINGLE_STEP = 0x4000n;
/** Error codes report that the event came from outside the program (SDM vol. 3, 6.13). */
const EXTERNAL = 1;

/** INT n, INT3, INTO: the gate's DPL counts, and EXT stays clear in error codes. */
const bySoftware = (type: number): boolean =>
  type === InterruptionType.SOFTWARE_INTERRUPT || type === InterruptionType.SOFTWARE_EXCEPTION;

/**
 * Delivers an event through the IDT or, in real mode, the interrupt-vector table (SDM vol. 3, 6.12 to 6.14 and 20.1.4).
 * On success registers are those at the handler's first instruction and `cpu.nextRip` is its RIP. A fault during
 * delivery is thrown, with registers unchanged.
 */
export function deliverEvent(cpu: Processor, event: Event): void {
  beginDelivery(cpu, event.type);
  if (cpu.realMode) deliverInRealMode(cpu, event);
  else deliverThroughGate(cpu, event);
  cpu.contextChanged();
}

/**
 * What is so even when the delivery does not come to its end but to a VM exit (SDM vol. 3, 28.1): the shadow of STI or
 * MOV SS is over, and an NMI blocks further ones until IRET. Address-range monitoring ends too.
 */
function beginDelivery({ state }: Processor, type: number): void {
  const nmi = type === InterruptionType.NMI ? NMI_BLOCKING : state.get32(State.INTERRUPTIBILITY) & NMI_BLOCKING;
  state.set32(State.INTERRUPTIBILITY, nmi);
  state.set32(State.MONITOR_ARMED, 0);
}

function deliverInRealMode(cpu: Processor, { vector, returnRip }: Event): void {
  const { state } = cpu;
  if (vector * 4 + 3 > state.get32(State.IDTR + 8)) throw cpu.fault(Vector.GP, 0);
  const entry = cpu.linear.read(state.get64(State.IDTR) + BigInt(vector * 4), 4, Privilege.System);
  const stack = StackPointer.current(cpu);
  stack.reserve(6);
  stack.push(state.rflags, 2);
  stack.push(BigInt(state.segmentSelector(Segment.CS)), 2);
  stack.push(returnRip, 2);
  stack.commit();
  const selector = Number(entry >> 16n);
  state.setSegment(Segment.CS, { ...state.segment(Segment.CS), selector, base: BigInt(selector) << 4n });
  state.rflags = state.rflags & ~(Rflags.IF | Rflags.TF | Rflags.AC | Rflags.RF);
  cpu.nextRip = entry & 0xffffn;
}

interface Gate {
  readonly type: number;
  readonly selector: number;
  readonly offset: bigint;
  readonly interruptStack: number;
}

function deliverThroughGate(cpu: Processor, event: Event): void {
  const external = bySoftware(event.type) ? 0 : EXTERNAL;
  const gate = readGate(cpu, event, external);
  if (gate.type === GATE_TASK) {
    const { returnRip, errorCode } = event;
    cpu.taskSwitch({
      selector: gate.selector,
      source: 3,
      returnRip,
      flags: savedFlags(cpu, event),
      errorCode,
      external,
    });
    return;
  }
  if (isNull(gate.selector)) throw cpu.fault(Vector.GP, external);
  const code = readDescriptor(cpu, gate.selector, Vector.GP, external);
  const error = errorOf(gate.selector, external);
  if (!isCode(code) || code.dpl > cpu.cpl) throw cpu.fault(Vector.GP, error);
  if (cpu.longMode && (!isLong(code) || isBig(code))) throw cpu.fault(Vector.GP, error);
  if (!code.present) throw cpu.fault(Vector.NP, error);
  const level = isConforming(code) ? cpu.cpl : code.dpl;
  if (cpu.virtual8086 && level !== 0) throw cpu.fault(Vector.GP, error);
  if (cpu.longMode) enterLongMode(cpu, event, gate, code, level, external);
  else enterProtectedMode(cpu, event, gate, code, level, external);
}

function readGate(cpu: Processor, { vector, type }: Event, external: number): Gate {
  const { state } = cpu;
  const error = vector * 8 + IDT_ERROR + external;
  const size = cpu.longMode ? 16 : 8;
  if (vector * size + size - 1 > state.get32(State.IDTR + 8)) throw cpu.fault(Vector.GP, error);
  const at = state.get64(State.IDTR) + BigInt(vector * size);
  const low = cpu.linear.read(at, 8, Privilege.System);
  const high = cpu.longMode ? cpu.linear.read(at + 8n, 8, Privilege.System) : 0n;
  const rights = Number((low >> 40n) & 0xffn);
  const gateType = rights & 0x1f;
  const known = cpu.longMode
    ? gateType === GATE_INTERRUPT || gateType === GATE_TRAP
    : [GATE_TASK, GATE_INTERRUPT_16, GATE_TRAP_16, GATE_INTERRUPT, GATE_TRAP].includes(gateType);
  if (!known) throw cpu.fault(Vector.GP, error);
  if (bySoftware(type) && ((rights >>> 5) & 3) < cpu.cpl) throw cpu.fault(Vector.GP, error);
  if ((rights & 0x80) === 0) throw cpu.fault(Vector.NP, error);
  const selector = Number((low >> 16n) & 0xffffn);
  const wide = gateType >= GATE_INTERRUPT;
  return {
    type: gateType,
    selector,
    offset: (low & 0xffffn) | (wide ? (low >> 32n) & 0xffff0000n : 0n) | ((high & 0xffffffffn) << 32n),
    interruptStack: cpu.longMode ? Number((low >> 32n) & 7n) : 0,
  };
}

function enterLongMode(
  cpu: Processor,
  event: Event,
  gate: Gate,
  code: Descriptor,
  level: number,
  external: number,
): void {
  const { state } = cpu;
  if (!isCanonical(gate.offset)) throw cpu.fault(Vector.GP, external);
  const inner = level < cpu.cpl;
  let pointer = state.gpr(RSP);
  if (gate.interruptStack !== 0) pointer = interruptStack(cpu, gate.interruptStack, external);
  else if (inner) pointer = innerStack64(cpu, level, external);
  pointer &= ~0xfn;
  const stackSegment = inner ? nullSegment(level, level) : state.segment(Segment.SS);
  const privilege = level === 3 ? Privilege.User : Privilege.System;
  const stack = new StackPointer(cpu, stackSegment, 64, pointer, privilege, external);
  stack.reserve(event.errorCode === undefined ? 40 : 48);
  stack.push(BigInt(state.segmentSelector(Segment.SS)), 8);
  stack.push(state.gpr(RSP), 8);
  stack.push(savedFlags(cpu, event), 8);
  stack.push(BigInt(state.segmentSelector(Segment.CS)), 8);
  stack.push(event.returnRip, 8);
  if (event.errorCode !== undefined) stack.push(BigInt(event.errorCode), 8);
  if (inner) state.setSegment(Segment.SS, stackSegment);
  state.setGpr(RSP, stack.value);
  finish(cpu, gate, code, level);
}

function enterProtectedMode(
  cpu: Processor,
  event: Event,
  gate: Gate,
  code: Descriptor,
  level: number,
  external: number,
): void {
  const { state } = cpu;
  const size = gate.type >= GATE_INTERRUPT ? 4 : 2;
  if (gate.offset > BigInt(code.limit)) throw cpu.fault(Vector.GP, external);
  const inner = level < cpu.cpl;
  const fromVirtual = cpu.virtual8086;
  let segment: SegmentRegister = state.segment(Segment.SS);
  let pointer = state.gpr(RSP);
  if (inner) {
    const { selector, pointer: top } = innerStack(cpu, level, external);
    segment = checkedStackSegment(cpu, selector, level, Vector.TS, external);
    pointer = top;
  }
  const privilege = level === 3 ? Privilege.User : Privilege.System;
  const error = inner ? errorOf(segment.selector, external) : external;
  const stack = new StackPointer(cpu, segment, stackWidth(cpu, segment), pointer, privilege, error);
  const words = 3 + (inner ? 2 : 0) + (fromVirtual ? 4 : 0) + (event.errorCode === undefined ? 0 : 1);
  stack.reserve(words * size);
  if (fromVirtual)
    for (const data of [Segment.GS, Segment.FS, Segment.DS, Segment.ES])
      stack.push(BigInt(state.segmentSelector(data)), size);
  if (inner) {
    stack.push(BigInt(state.segmentSelector(Segment.SS)), size);
    stack.push(state.gpr(RSP), size);
  }
  stack.push(savedFlags(cpu, event), size);
  stack.push(BigInt(state.segmentSelector(Segment.CS)), size);
  stack.push(event.returnRip, size);
  if (event.errorCode !== undefined) stack.push(BigInt(event.errorCode), size);
  if (fromVirtual)
    for (const data of [Segment.GS, Segment.FS, Segment.DS, Segment.ES]) state.setSegment(data, nullSegment(0));
  if (inner) state.setSegment(Segment.SS, segment);
  stack.commit();
  finish(cpu, gate, code, level);
}

/**
 * RFLAGS as pushed: RF is set for faults, so that the restarted instruction meets no breakpoint, and clear for INT n,
 * INT1, INT3 and INTO, which clear it themselves (SDM vol. 3, 17.3.1.1).
 */
function savedFlags(cpu: Processor, { type, vector, payload, injected }: Event): bigint {
  const { rflags } = cpu.state;
  if (injected) return rflags;
  if (isSoftwareEvent(type)) return rflags & ~Rflags.RF;
  if (type !== Number(InterruptionType.HARDWARE_EXCEPTION)) return rflags;
  const fault = vector === Vector.DB ? (payload & SINGLE_STEP) === 0n : exceptionRow(vector)?.kind === 'fault';
  return fault ? rflags | Rflags.RF : rflags;
}

function finish(cpu: Processor, gate: Gate, code: Descriptor, level: number): void {
  const { state } = cpu;
  const interrupt = gate.type === GATE_INTERRUPT || gate.type === GATE_INTERRUPT_16;
  const cleared = Rflags.TF | Rflags.NT | Rflags.VM | Rflags.RF | (interrupt ? Rflags.IF : 0n);
  state.rflags = state.rflags & ~cleared;
  state.setSegment(Segment.CS, registerOf(code, level));
  cpu.nextRip = gate.offset;
}
