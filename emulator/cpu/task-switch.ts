import { Cr0 } from '../arch/control-registers';
import { Vector } from '../arch/exceptions';
import { Rflags } from '../arch/flags';
import { AccessRights } from '../arch/segments';
import { Access } from '../engine/host';
import { Segment, State } from '../memory/layout';
import { writeCr3 } from './control-registers';
import { errorOf, isNull, readDescriptor, rplOf, type Descriptor } from './descriptors';
import { ExitKind, type Processor, type TaskSwitch } from './processor';
import { StackPointer } from './stack-pointer';
import { loadTaskSegments, reference } from './task-segments';
import { Privilege } from './translation';

/** Where a task-state segment keeps what (SDM vol. 3, figures 8-2 and 8-10) */
interface TaskLayout {
  readonly size: 2 | 4;
  /** The smallest legal limit */
  readonly limit: number;
  readonly ip: number;
  readonly flags: number;
  /** EAX; the other registers follow in the order of their numbers */
  readonly registers: number;
  /** ES; CS, SS, DS and, in 32-bit ones, FS and GS follow */
  readonly segments: number;
  readonly segmentCount: number;
  readonly ldt: number;
}

const LAYOUT_16: TaskLayout = {
  size: 2, limit: 0x2b, ip: 0x0e, flags: 0x10, registers: 0x12, segments: 0x22, segmentCount: 4, ldt: 0x2a,
}; // prettier-ignore
const LAYOUT_32: TaskLayout = {
  size: 4, limit: 0x67, ip: 0x20, flags: 0x24, registers: 0x28, segments: 0x48, segmentCount: 6, ldt: 0x60,
}; // prettier-ignore
const CR3 = 0x1c;
const DEBUG_TRAP = 0x64;
const TSS_32 = 8;
const BUSY = 2;
const LOCAL = 4;
const DR7 = State.DR + 40;
/** L0 to L3 and LE */
const DR7_LOCAL = 0x155n;
/** DR6.BT, as a pending debug trap */
const TASK_SWITCH_TRAP = 0x8000n;
const UPPER_HALF = 0xffff_0000n;

const TaskSwitchSource = { CALL: 0, IRET: 1, JMP: 2, GATE: 3 } as const;

/**
 * A hardware task switch (SDM vol. 3, 8.3). In VMX non-root operation it causes a VM exit after the checks of the new
 * TSS (26.4.2). Before the commit point faults leave everything as it was; after it they are the new task's.
 */
export function switchTask(cpu: Processor, request: TaskSwitch): void {
  const { state, virtualization } = cpu;
  const task = newTask(cpu, request);
  if (virtualization.nonRoot && virtualization.taskSwitch(request.selector, request.source) === ExitKind.Taken)
    throw cpu.exitTaken();
  const nested = request.source === TaskSwitchSource.CALL || request.source === TaskSwitchSource.GATE;
  const layout = layoutOf(task.type);
  checkMemory(cpu, task, layout, nested);
  const image = readImage(cpu, task, layout);
  leaveTask(cpu, request, nested);
  // From here on everything is the new task's.
  if (nested) cpu.linear.write(task.base, 2, BigInt(state.segmentSelector(Segment.TR)), Privilege.System);
  if (request.source !== TaskSwitchSource.IRET) setBusy(cpu, task.at, true);
  const base = task.base;
  state.setSegment(Segment.TR, { selector: request.selector, access: task.access | BUSY, limit: task.limit, base });
  state.cr0 |= Cr0.TS;
  state.set64(DR7, state.get64(DR7) & ~DR7_LOCAL);
  enterTask(cpu, image, nested, layout);
  if (request.errorCode !== undefined) {
    const stack = StackPointer.current(cpu);
    stack.push(BigInt(request.errorCode), layout.size);
    stack.commit();
  }
  if (image.trap) state.set64(State.PENDING_DEBUG, state.get64(State.PENDING_DEBUG) | TASK_SWITCH_TRAP);
}

const layoutOf = (type: number): TaskLayout => (type & TSS_32 ? LAYOUT_32 : LAYOUT_16);

/** The descriptor of the new TSS: in the GDT, available (IRET: busy), present, long enough (26.4.2, points 2 to 4). */
function newTask(cpu: Processor, { selector, source, external }: TaskSwitch): Descriptor {
  const returns = source === TaskSwitchSource.IRET;
  const vector = returns ? Vector.TS : Vector.GP;
  const error = errorOf(selector, external);
  if (selector & LOCAL || isNull(selector)) throw cpu.fault(vector, error);
  const task = readDescriptor(cpu, selector, vector, external);
  const expected = returns ? 1 | BUSY : 1;
  if (task.codeOrData || (task.type & ~TSS_32) !== expected) throw cpu.fault(vector, error);
  if (!task.present) throw cpu.fault(Vector.NP, error);
  if (task.limit < layoutOf(task.type).limit) throw cpu.fault(Vector.TS, error);
  return task;
}

/** Both task-state segments must be in memory before anything changes. */
function checkMemory(cpu: Processor, task: Descriptor, layout: TaskLayout, nested: boolean): void {
  const { state, linear } = cpu;
  const old = state.segmentBase(Segment.TR);
  const oldLayout = layoutOf(state.segmentAccess(Segment.TR));
  linear.check(old + BigInt(oldLayout.ip), oldLayout.ldt - oldLayout.ip, Access.Write, Privilege.System);
  linear.check(task.base, layout.limit + 1, nested ? Access.Write : Access.Read, Privilege.System);
}

/** What the new task-state segment holds */
interface TaskImage {
  readonly cr3: bigint;
  readonly ip: bigint;
  readonly flags: bigint;
  readonly registers: readonly bigint[];
  /** ES CS SS DS FS GS */
  readonly selectors: readonly number[];
  readonly ldt: number;
  readonly trap: boolean;
}

function readImage(cpu: Processor, { base }: Descriptor, layout: TaskLayout): TaskImage {
  const read = (offset: number, size: number): bigint => cpu.linear.read(base + BigInt(offset), size, Privilege.System);
  const { size } = layout;
  const wide = size === 4;
  return {
    cr3: wide ? read(CR3, 4) : cpu.state.cr3,
    ip: read(layout.ip, size),
    flags: read(layout.flags, size),
    // The upper halves are undefined after a 16-bit task was loaded.
    registers: Array.from({ length: 8 }, (_, i) => read(layout.registers + i * size, size) | (wide ? 0n : UPPER_HALF)),
    selectors: Array.from({ length: 6 }, (_, i) =>
      i < layout.segmentCount ? Number(read(layout.segments + i * size, 2)) : 0,
    ),
    ldt: Number(read(layout.ldt, 2)),
    trap: wide && (read(DEBUG_TRAP, 2) & 1n) !== 0n,
  };
}

/** Saves the old task; JMP and IRET make it available again. */
function leaveTask(cpu: Processor, { source, returnRip, flags }: TaskSwitch, nested: boolean): void {
  const { state, linear } = cpu;
  const layout = layoutOf(state.segmentAccess(Segment.TR));
  const base = state.segmentBase(Segment.TR);
  const { size } = layout;
  const save = (offset: number, value: bigint): void =>
    linear.write(base + BigInt(offset), size, value, Privilege.System);
  if (!nested) setBusy(cpu, state.get64(State.GDTR) + BigInt(state.segmentSelector(Segment.TR) & ~7), false);
  save(layout.ip, returnRip);
  save(layout.flags, source === TaskSwitchSource.IRET ? flags & ~Rflags.NT : flags);
  for (let i = 0; i < 8; i++) save(layout.registers + i * size, state.gpr(i));
  for (let i = 0; i < layout.segmentCount; i++) save(layout.segments + i * size, BigInt(state.segmentSelector(i)));
}

function setBusy(cpu: Processor, descriptor: bigint, busy: boolean): void {
  const at = (descriptor + 5n) & 0xffff_ffffn;
  const rights = cpu.linear.read(at, 1, Privilege.System);
  const value = busy ? rights | BigInt(BUSY) : rights & ~BigInt(BUSY);
  cpu.linear.write(at, 1, value, Privilege.System);
}

/** Registers first, then segments with their checks: a fault of these finds the new registers in place. */
function enterTask(cpu: Processor, image: TaskImage, nested: boolean, layout: TaskLayout): void {
  const { state } = cpu;
  image.registers.forEach((value, i) => state.setGpr(i, value));
  // Without CS the flags alone decide about virtual-8086 mode.
  const flags = layout.size === 4 ? image.flags : image.flags & 0xffffn;
  state.rflags = flags | Rflags.FIXED | (nested ? Rflags.NT : 0n);
  state.rip = image.ip;
  cpu.nextRip = image.ip;
  const level = flags & Rflags.VM ? 3 : rplOf(image.selectors[Segment.CS] ?? 0);
  image.selectors.forEach((selector, segment) => state.setSegment(segment, reference(selector, level)));
  state.setSegment(Segment.LDTR, { selector: image.ldt, access: AccessRights.UNUSABLE, limit: 0, base: 0n });
  if (layout.size === 4 && state.cr0 & Cr0.PG) writeCr3(cpu, image.cr3);
  cpu.contextChanged();
  loadTaskSegments(cpu, image.selectors, image.ldt, level);
  if (image.ip > BigInt(state.segmentLimit(Segment.CS))) throw cpu.fault(Vector.GP, 0);
  cpu.contextChanged();
}
