import { Vector } from '../../arch/exceptions';
import { Rflags } from '../../arch/flags';
import { InterruptionType } from '../../arch/interruption';
import { linear } from '../../memory/address';
import { Segment, State } from '../../memory/layout';
import { rplOf } from '../descriptors';
import { deliverEvent } from '../event-delivery';
import { enterOuter, enterSame, returnInRealMode, returnStack, returnTarget } from '../far-transfer';
import type { Instruction } from '../../isa/instruction';
import { ExitKind, type Helper, type HelperTable, type Processor } from '../processor';
import { dropPrivilegedSegments, realModeSegment } from '../segment-load';
import { StackPointer } from '../stack-pointer';
import { sizeBytes } from './operands';

const NMI_BLOCKING = 8;
const RSP = 4;

/** Delivers an event that the instruction itself asks for; a fault in doing so is the instruction's. */
function deliver(cpu: Processor, insn: Instruction, vector: number, type: number): void {
  const { virtualization } = cpu;
  const software = type === InterruptionType.SOFTWARE_INTERRUPT;
  if (virtualization.nonRoot) {
    const taken = !software && virtualization.exception(vector, undefined, 0n, type, insn.length) === ExitKind.Taken;
    if (taken) throw cpu.exitTaken();
    virtualization.beginDelivery(vector, type, undefined, insn.length);
  }
  deliverEvent(cpu, { vector, type, errorCode: undefined, payload: 0n, returnRip: cpu.nextRip });
  virtualization.endDelivery();
  if (!software) cpu.taps.exception?.(vector, undefined, linear(0n), cpu.index);
}

const intN: Helper = (cpu, insn) => {
  if (cpu.virtual8086 && (cpu.state.rflags & Rflags.IOPL) !== Rflags.IOPL) throw cpu.fault(Vector.GP, 0);
  deliver(cpu, insn, Number(insn.immediate & 0xffn), InterruptionType.SOFTWARE_INTERRUPT);
};

const int3: Helper = (cpu, insn) => deliver(cpu, insn, Vector.BP, InterruptionType.SOFTWARE_EXCEPTION);
const int1: Helper = (cpu, insn) => deliver(cpu, insn, Vector.DB, InterruptionType.PRIVILEGED_SOFTWARE_EXCEPTION);

const into: Helper = (cpu, insn) => {
  if (cpu.state.rflags & Rflags.OF) deliver(cpu, insn, Vector.OF, InterruptionType.SOFTWARE_EXCEPTION);
};

/** Flags that IRET restores, by privilege (SDM vol. 2, IRET). */
function restoredFlags(cpu: Processor, image: bigint, size: 2 | 4 | 8, level: number): bigint {
  const old = cpu.state.rflags;
  let mask = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.TF | Rflags.DF | Rflags.OF | Rflags.NT;
  if (size > 2) mask |= Rflags.RF | Rflags.AC | Rflags.ID;
  if (level === 0) mask |= Rflags.IOPL | (size > 2 ? Rflags.VIF | Rflags.VIP : 0n);
  if (BigInt(level) <= (old & Rflags.IOPL) >> 12n) mask |= Rflags.IF;
  return (old & ~mask) | (image & mask);
}

/**
 * IRET ends the blocking of NMIs, also when it faults, unless VT-x keeps a virtual one (SDM vol. 3, 6.7.1 and 26.3).
 */
function unblockNmi(cpu: Processor): void {
  if (cpu.virtualization.nonRoot && cpu.virtualization.iretUnblocksNmi()) return;
  cpu.state.set32(State.INTERRUPTIBILITY, cpu.state.get32(State.INTERRUPTIBILITY) & ~NMI_BLOCKING);
}

const iret: Helper = (cpu, insn) => {
  const { state } = cpu;
  unblockNmi(cpu);
  const size = sizeBytes(insn);
  const level = cpu.cpl;
  if (cpu.virtual8086 && (state.rflags & Rflags.IOPL) !== Rflags.IOPL) throw cpu.fault(Vector.GP, 0);
  const nested = !cpu.realMode && !cpu.virtual8086 && (state.rflags & Rflags.NT) !== 0n;
  if (nested) {
    if (cpu.longMode) throw cpu.fault(Vector.GP, 0);
    const selector = previousTask(cpu);
    cpu.taskSwitch({ selector, source: 1, returnRip: cpu.nextRip, flags: state.rflags, external: 0 });
    return;
  }
  const stack = StackPointer.current(cpu);
  const rip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  const image = stack.pop(size);
  if (cpu.realMode || cpu.virtual8086) {
    returnInRealMode(cpu, selector, rip);
    const kept = cpu.virtual8086 ? Rflags.IOPL : 0n;
    const flags = restoredFlags(cpu, image, size, cpu.virtual8086 ? 3 : 0);
    state.rflags = kept ? (flags & ~kept) | (state.rflags & kept) : flags;
    stack.commit();
  } else if (size === 4 && image & Rflags.VM && level === 0 && !cpu.longMode) {
    returnToVirtual8086(cpu, stack, rip, selector, image);
  } else returnProtected(cpu, stack, rip, selector, image, size);
  cpu.contextChanged();
};

function returnProtected(
  cpu: Processor,
  stack: StackPointer,
  rip: bigint,
  selector: number,
  image: bigint,
  size: 2 | 4 | 8,
): void {
  const { state } = cpu;
  const code = returnTarget(cpu, selector, rip);
  const level = rplOf(selector);
  const flags = restoredFlags(cpu, image, size, cpu.cpl);
  // In 64-bit mode SS:RSP are popped always (SDM vol. 2, IRET).
  if (level === cpu.cpl && cpu.codeSize !== 64) {
    enterSame(cpu, code, rip);
    stack.commit();
  } else {
    const outer = level !== cpu.cpl;
    const pointer = stack.pop(size);
    const segment = returnStack(cpu, Number(stack.pop(size) & 0xffffn), code, level);
    enterOuter(cpu, code, rip, segment, pointer);
    if (outer) dropPrivilegedSegments(cpu, level);
  }
  state.rflags = flags & ~Rflags.VM;
}

function returnToVirtual8086(cpu: Processor, stack: StackPointer, rip: bigint, selector: number, image: bigint): void {
  const { state } = cpu;
  const pointer = stack.pop(4);
  const selectors = new Map<Segment, number>();
  for (const segment of [Segment.SS, Segment.ES, Segment.DS, Segment.FS, Segment.GS])
    selectors.set(segment, Number(stack.pop(4) & 0xffffn));
  if (rip > 0xffffn) throw cpu.fault(Vector.GP, 0);
  state.rflags = image;
  for (const [segment, value] of selectors) state.setSegment(segment, realModeSegment(cpu, segment, value));
  state.setSegment(Segment.CS, realModeSegment(cpu, Segment.CS, selector));
  state.setGpr(RSP, pointer);
  cpu.nextRip = rip;
}

/** Backlink of the current TSS */
function previousTask(cpu: Processor): number {
  const { state } = cpu;
  return Number(cpu.linear.read(state.segmentBase(Segment.TR), 2));
}

const sti: Helper = (cpu) => {
  checkInterruptFlag(cpu);
  const { state } = cpu;
  if ((state.rflags & Rflags.IF) === 0n) state.set32(State.INTERRUPTIBILITY, state.get32(State.INTERRUPTIBILITY) | 1);
  state.rflags |= Rflags.IF;
};

const cli: Helper = (cpu) => {
  checkInterruptFlag(cpu);
  cpu.state.rflags &= ~Rflags.IF;
};

/** CLI and STI need CPL <= IOPL; virtual-8086 and protected-mode virtual interrupts are not announced. */
function checkInterruptFlag(cpu: Processor): void {
  if (cpu.realMode) return;
  if (BigInt(cpu.cpl) > (cpu.state.rflags & Rflags.IOPL) >> 12n) throw cpu.fault(Vector.GP, 0);
}

const hlt: Helper = (cpu, insn) => {
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
  if (cpu.exits(insn)) return;
  cpu.state.set32(State.ACTIVITY, 1);
};

export const interruptHelpers: HelperTable = { int_n: intN, int3, int1, into, iret, sti, cli, hlt };
