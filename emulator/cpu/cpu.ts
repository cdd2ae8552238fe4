import { Efer } from '../arch/control-registers';
import { Activity } from '../arch/activity';
import { Vector } from '../arch/exceptions';
import { Rflags } from '../arch/flags';
import { InterruptionType } from '../arch/interruption';
import { AccessRights } from '../arch/segments';
import { EngineExit, type EngineControl, type EngineHost } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import { Actor } from '../memory/actor';
import { Segment, State } from '../memory/layout';
import { describeFlush } from '../memory/flush-scope';
import type { PhysicalMemory } from '../memory/physical';
import type { TableWatch } from '../memory/table-watch';
import { Tlb } from '../memory/tlb';
import { Walker } from '../memory/walker';
import { handleBoundary, isActive, PendingEvent, singleStep } from './boundary';
import { deliverChain, hardwareException, type EventRequest } from './event-chain';
import { Execution } from './execution';
import { ExitTaken, ProcessorFault, UnsupportedOperation } from './fault';
import { InstructionBreakpoints } from './instruction-breakpoints';
import { LinearMemory } from './linear-memory';
import { loadPdptes } from './pdptes';
import {
  ExitKind,
  type HelperTable,
  type InjectedEvent,
  type InterruptSource,
  type PortAccess,
  type Processor,
  type TaskSwitch,
  type Virtualization,
} from './processor';
import { initState, resetState } from './reset';
import { SlowPath } from './slow-path';
import { raiseInit, raiseStartUp } from './start-up';
import type { SaferModePlatform } from './safer-mode/platform';
import type { Secrecy } from './secrecy';
import { CpuState } from './state';
import { StrictTranslation, type StrictKept } from './strict-translation';
import type { Taps } from './taps';
import { switchTask } from './task-switch';
import { Translation } from './translation';

/** Why `Cpu.run` returned. The processor is between two instructions. */
export type CpuRunResult =
  | { readonly why: 'budget' }
  | { readonly why: 'breakpoint' }
  | { readonly why: 'requested' }
  /**
   * HLT or wait-for-SIPI. With several processors always: the scheduler knows how long. A single one says so only when
   * nothing of it can ever wake it.
   */
  | { readonly why: 'halted' }
  /** Triple fault outside VMX non-root operation */
  | { readonly why: 'shutdown'; readonly description: string }
  | { readonly why: 'vmx-abort'; readonly code: number }
  | { readonly why: 'unsupported'; readonly description: string };

export interface CpuParts {
  readonly index: number;
  /** All processors of the machine, in the order of their index; filled as they are made. Absent: only this one */
  readonly peers?: readonly Cpu[];
  /** Where its state block is found; absent: made here, at address 0 */
  readonly state?: CpuState;
  readonly physical: PhysicalMemory;
  readonly ports: PortAccess;
  readonly taps: Taps;
  readonly interrupts: InterruptSource;
  readonly saferMode?: SaferModePlatform | undefined;
  /** The machine's helper table: cpu/ and vmx/ merged */
  readonly helpers: HelperTable;
  /** Both are made with the processor in hand, because they call it. */
  readonly engine: (host: EngineHost) => EngineControl;
  readonly virtualization: (cpu: Processor) => Virtualization;
  /** Strict mode, shared by all processors; absent: off */
  readonly tableWatch?: TableWatch | undefined;
}

/** What a processor remembers between two instructions besides its state block and its TLB */
export interface CpuKept {
  readonly turnEnd: number;
  readonly injected: InjectedEvent | undefined;
  readonly ended: CpuRunResult | undefined;
  readonly strict: StrictKept | undefined;
}

const VM = Number(Rflags.VM);
const RF = Number(Rflags.RF);
const IF = Number(Rflags.IF);
const LMA = Number(Efer.LMA);
const ACTIVITY_SHUTDOWN = 2;
const TWO_32 = 0x100000000;

const BUDGET: CpuRunResult = { why: 'budget' };
const BREAKPOINT: CpuRunResult = { why: 'breakpoint' };
const REQUESTED: CpuRunResult = { why: 'requested' };
const HALTED: CpuRunResult = { why: 'halted' };

/** One logical processor: the run loop, events, and what helpers and VT-x need. SDM vol. 3, chapters 6 and 10. */
export class Cpu implements Processor {
  readonly index: number;
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly linear: LinearMemory;
  readonly tlb: Tlb;
  readonly walker: Walker;
  readonly engine: EngineControl;
  readonly ports: PortAccess;
  readonly taps: Taps;
  readonly virtualization: Virtualization;
  readonly interrupts: InterruptSource;
  readonly saferMode: SaferModePlatform | undefined;
  readonly host: EngineHost;
  /** Clock at which its turn among several processors ends */
  turnEnd = Infinity;
  /** `exits` took a VM exit since this was cleared. */
  exited = false;

  private readonly translation: Translation;
  private readonly execution: Execution;
  private readonly breakpoints: InstructionBreakpoints;
  private readonly faultObject = new ProcessorFault('exception');
  private readonly exitObject = new ExitTaken('VM exit');
  private readonly peers: readonly Cpu[];
  private injected: InjectedEvent | undefined;
  private stopping = false;
  private ended: CpuRunResult | undefined;

  constructor(parts: CpuParts) {
    this.index = parts.index;
    this.physical = parts.physical;
    this.ports = parts.ports;
    this.taps = parts.taps;
    this.interrupts = parts.interrupts;
    this.saferMode = parts.saferMode;
    const { memory } = parts.physical;
    this.state = parts.state ?? new CpuState(memory);
    this.peers = parts.peers ?? [this];
    this.breakpoints = new InstructionBreakpoints(this.state);
    this.tlb = new Tlb(memory, parts.index);
    this.walker = new Walker(parts.physical, this.tlb);
    const engine = (): EngineControl => this.engine;
    this.translation = new Translation(memory, this.state, this.physical, this.walker, this.tlb, engine);
    if (parts.tableWatch) {
      const { state, tlb, taps, physical } = this;
      this.translation.strict = new StrictTranslation(this.index, parts.tableWatch, state, tlb, taps, physical);
    }
    const slowPath = new SlowPath(
      this.translation,
      this.physical,
      engine,
      // In the banks of every processor
      (page) => this.tlb.withdrawWrite(page),
      () => this.virtualization.apic,
    );
    this.host = slowPath;
    this.execution = new Execution(this, parts.helpers, slowPath, this.translation);
    this.linear = new LinearMemory(this, this.translation);
    this.tlb.onFlush = (scope, first, second) => {
      this.engine.translationChanged();
      this.taps.tlbFlush?.(describeFlush(scope, first, second), this.index);
    };
    this.engine = parts.engine(this.host);
    this.virtualization = parts.virtualization(this);
  }

  get processors(): number {
    return this.peers.length;
  }

  get realMode(): boolean {
    return (this.state.get32(State.CR0) & 1) === 0;
  }

  get virtual8086(): boolean {
    return !this.realMode && (this.state.get32(State.FLAGS_SYSTEM) & VM) !== 0;
  }

  get longMode(): boolean {
    return (this.state.get32(State.EFER) & LMA) !== 0;
  }

  get cpl(): number {
    if (this.realMode) return 0;
    if (this.state.get32(State.FLAGS_SYSTEM) & VM) return 3;
    return (this.state.segmentAccess(Segment.SS) >>> AccessRights.DPL_SHIFT) & 3;
  }

  get codeSize(): 16 | 32 | 64 {
    const access = this.state.segmentAccess(Segment.CS);
    if (this.longMode && access & AccessRights.LONG) return 64;
    if (this.realMode || this.virtual8086) return 16;
    return access & AccessRights.DEFAULT_BIG ? 32 : 16;
  }

  get nextRip(): bigint {
    return this.state.get64(State.NEXT_RIP);
  }

  set nextRip(value: bigint) {
    this.state.set64(State.NEXT_RIP, value);
  }

  get now(): bigint {
    return this.state.get64(State.RETIRED) + this.state.get64(State.CLOCK_IDLE);
  }

  /** `now` as a number, exact up to 2^53 */
  get clock(): number {
    return this.number(State.RETIRED) + this.number(State.CLOCK_IDLE);
  }

  /** Retired instructions as a number */
  get retired(): number {
    return this.number(State.RETIRED);
  }

  /**
   * Steps that it has made: each either retires an instruction or is an event that retires none (a VM exit, a delivery, a
   * jump of the clock, a turn's end), and is counted at its end, by one. So every state between two steps has a number.
   */
  get transitions(): number {
    return this.number(State.RETIRED) + this.number(State.EVENTS);
  }

  /** A step is complete that retired no instruction. */
  countEvent(): void {
    this.state.increment64(State.EVENTS);
  }

  get tsc(): bigint {
    const { state } = this;
    const multiplier = state.get64(State.TSC_MULTIPLIER);
    let counter = this.now + state.get64(State.TSC_ADJUST);
    // 48 fraction bits (SDM vol. 3, 25.6.5)
    if (multiplier !== 0n) counter = (BigInt.asUintN(64, counter) * multiplier) >> 48n;
    return BigInt.asUintN(64, counter + state.get64(State.TSC_OFFSET));
  }

  fault(vector: number, errorCode?: number): Error {
    return this.faultObject.set(vector, errorCode, 0n);
  }

  pageFault(linear: bigint, errorCode: number): Error {
    return this.faultObject.set(Vector.PF, errorCode, linear);
  }

  debugFault(bits: bigint): Error {
    return this.faultObject.set(Vector.DB, undefined, bits);
  }

  exitTaken(): Error {
    return this.exitObject;
  }

  unsupported(description: string): Error {
    return new UnsupportedOperation(description);
  }

  exits(insn: Instruction): boolean {
    const { virtualization } = this;
    if (!virtualization.nonRoot || virtualization.instruction(insn) !== ExitKind.Taken) return false;
    this.exited = true;
    return true;
  }

  intercept(insn: Instruction): void {
    if (this.exits(insn)) throw this.exitObject;
  }

  taskSwitch(request: TaskSwitch): void {
    switchTask(this, request);
  }

  contextChanged(): void {
    const moved = this.translation.changed();
    this.engine.modeChanged();
    this.breakpoints.update();
    if (moved) this.engine.translationChanged();
  }

  loadPdptes(cr3: bigint): boolean {
    return loadPdptes(this, cr3);
  }

  inject(event: InjectedEvent): void {
    this.injected = event;
  }

  /** Power-up state; see reset.ts. */
  reset(): void {
    this.ended = undefined;
    this.injected = undefined;
    resetState(this);
  }

  initialize(): void {
    initState(this);
  }

  keep(): CpuKept {
    const { turnEnd, injected, ended } = this;
    return { turnEnd, injected, ended, strict: this.translation.strict?.keep() };
  }

  /** State block, TLB and RAM are those of another moment, and this was kept then. `resume` has to follow. */
  takeBack(kept: CpuKept): void {
    this.turnEnd = kept.turnEnd;
    this.injected = kept.injected;
    this.ended = kept.ended;
    if (kept.strict) this.translation.strict?.takeBack(kept.strict);
    this.virtualization.restored();
  }

  vmxAbort(code: number): void {
    this.ended = { why: 'vmx-abort', code };
  }

  requestStop(): void {
    this.stopping = true;
  }

  raisePending(event: number): void {
    this.state.set32(State.PENDING_EVENTS, this.state.get32(State.PENDING_EVENTS) | event);
  }

  clearPending(event: number): void {
    this.state.set32(State.PENDING_EVENTS, this.state.get32(State.PENDING_EVENTS) & ~event);
  }

  raiseNmi(): void {
    this.raisePending(PendingEvent.NMI);
  }

  raiseInit(): void {
    raiseInit(this);
  }

  raiseStartUp(vector: number): void {
    raiseStartUp(this, vector);
  }

  /** Secrecy tracking; undefined: off */
  get secrecy(): Secrecy | undefined {
    return this.translation.secrecy;
  }

  set secrecy(secrecy: Secrecy | undefined) {
    this.translation.secrecy = secrecy;
  }

  /** The engine works for this processor from now on: its state block has come to address 0. */
  resume(): void {
    this.secrecy?.resumed(this.index);
    this.engine.attach(this.host);
    this.contextChanged();
    this.engine.translationChanged();
  }

  /** HLT, and shutdown by an NMI, end when an event is delivered. */
  wake(): void {
    this.state.set32(State.ACTIVITY, 0);
  }

  /**
   * Runs at most `budget` instructions, and not past the end of its turn. Returns earlier as the result says, and also
   * ('budget') after as many events without an instruction, so that a program that faults for ever cannot hold the caller.
   * `skipBreakpoint`: the first instruction does not report its breakpoint.
   * `steps`: makes no more transitions than these; ends as by the budget when it has made them.
   */
  run(budget: number, skipBreakpoint = false, steps = Infinity): CpuRunResult {
    this.stopping = false;
    const end = this.retired + budget;
    const { memory } = this.physical;
    const last = this.transitions + steps;
    let skip = skipBreakpoint;
    let events = 0;
    try {
      for (;;) {
        if (this.ended) return this.ended;
        memory.accessWatch?.settle?.();
        const { retired } = this;
        const clock = retired + this.number(State.CLOCK_IDLE);
        // Before it may end: what is due now has happened in every state that somebody can see or change.
        this.advanceTime(clock);
        if (this.stopping) return REQUESTED;
        const room = last - retired - this.number(State.EVENTS);
        const left = Math.min(end - retired, this.turnEnd - clock, room);
        if (left <= 0 || events > budget) return BUDGET;
        memory.actor = Actor.Delivery;
        const handled = handleBoundary(this, clock);
        memory.actor = Actor.Instruction;
        if (handled) {
          skip = false;
          events++;
          this.countEvent();
          continue;
        }
        if (!isActive(this)) {
          if (!this.idle()) return this.ended ?? HALTED;
          events++;
          this.countEvent();
          continue;
        }
        if (this.breakpoints.armed && this.hitsBreakpoint()) {
          events++;
          this.countEvent();
          continue;
        }
        const { nonRoot } = this.virtualization;
        const alone = this.breakpoints.armed || singleStep(this, nonRoot);
        const slice = alone ? 1 : this.slice(left, clock, nonRoot);
        const before = this.state.get32(State.RETIRED);
        if (this.execution.execute(slice, skip, alone, nonRoot) === EngineExit.Breakpoint) return BREAKPOINT;
        if (this.state.get32(State.RETIRED) === before) events++;
        skip = false;
      }
    } catch (error) {
      if (error instanceof UnsupportedOperation) {
        const at = `0x${this.state.rip.toString(16)}`;
        return { why: 'unsupported', description: `${error.message}, at RIP ${at}` };
      }
      throw error;
    }
  }

  /** What devices do by themselves at a time belongs to the step that led to it. */
  private advanceTime(clock: number): void {
    const { accessWatch } = this.physical.memory;
    if (accessWatch) accessWatch.stepOver = true;
    this.interrupts.advance(clock);
    if (accessWatch) accessWatch.stepOver = false;
  }

  deliverDebugTrap(bits: bigint): void {
    this.wake();
    this.deliver(hardwareException(Vector.DB, undefined, bits));
  }

  deliverNmi(): void {
    this.deliver({ vector: Vector.NMI, type: InterruptionType.NMI, errorCode: undefined, payload: 0n, length: 0 });
  }

  deliverInterrupt(vector: number): void {
    if (vector < 0) return;
    const type = InterruptionType.EXTERNAL_INTERRUPT;
    this.deliver({ vector, type, errorCode: undefined, payload: 0n, length: 0 });
    this.taps.interrupt?.(vector, this.index);
  }

  /** How many instructions may run before something has to be looked at. */
  private slice(left: number, clock: number, nonRoot: boolean): number {
    let deadline = this.interrupts.nextDeadline();
    if (nonRoot) deadline = Math.min(deadline, this.virtualization.nextDeadline());
    return Math.max(1, Math.min(left, deadline - clock));
  }

  /** An instruction breakpoint of the program raises #DB before its instruction, unless RF is set. */
  private hitsBreakpoint(): boolean {
    const { state } = this;
    if (state.get32(State.FLAGS_SYSTEM) & RF) return false;
    const { rip } = state;
    const linear = this.codeSize === 64 ? rip : (state.segmentBase(Segment.CS) + rip) & 0xffffffffn;
    const bits = this.breakpoints.at(linear);
    if (bits === 0n) return false;
    this.deliver(hardwareException(Vector.DB, undefined, bits));
    return true;
  }

  /** What a VM entry is to inject, after the instruction that entered */
  deliverInjected(): void {
    const { injected } = this;
    if (!injected) return;
    this.injected = undefined;
    const { vector, type, errorCode, instructionLength } = injected;
    this.deliver({ vector, type, errorCode, payload: 0n, length: instructionLength }, true);
  }

  /**
   * Delivers an event with all that follows from it, up to a VM exit or shutdown. An event that follows another one with
   * no instruction between them takes a tick of time: a program that faults for ever must not stop the clock, which
   * says whose turn it is among several processors.
   */
  deliver(event: EventRequest, injected = false): void {
    const { state } = this;
    const mark = (state.get32(State.RETIRED) + 1) >>> 0;
    if (state.get32(State.DELIVERED_AT) === mark) state.set64(State.CLOCK_IDLE, state.get64(State.CLOCK_IDLE) + 1n);
    else state.set32(State.DELIVERED_AT, mark);
    const { memory } = this.physical;
    const { actor } = memory;
    memory.actor = Actor.Delivery;
    const history = deliverChain(this, event, this.faultObject, injected);
    memory.actor = actor;
    if (history) this.shutDown(history);
  }

  private shutDown(history: readonly string[]): void {
    const { virtualization, state } = this;
    if (virtualization.nonRoot && virtualization.tripleFault() === ExitKind.Taken) return;
    state.set32(State.ACTIVITY, ACTIVITY_SHUTDOWN);
    const at = `${state.segmentSelector(Segment.CS).toString(16)}:0x${state.rip.toString(16)}`;
    this.ended = { why: 'shutdown', description: `triple fault at ${at}: ${history.join(', then ')}` };
    this.taps.tripleFault?.(this.index);
  }

  /** Not active: the clock jumps to the next event. False when there can be none, or others decide how far. */
  private idle(): boolean {
    if (this.peers.length > 1) return false;
    const deadline = this.wakeDeadline;
    if (deadline === Infinity) return false;
    this.idleUntil(deadline);
    return true;
  }

  /** Clock at which something that this processor waits for by itself can wake it, or Infinity; for one that is not active */
  get wakeDeadline(): number {
    const { state, virtualization } = this;
    const { nonRoot } = virtualization;
    const activity = state.get32(State.ACTIVITY);
    // Only a SIPI ends wait-for-SIPI; shutdown blocks interrupts, but not a guest's preemption timer.
    if (activity === Activity.WAIT_FOR_SIPI || (activity !== Activity.HLT && !nonRoot)) return Infinity;
    if (activity !== Activity.HLT) return virtualization.nextDeadline();
    const enabled = (state.get32(State.FLAGS_SYSTEM) & IF) !== 0;
    const interrupt = enabled || nonRoot ? this.interrupts.nextDeadline() : Infinity;
    return Math.min(interrupt, virtualization.nextDeadline());
  }

  /** Time passes without instructions, if it has not passed already. */
  idleUntil(clock: number): void {
    const { state } = this;
    const ticks = Math.ceil(clock) - this.clock;
    if (ticks > 0) state.set64(State.CLOCK_IDLE, state.get64(State.CLOCK_IDLE) + BigInt(ticks));
  }

  private number(offset: number): number {
    return this.state.get32(offset) + this.state.get32(offset + 4) * TWO_32;
  }
}
