import { Primary } from '../arch/controls';
import { exceptionRow } from '../arch/exceptions';
import { InterruptionType, interruptionType, interruptionVector, isSoftwareEvent } from '../arch/interruption';
import { State } from '../memory/layout';
import type { Processor } from '../cpu/processor';
import type { GuestPhysicalAddress, LinearAddress } from '../memory/address';
import type { VmEntryRecord, VmExitRecord } from '../cpu/taps';
import { entryRecord, exitRecord, type EntryRecord, type ExitRecord } from './records';
import type { Transfers } from './state-transfer';
import { NO_VMCS, Slot, Vmcs } from './vmcs';

/** RDMSR and WRMSR without the instruction, for the MSR areas of VM entries and exits. */
export interface MsrAccess {
  /** undefined: RDMSR would raise #GP */
  read(index: number): bigint | undefined;
  /** False, with nothing changed: WRMSR at CPL 0 would raise #GP */
  write(index: number, value: bigint): boolean;
}

const TWO_32 = 0x1_0000_0000;

/** Offsets in State.VMX_PRIVATE: what VT-x itself must remember, part of every snapshot. */
const EXIT_COUNT = State.VMX_PRIVATE;
const ENTRY_COUNT = State.VMX_PRIVATE + 8;
const PAUSE_FIRST = State.VMX_PRIVATE + 16;
const PAUSE_LAST = State.VMX_PRIVATE + 24;

const NO_IRET = -1;

/** What the phases of a VM exit record. One object a processor, reused for every exit. */
export class ExitInformation {
  reason = 0;
  qualification = 0n;
  guestLinear = 0n;
  guestPhysical = 0n;
  interruptionInformation = 0;
  interruptionErrorCode = 0;
  instructionLength = 0;
  instructionInformation = 0;
  /** RFLAGS.RF of the saved guest state (SDM vol. 3, 28.3.3) */
  resumeFlag: 'keep' | 'clear' | 'set' = 'keep';

  reset(reason: number, qualification = 0n): this {
    this.reason = reason;
    this.qualification = qualification;
    this.guestLinear = 0n;
    this.guestPhysical = 0n;
    this.interruptionInformation = 0;
    this.interruptionErrorCode = 0;
    this.instructionLength = 0;
    this.instructionInformation = 0;
    this.resumeFlag = 'keep';
    return this;
  }
}

/** RF in the flags that delivery of an event saves: faults set it, other events keep it (SDM vol. 3, 17.3.1.1). */
export function savedResumeFlag(type: number, vector: number): 'keep' | 'clear' | 'set' {
  // INT n, INT1, INT3 and INTO have cleared it before they deliver anything (SDM vol. 3, 17.3.1.1).
  if (isSoftwareEvent(type)) return 'clear';
  const fault = type === InterruptionType.HARDWARE_EXCEPTION && exceptionRow(vector)?.kind === 'fault';
  return fault ? 'set' : 'keep';
}

/** RF as saved by a VM exit that a memory access causes, in an instruction or in the delivery of an event */
export function faultResumeFlag({ active, information }: EventDelivery): 'keep' | 'clear' | 'set' {
  return active ? savedResumeFlag(interruptionType(information), interruptionVector(information)) : 'set';
}

/** The event whose delivery through the IDT is under way (SDM vol. 3, 25.9.3). */
export class EventDelivery {
  active = false;
  information = 0;
  errorCode = 0;
  instructionLength = 0;
}

/** VMX operation of one processor: its pointers and counters in the state block, and the current VMCS. */
export class VmxCore {
  readonly vmcs: Vmcs;
  /** The VMCS that non-root VMREAD and VMWRITE reach, bound anew at each of them */
  private readonly shadow: Vmcs;
  /** Retired instructions (low half) when an IRET began that ended blocking of NMIs */
  private unblockingIret = NO_IRET;
  readonly exit = new ExitInformation();
  readonly delivery = new EventDelivery();
  private readonly exitRecord: ExitRecord;
  private readonly entryRecord: EntryRecord;

  constructor(
    readonly cpu: Processor,
    readonly msrs: MsrAccess,
    readonly transfers: Transfers,
  ) {
    this.vmcs = new Vmcs(cpu.physical);
    this.exitRecord = exitRecord(this);
    this.entryRecord = entryRecord(this);
    this.shadow = new Vmcs(cpu.physical);
  }

  /** In VMX operation, root or non-root */
  get on(): boolean {
    return this.cpu.state.get32(State.VMX_ON) !== 0;
  }

  get root(): boolean {
    return this.cpu.state.get32(State.VMX_ROOT) !== 0;
  }

  get nonRoot(): boolean {
    return this.on && !this.root;
  }

  get vmxonPointer(): bigint {
    return this.cpu.state.get64(State.VMXON_POINTER);
  }

  get currentVmcs(): bigint {
    return this.cpu.state.get64(State.CURRENT_VMCS);
  }

  set currentVmcs(address: bigint) {
    this.cpu.state.set64(State.CURRENT_VMCS, address);
    this.vmcs.bind(address);
    this.offerDirectAccess();
  }

  /** In root operation: generated code may access the current VMCS by itself, unless somebody wants to know of writes. */
  offerDirectAccess(): void {
    const direct = this.vmcs.valid && this.vmcs.freelyWritten;
    this.cpu.state.set32(State.DIRECT_VMCS, direct ? this.vmcs.wasmAddress : 0);
  }

  /** The current VMCS as State names it: after a snapshot was restored the binding follows. */
  current(): Vmcs {
    const { state } = this.cpu;
    if (this.on) this.vmcs.follow(state.get32(State.CURRENT_VMCS), state.get32(State.CURRENT_VMCS + 4));
    else this.vmcs.bind(NO_VMCS);
    return this.vmcs;
  }

  /** The VMCS at the VMCS link pointer; not valid when the pointer is all ones */
  linked(): Vmcs {
    this.shadow.bind(this.current().get64(Slot.VMCS_LINK_POINTER));
    return this.shadow;
  }

  /** The running IRET has ended blocking of NMIs, real or virtual. */
  iretUnblocks(): void {
    this.unblockingIret = this.cpu.state.get32(State.RETIRED);
  }

  /** Between two instructions no delivery is under way and no IRET runs; the binding is found again. */
  restored(): void {
    this.iretEnds();
    this.delivery.active = false;
    this.vmcs.bind(NO_VMCS);
  }

  iretEnds(): void {
    this.unblockingIret = NO_IRET;
  }

  /**
   * A fault of the running instruction is one of an IRET that ended blocking of NMIs: bit 12 of VM-exit interruption
   * information and of some qualifications, unless the VM exit occurs during event delivery (SDM vol. 3, 28.2.2).
   */
  get unblockedByIret(): boolean {
    return this.unblockingIret === this.cpu.state.get32(State.RETIRED) && !this.delivery.active;
  }

  /** The secondary controls, 0 when they are not activated (SDM vol. 3, 25.6.2) */
  get secondaryControls(): number {
    const { vmcs } = this;
    return vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS) & Primary.ACTIVATE_SECONDARY_CONTROLS
      ? vmcs.get32(Slot.SECONDARY_PROCESSOR_CONTROLS)
      : 0;
  }

  /** The exit as taps are told of it; overwritten by the next */
  describeExit(n: number): VmExitRecord {
    const { exitRecord, exit } = this;
    exitRecord.n = n;
    exitRecord.instruction = this.retired;
    exitRecord.reason = exit.reason;
    exitRecord.qualification = exit.qualification;
    exitRecord.guestLinear = exit.guestLinear as LinearAddress;
    exitRecord.guestPhysical = exit.guestPhysical as GuestPhysicalAddress;
    exitRecord.interruptionInformation = exit.interruptionInformation;
    exitRecord.interruptionErrorCode = exit.interruptionErrorCode;
    exitRecord.instructionLength = this.vmcs.get32(Slot.EXIT_INSTRUCTION_LENGTH);
    return exitRecord;
  }

  describeEntry(n: number, launch: boolean, injected: number): VmEntryRecord {
    const { entryRecord } = this;
    entryRecord.n = n;
    entryRecord.instruction = this.retired;
    entryRecord.launch = launch;
    entryRecord.injected = injected;
    return entryRecord;
  }

  private get retired(): number {
    const { state } = this.cpu;
    return state.get32(State.RETIRED + 4) * TWO_32 + state.get32(State.RETIRED);
  }

  /** Ordinal of the next VM exit, from 1 */
  nextExit(): number {
    return this.increment(EXIT_COUNT);
  }

  nextEntry(): number {
    return this.increment(ENTRY_COUNT);
  }

  private increment(offset: number): number {
    const { state } = this.cpu;
    const low = (state.get32(offset) + 1) >>> 0;
    state.set32(offset, low);
    if (low === 0) state.set32(offset + 4, state.get32(offset + 4) + 1);
    return state.get32(offset + 4) * 2 ** 32 + low;
  }

  /** The VMX-preemption timer does not run. */
  stopTimer(): void {
    this.cpu.state.set32(State.PREEMPTION_DEADLINE, 0xffff_ffff);
    this.cpu.state.set32(State.PREEMPTION_DEADLINE + 4, 0xffff_ffff);
  }

  /** Clock of the first PAUSE of the loop that runs now, and of the latest (SDM vol. 3, 26.1.3, PAUSE). */
  get pauseLoop(): { first: bigint; last: bigint } {
    const { state } = this.cpu;
    return { first: state.get64(PAUSE_FIRST), last: state.get64(PAUSE_LAST) };
  }

  set pauseLoop(loop: { first: bigint; last: bigint }) {
    this.cpu.state.set64(PAUSE_FIRST, loop.first);
    this.cpu.state.set64(PAUSE_LAST, loop.last);
  }
}
