import type { EngineControl } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import type { PhysicalMemory } from '../memory/physical';
import type { Tlb } from '../memory/tlb';
import type { CpuState } from './state';
import type { LinearMemory } from './linear-memory';
import type { Taps } from './taps';

/**
 * The processor as helpers (instructions written in TypeScript), exception delivery and VT-x see it.
 * A helper runs between two instructions: registers and RIP are exact, `nextRip` is preset to the following
 * instruction and becomes RIP when the helper returns; a control transfer assigns `nextRip`. A helper raises an
 * exception by `throw cpu.fault(vector, errorCode)`, a VM exit through `virtualization`; both before the first
 * change of state, so that the instruction can be restarted.
 */
export interface Processor {
  readonly index: number;
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly linear: LinearMemory;
  readonly tlb: Tlb;
  readonly engine: EngineControl;
  readonly ports: PortAccess;
  readonly taps: Taps;
  readonly virtualization: Virtualization;
  readonly interrupts: InterruptSource;
  nextRip: bigint;
  /** Current privilege level (SS.DPL; 3 in virtual-8086 mode) */
  readonly cpl: number;
  /** Retired instructions so far: the virtual clock */
  readonly now: bigint;
  /** Makes (does not throw) the one reusable fault object. */
  fault(vector: number, errorCode?: number): Error;
}

export interface PortAccess {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** The local APIC (and INTR pin) as the processor sees it. */
export interface InterruptSource {
  /** Highest pending vector that the APIC would deliver now, or -1 */
  pendingVector(): number;
  /** Acknowledge: moves the vector from IRR to ISR and returns it. */
  acknowledge(): number;
  /** Retired count of the next timer event, or Infinity */
  nextDeadline(): number;
  /** Lets timers that are due fire. */
  advance(now: number): void;
  /** CR8 / TPR bits 7:4 */
  taskPriority: number;
}

export const enum ExitKind {
  /** Not taken: carry on with the instruction or event */
  None = 0,
  /** A VM exit happened; the processor is now in root operation at the host state's RIP */
  Taken = 1,
}

/** What VT-x does in the processor's flow. Implemented in vmx/; a processor without VT-x uses `noVirtualization`. */
export interface Virtualization {
  readonly nonRoot: boolean;
  /** Before a helper with an exit rule executes: takes the VM exit if its control says so. Only called in non-root. */
  instruction(insn: Instruction): ExitKind;
  /** An exception is about to be delivered (non-root): exception bitmap, page-fault mask/match. */
  exception(vector: number, errorCode: number | undefined, linearAddress: bigint): ExitKind;
  /** A pending external interrupt, NMI, INIT, window or timer at an instruction boundary (non-root). */
  boundary(): ExitKind;
  /** EPT violation or misconfiguration found by the page walk. */
  eptFault(fault: EptFault): ExitKind;
  /** Triple fault, task switch. */
  tripleFault(): ExitKind;
  taskSwitch(selector: number, source: 0 | 1 | 2 | 3): ExitKind;
  /** Executes VMXON..VMFUNC, VMCALL: behaviours registered by name in the helper table. */
  /** Guest/host masks: what MOV from CR0/CR4, SMSW read in non-root. */
  readCr0(): bigint;
  readCr4(): bigint;
  /** RDMSR/WRMSR of the VMX capability range 0x480-0x493; undefined when not one of them */
  readMsr(index: number): bigint | undefined;
  /** Bits of CR0/CR4 that must be 1 and may be 1 while in VMX operation */
  fixedCr0(value: bigint): boolean;
  fixedCr4(value: bigint): boolean;
  /** Retired count of the next event VT-x wants control at (preemption timer), or Infinity */
  nextDeadline(): number;
  /** Delivery of an exception or interrupt through the IDT begins / ended, for IDT-vectoring information. */
  beginDelivery(vector: number, type: number, errorCode: number | undefined, instructionLength: number): void;
  endDelivery(): void;
}

export interface EptFault {
  readonly misconfiguration: boolean;
  readonly guestPhysical: bigint;
  readonly linear: bigint | undefined;
  /** Exit qualification bits 0-12 as the manual defines them for EPT violations */
  readonly qualification: bigint;
}
