import type { EngineControl } from '../engine/host';
import type { Instruction } from '../isa/instruction';
import type { PhysicalMemory } from '../memory/physical';
import type { Tlb } from '../memory/tlb';
import type { Walker } from '../memory/walker';
import type { SaferModePlatform } from './safer-mode/platform';
import type { CpuState } from './state';
import type { LinearMemory } from './linear-memory';
import type { Taps } from './taps';

/**
 * The processor as helpers (instructions written in TypeScript), exception delivery and VT-x see it.
 * A helper runs between two instructions: registers and RIP are exact, `nextRip` is preset to the following
 * instruction and becomes RIP when the helper returns; a control transfer assigns `nextRip`. A helper raises an
 * exception by `throw cpu.fault(vector, errorCode)`; after `virtualization.x()` returned ExitKind.Taken it ends by
 * `throw cpu.exitTaken()`. Both come before the first change of state, so that the instruction can be restarted.
 */
export interface Processor {
  readonly index: number;
  /** How many processors the machine has */
  readonly processors: number;
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
  /** The platform of SMX; absent: the processor has no SMX */
  readonly saferMode: SaferModePlatform | undefined;
  nextRip: bigint;
  /** Current privilege level (SS.DPL; 3 in virtual-8086 mode, 0 in real mode) */
  readonly cpl: number;
  /** CR0.PE is 0 */
  readonly realMode: boolean;
  /** RFLAGS.VM is 1 in protected mode */
  readonly virtual8086: boolean;
  /** IA-32e mode is active (EFER.LMA): 64-bit or compatibility mode */
  readonly longMode: boolean;
  /** Default code size of the running CS: 64 only in 64-bit mode */
  readonly codeSize: 16 | 32 | 64;
  /** The virtual clock: instructions retired plus ticks spent halted */
  readonly now: bigint;
  /** Time-stamp counter as RDTSC returns it, with IA32_TSC_ADJUST and the TSC multiplier and offset in force */
  readonly tsc: bigint;
  /** Makes (does not throw) the one reusable fault object. Without `errorCode` none is pushed. */
  fault(vector: number, errorCode?: number): Error;
  /** Makes a #PF for this linear address; CR2 is written when it is delivered. */
  pageFault(linear: bigint, errorCode: number): Error;
  /** Makes a fault-class #DB; `bits` are set in DR6 when it is delivered. */
  debugFault(bits: bigint): Error;
  /** The reusable object to throw after a VM exit was taken: nothing of the instruction is committed after it. */
  exitTaken(): Error;
  /**
   * In VMX non-root operation: takes the VM exit of this instruction when its exit rule says so. True: it was taken, and
   * the helper returns at once. Helpers call it where the manual places the exit among the instruction's checks (SDM
   * vol. 3, "Relative Priority of Faults and VM Exits"). The run loop itself asks, before the helper, only for the rules
   * VMX, VMCALL and GETSEC.
   */
  exits(insn: Instruction): boolean;
  /** The same for code below the helper itself: throws `exitTaken()` when the exit was taken. */
  intercept(insn: Instruction): void;
  /**
   * To be called after any change of CR0, CR3, CR4, EFER, CS, SS, RFLAGS.VM or AC, DR0 to DR3, DR7, EPTP, VPID, VMX_ON
   * or VMX_ROOT in the state block: takes the paging context again, selects the TLB bank, and tells the engine. Does not flush.
   */
  contextChanged(): void;
  /**
   * Loads the four PAE page-directory-pointer-table entries from the table at CR3 into State.PDPTE, through EPT when it
   * is in use. False, with nothing changed, when one has reserved bits set (SDM vol. 3, 4.4.1).
   */
  loadPdptes(cr3: bigint): boolean;
  /**
   * VM entry with event injection: the event is delivered through the IDT right after the running helper returned and
   * RIP was set. SDM vol. 3, "Event Injection".
   */
  inject(event: InjectedEvent): void;
  /**
   * An instruction or gate asks for a task switch. In non-root operation it exits, after the checks of the new TSS; else it
   * is done when this returns, with `nextRip` the new task's.
   */
  taskSwitch(request: TaskSwitch): void;
  /** Makes the error that ends `run` with `unsupported`: something the processor does not implement. */
  unsupported(description: string): Error;
  /** INIT: sets the state of SDM vol. 3, table "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
  initialize(): void;
  /** The processor enters VMX abort shutdown; `run` reports it. SDM vol. 3, "VMX Aborts". */
  vmxAbort(code: number): void;
  /** Ends `run` at the next instruction boundary. */
  requestStop(): void;
}

export interface TaskSwitch {
  /** Of the new task-state segment */
  readonly selector: number;
  /** 0 CALL, 1 IRET, 2 JMP, 3 task gate in the IDT */
  readonly source: 0 | 1 | 2 | 3;
  /** What the old task keeps as its EIP and EFLAGS */
  readonly returnRip: bigint;
  readonly flags: bigint;
  /** Goes on the new task's stack */
  readonly errorCode?: number | undefined;
  /** 1 when error codes must tell that the event came from outside the program */
  readonly external: number;
}

export interface InjectedEvent {
  /** VMCS interruption type: 0 external, 2 NMI, 3 hardware exception, 4 software interrupt, 5 INT1, 6 INT3/INTO */
  readonly type: number;
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** For types 4, 5 and 6: added to RIP before it is pushed */
  readonly instructionLength: number;
}

export interface PortAccess {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** The local APIC (and INTR pin) as the processor sees it. Times are the virtual clock (`Processor.now`). */
export interface InterruptSource {
  /** Highest pending vector that the APIC would deliver now, or -1; 100H: one that the acknowledge cycle will tell */
  pendingVector(): number;
  /** Acknowledge: moves the vector from IRR to ISR and returns it. */
  acknowledge(): number;
  /** Clock of the next timer event, or Infinity */
  nextDeadline(): number;
  /** Lets timers that are due fire. */
  advance(now: number): void;
  /** CR8 / TPR bits 7:4 */
  taskPriority: number;
  /** IA32_TSC_DEADLINE (SDM vol. 3, 12.5.4.1); absent when the source has no such timer */
  tscDeadline?: bigint;
  /** INIT of the processor reaches its local APIC too (SDM vol. 3, 11.4.7.3). */
  initialize?(): void;
  /** What the processor's own instructions do with the local APIC; absent without one */
  readonly localApic?: LocalApicAccess;
}

/** The local APIC behind MSRs and VT-x. */
export interface LocalApicAccess {
  /** IA32_APIC_BASE has another value now; the transition was legal. */
  baseChanged(): void;
  /** MSRs 800H to 8FFH; undefined: #GP */
  readMsr(index: number): bigint | undefined;
  /** False, with nothing changed: #GP */
  writeMsr(index: number, value: bigint): boolean;
  /** As a write to the EOI register */
  endOfInterrupt(): void;
}

export const enum ExitKind {
  /** Not taken: carry on with the instruction or event */
  None = 0,
  /** A VM exit happened; the processor is now in root operation at the host state's RIP */
  Taken = 1,
  /** Of an EPT violation: #VE is to be raised instead */
  VirtualizationException = 2,
  /** Not taken, and the event is dealt with: a posted-interrupt notification */
  Handled = 3,
}

/**
 * The points of an instruction boundary at which VT-x may take a VM exit, in the order of priority (SDM vol. 3,
 * "Priority Among Concurrent Events" and the sections on the preemption timer, MTF and window exits).
 */
export const enum Boundary {
  /** The operation that ended, or VM entry, left something to the virtualized APIC: a trap-like VM exit may be due. */
  VirtualApic,
  /** An INIT signal is pending. */
  Init,
  /** A start-up IPI is pending, with its vector in State.SIPI_VECTOR. */
  Sipi,
  /** A monitor-trap-flag exit is pending (State.PENDING_EVENTS bit 3). */
  MonitorTrap,
  /** The clock reached State.PREEMPTION_DEADLINE. */
  PreemptionTimer,
  /** NMI-window exiting may take effect: neither blocking by NMI nor by STI or MOV SS. */
  NmiWindow,
  /** An NMI is pending and not blocked by STI or MOV SS; blocking by (virtual) NMI is for the callee to judge. */
  Nmi,
  /** Interrupt-window exiting may take effect: RFLAGS.IF is 1 and there is no blocking. */
  InterruptWindow,
  /** The interrupt source has a vector pending; RFLAGS.IF may be 0 (with external-interrupt exiting it exits anyway). */
  ExternalInterrupt,
}

/** What VT-x does in the processor's flow. Implemented in vmx/; a processor without VT-x uses `noVirtualization`. */
export interface Virtualization {
  /** VT-x exists: CPUID announces it, and IA32_FEATURE_CONTROL */
  readonly present: boolean;
  readonly nonRoot: boolean;
  /** Takes the VM exit if this instruction's exit rule says so. Only called in non-root, see `Processor.intercept`. */
  instruction(insn: Instruction): ExitKind;
  /** A control that would define this instruction in non-root operation is 0: #UD. See `requireDefined`. */
  undefines(insn: Instruction): boolean;
  /**
   * An exception is about to be delivered (non-root): exception bitmap, page-fault mask/match. RIP and flags are what
   * would be pushed. `type` is the VMCS interruption type (3 hardware exception, 5 INT1, 6 INT3 and INTO).
   * `payload` is the linear address of a page fault, the DR6-format bits of a debug exception, else 0. CR2 and DR6 are
   * unchanged. `instructionLength` is that of INT1, INT3, INTO, else 0.
   */
  exception(
    vector: number,
    errorCode: number | undefined,
    payload: bigint,
    type: number,
    instructionLength: number,
  ): ExitKind;
  /** One point of an instruction boundary in non-root; None: no exit for it, the event is handled as outside VMX. */
  boundary(point: Boundary): ExitKind;
  /** Monitor trap flag in force: the processor executes one instruction at a time, then Boundary.MonitorTrap. */
  readonly monitorTrap: boolean;
  /** EPT violation, misconfiguration, or full page-modification log, found by the page walk. */
  eptFault(fault: EptFault): ExitKind;
  /** The virtualized APIC of the guest; undefined outside non-root operation and without its controls. */
  readonly apic: ApicVirtualization | undefined;
  /**
   * An access to the APIC-access page that is not virtualized: an APIC-access VM exit. `qualification` has the offset in 11:0
   * and an `ApicAccess` in 15:12; during event delivery it becomes that of event delivery.
   */
  apicAccess(qualification: number, instructionLength: number): ExitKind;
  /** Triple fault, task switch. */
  tripleFault(): ExitKind;
  taskSwitch(selector: number, source: 0 | 1 | 2 | 3): ExitKind;
  /** Guest/host masks: what MOV from CR0/CR4, SMSW read in non-root. */
  readCr0(): bigint;
  readCr4(): bigint;
  /** In non-root, the value to load when the guest moves `value` to CR0/CR4: bits owned by the host keep their value. */
  ownedCr0(value: bigint): bigint;
  ownedCr4(value: bigint): bigint;
  /** RDMSR of the VMX capability range 0x480-0x493; undefined when not one of them */
  readMsr(index: number): bigint | undefined;
  /** Whether VMX operation allows this value of CR0/CR4 (fixed bits; unrestricted guest). True outside VMX operation. */
  fixedCr0(value: bigint): boolean;
  fixedCr4(value: bigint): boolean;
  /** Clock of the next event VT-x wants control at (preemption timer), or Infinity */
  nextDeadline(): number;
  /** INIT is blocked (VMX root operation). */
  readonly blocksInit: boolean;
  /** Delivery of an exception or interrupt through the IDT begins / ended, for IDT-vectoring information. */
  beginDelivery(vector: number, type: number, errorCode: number | undefined, instructionLength: number): void;
  endDelivery(): void;
  /** IRET is about to execute in non-root: "NMI exiting"/"virtual NMIs" decide what it unblocks. True: handled here. */
  iretUnblocksNmi(): boolean;
  /** State block and RAM are those of another moment: nothing derived from them is to be used. */
  restored(): void;
}

/** Access types of APIC-access VM exits (SDM vol. 3, table 28-6) */
export const ApicAccess = { READ: 0, WRITE: 1, FETCH: 2, DELIVERY: 3, PHYSICAL_DELIVERY: 10, PHYSICAL: 15 } as const;

/** What the virtualized APIC does with WRMSR. */
export const enum MsrWrite {
  /** Nothing: the instruction operates as ever */
  Ordinary,
  Done,
  /** #GP(0) */
  Fault,
}

/** The guest's APIC when VT-x virtualizes it (SDM vol. 3, chapter 30). */
export interface ApicVirtualization {
  /** Host-physical address of the APIC-access page; -1 without one */
  readonly accessPage: number;
  /** MOV from CR8; undefined: the local APIC has the task priority */
  readTaskPriority(): number | undefined;
  /** MOV to CR8; false: to the local APIC */
  writeTaskPriority(value: number): boolean;
  /** RDMSR; undefined: it operates as ever */
  readMsr(index: number): bigint | undefined;
  writeMsr(index: number, value: bigint): MsrWrite;
  /** A linear access to the APIC-access page; undefined: an APIC-access VM exit */
  readPage(offset: number, size: number): bigint | undefined;
  /** Whether `writePage` would be virtualized */
  writesPage(offset: number, size: number): boolean;
  /** False: an APIC-access VM exit */
  writePage(offset: number, size: number, value: bigint): boolean;
  /** Takes the virtual interrupt that was recognized (PendingEvent.VIRTUAL_INTERRUPT). @returns its vector */
  deliver(): number;
}

export const enum EptFaultKind {
  Violation,
  Misconfiguration,
  LogFull,
}

export interface EptFault {
  readonly kind: EptFaultKind;
  /** A violation that may become a #VE, as far as the EPT entries say */
  readonly convertible: boolean;
  readonly guestPhysical: bigint;
  readonly linear: bigint | undefined;
  /** Exit qualification bits 0-11 as the manual defines them for EPT violations; 0 otherwise */
  readonly qualification: bigint;
}

/** An instruction that is not computation plus RAM. */
export type Helper = (cpu: Processor, insn: Instruction) => void;
export type HelperTable = Readonly<Record<string, Helper>>;

export const noVirtualization: Virtualization = {
  present: false,
  nonRoot: false,
  monitorTrap: false,
  blocksInit: false,
  instruction: () => ExitKind.None,
  undefines: () => false,
  exception: () => ExitKind.None,
  boundary: () => ExitKind.None,
  eptFault: () => ExitKind.None,
  apic: undefined,
  apicAccess: () => ExitKind.None,
  tripleFault: () => ExitKind.None,
  taskSwitch: () => ExitKind.None,
  readCr0: () => 0n,
  readCr4: () => 0n,
  ownedCr0: (value) => value,
  ownedCr4: (value) => value,
  readMsr: () => undefined,
  fixedCr0: () => true,
  fixedCr4: () => true,
  nextDeadline: () => Infinity,
  beginDelivery: () => undefined,
  restored: () => undefined,
  endDelivery: () => undefined,
  iretUnblocksNmi: () => false,
};

export const noInterrupts: InterruptSource = {
  pendingVector: () => -1,
  acknowledge: () => -1,
  nextDeadline: () => Infinity,
  advance: () => undefined,
  taskPriority: 0,
};
