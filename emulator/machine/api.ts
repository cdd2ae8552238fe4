import type { Taps } from '../cpu/taps';
import type { BlockSource } from '../devices/storage/block-source';
import type { Instruction } from '../isa/instruction';
import type { HostPhysicalAddress } from '../memory/address';
import type { MachineMemory } from '../memory/machine-memory';
import type { AccessHit, Watchpoint, WatchRequest } from './watchpoints';
import type { SecrecyOptions, SecrecyTracking } from './secrecy/api';
import type { MachineInput } from './input';
import type { MachineState } from './state';
import type { Platform } from './platform';

/**
 * The machine as the debug adapter, the command line and tests use it. Implemented by machine/machine.ts.
 * Everything is synchronous; the caller runs it in slices and stays responsive between them.
 */
export interface Machine {
  readonly configuration: MachineConfiguration;
  /** How the kernel was loaded, and why so */
  readonly boot: BootReport;
  /** Instructions retired since power-on, all vCPUs: the virtual clock */
  readonly instructions: number;
  /**
   * Transitions since power-on, all vCPUs: instructions that retired, and events that retired none (a VM exit, a delivery,
   * a jump of the clock, the end of a turn). Every state between two of them has a number of its own.
   */
  readonly moment: number;
  readonly vcpus: readonly Vcpu[];
  /** Callbacks of the platform; several listeners may be added. */
  addTaps(taps: Taps): () => void;
  /** Serial output of COM1, byte by byte, with the context that wrote it. */
  onSerial(listener: (byte: number, vcpu: number) => void): () => void;
  /** Output of the debug console, ports 0xe9 and 0x402. */
  onDebugConsole(listener: (byte: number, vcpu: number) => void): () => void;
  serialInput(bytes: Uint8Array): void;
  /** Called with all that is given to the machine from outside while it stands, before it takes effect. */
  onInput(listener: (input: MachineInput) => void): () => void;
  /** Gives an input that `onInput` told of once more; nobody is told. */
  apply(input: MachineInput): void;
  /**
   * Runs at most `limit` instructions of all vCPUs together, and stops earlier on a breakpoint, a requested stop or the
   * machine's end.
   * `stepOverBreakpoint`: the first instruction, that of the vCPU whose turn it is, does not report its breakpoint.
   * `vcpu`: the limit counts instructions of this one, while the others run as their turns come. When they have
   * executed a million without it, the run ends as by the limit.
   * `until`: a moment that is never passed; the run ends there as by the limit.
   */
  run(limit: number, stepOverBreakpoint?: boolean, vcpu?: number, until?: number): RunResult;
  /** Ends the running `run` at the next instruction boundary; called from taps and breakpoint listeners. */
  requestStop(): void;
  /**
   * Watches bytes of memory: the listener is told of each access before it takes place, with the instruction that makes it, and
   * may ask for a stop, which then comes right after it. As many as wanted.
   */
  watch(request: WatchRequest, listener: (hit: AccessHit) => void): Watchpoint;
  /** Linear addresses at which execution stops before the instruction, in any address space. */
  setBreakpoints(addresses: ReadonlySet<bigint>): void;
  /** Reads bytes; undefined parts (no RAM, not mapped) end the result early. Never changes A/D bits or devices. */
  readMemory(space: AddressSpace, address: bigint, length: number): Uint8Array;
  /** Writes bytes; returns how many were written. Code caches and TLB stay coherent. */
  writeMemory(space: AddressSpace, address: bigint, bytes: Uint8Array): number;
  /** Every step of a translation, for the Address Translation view. Never faults, changes nothing. */
  walk(space: AddressSpace, address: bigint): Walk;
  /**
   * The same for what a device addresses: through root and context table and the second-stage tables of the IOMMU.
   * `requester`: PCI requester ID, bus << 8 | device << 3 | function.
   */
  dmaTranslate(requester: number, address: bigint): Walk;
  readonly contexts: readonly Context[];
  /** Index of the vCPU whose turn it is: the one that a tap, a breakpoint or a requested stop belongs to */
  readonly runningVcpu: number;
  /** The context that runs on a vCPU */
  running(vcpu: number): Context;
  /** Contexts of the vCPU that were interrupted by a VM exit or entry, most recent first; not the running one. */
  interrupted(vcpu: number): readonly Context[];
  /** A VMCS field by encoding from the region at this address; undefined when no such field or no RAM. */
  readVmcs(region: HostPhysicalAddress, encoding: number): bigint | undefined;
  writeVmcs(region: HostPhysicalAddress, encoding: number, value: bigint): boolean;
  /** The instruction at a linear address of this space, decoded, or undefined */
  decode(space: AddressSpace, linear: bigint): Instruction | undefined;
  /**
   * From now on follows where secrets go (machine/secrecy/). What the machine computes is the same; it is slower where
   * secrets are touched. Once a machine, best before its first instruction.
   */
  trackSecrecy(options: SecrecyOptions): SecrecyTracking;
  /** SHA-256 over vCPU state, RAM and device state: equal for equal machines. Lower-case hex. */
  stateHash(): string;
  /** CRC-32 over the vCPUs' state alone, at the cost of some kilobytes: for comparing often */
  digest(): number;
  /** Guest RAM from host-physical address 0, to be read */
  readonly ram: Uint8Array<ArrayBuffer>;
  /** For who keeps the history of RAM */
  readonly inside: MachineInside;
  /** All but RAM, for `restoreState` of the same machine */
  saveState(): MachineState;
  /** The machine is what it was, once RAM is too. Taps and listeners stay. */
  restoreState(saved: MachineState): void;
  translatorEnabled: boolean;
  /** How the work was done; no part of the machine's state */
  readonly statistics: MachineStatistics;
  /** What it is made of, for watch/ and timeline/ */
  readonly platform: Platform;
}

/** What a history of RAM needs of a machine. Addresses are those of the wasm memory. */
export interface MachineInside {
  readonly memory: MachineMemory;
  /** Whether something was made of the code in the RAM page that begins here */
  isCodePage(ramPage: number): boolean;
  /** These bytes of RAM were replaced. A state has to be restored then. */
  codeWritten(wasmAddress: number, length: number): void;
  /** Generated code is to lose its free ways to write RAM. */
  withdrawWrites(): void;
  /** Makes RAM what it was at power-on, and nothing else; of code that changes nobody is told. */
  powerOn(): void;
}

export interface MachineStatistics {
  /** Instructions executed by the interpreter, and in translated regions */
  readonly interpreted: number;
  readonly translated: number;
  readonly regionsCompiled: number;
}

export interface Vcpu {
  readonly index: number;
  /** The registers of the running context */
  readonly registers: Registers;
  /** SDM vol. 3, 25.4.2 */
  readonly activity: 'active' | 'halted' | 'shutdown' | 'waiting for SIPI';
  /** Instructions that it has retired */
  readonly instructions: number;
  /** Its virtual clock in ticks: instructions that it has retired, and ticks slept. A tick counts as a nanosecond. */
  readonly clock: number;
}

/** Register access by the manual's lower-case name: rax..r15, rip, rflags, cr0.., cs, cs.base, gdtr.base, efer, ... */
export interface Registers {
  names(): readonly string[];
  read(name: string): bigint | undefined;
  /** False: no such register, or it cannot be written in this context. */
  write(name: string, value: bigint): boolean;
}

/**
 * (vCPU, root or not, current VMCS). The first context is the machine's owner in root or outside VMX operation.
 * A context that does not run keeps the registers that it had when it was left.
 */
export interface Context {
  readonly id: number;
  readonly vcpu: number;
  readonly root: boolean;
  /** Undefined for root and for the time before VMX operation */
  readonly vmcs: HostPhysicalAddress | undefined;
  readonly registers: Registers;
  readonly space: AddressSpace;
  readonly lastLeft: LeftRecord | undefined;
  /** Retired count when it was first entered */
  readonly since: number;
}

/** How a context was left: by a VM exit (non-root), or by a VM entry or VMXON-time handover (root). */
export interface LeftRecord {
  readonly kind: 'exit' | 'entry';
  readonly n: number;
  readonly instruction: number;
  readonly reason: number;
  readonly qualification: bigint;
  readonly guestPhysical: bigint;
  readonly guestLinear: bigint;
}

/** Where an address is meant. `linear` uses the context's own CR3 and EPT pointer. */
export interface AddressSpace {
  readonly kind: 'linear' | 'guest-physical' | 'host-physical';
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** 0 when EPT is not in use */
  readonly eptp: bigint;
  /** Bits of EptControl (memory/paging-context.ts): mode-based execute control makes other entries present */
  readonly eptControls?: number;
  /** Code size of the context's CS: decoding */
  readonly codeSize: 16 | 32 | 64;
}

export interface Walk {
  readonly steps: readonly WalkStep[];
  readonly hostPhysical: bigint | undefined;
  readonly guestPhysical: bigint | undefined;
  readonly failure: string | undefined;
}

export interface WalkStep {
  /** 'PML4E', 'PDPTE', 'PDE', 'PTE', 'EPT PML4E', ... */
  readonly name: string;
  readonly table: 'paging' | 'ept' | 'iommu';
  readonly level: number;
  /** Where the entry lies, and its value */
  readonly entryAddress: bigint;
  readonly entry: bigint;
  /** For which guest-physical address this EPT step was made */
  readonly input: bigint;
  /** Names of the set bits, in words: "present", "writable", "2 MiB page" */
  readonly flags: readonly string[];
  readonly output: bigint;
}

export type RunResult =
  | { readonly why: 'limit' }
  | { readonly why: 'breakpoint'; readonly vcpu: number; readonly linear: bigint }
  | { readonly why: 'requested' }
  | { readonly why: 'ended'; readonly outcome: Outcome };

export type Outcome =
  /** Value written to the exit port; success when it is 0 */
  | { readonly kind: 'exit-port'; readonly code: number }
  /** A program pulled the reset line; `cause` says by which register. The machine is not started again. */
  | { readonly kind: 'reset'; readonly cause: string }
  /** ACPI S5 */
  | { readonly kind: 'power-off' }
  | { readonly kind: 'triple-fault'; readonly vcpu: number; readonly description: string }
  /** HLT with nothing that could ever wake it */
  | { readonly kind: 'halted-forever'; readonly vcpu: number }
  | { readonly kind: 'vmx-abort'; readonly vcpu: number; readonly code: number }
  /** The emulator met something it does not implement: says what and where */
  | { readonly kind: 'unsupported'; readonly description: string };

export { MAXIMUM_VCPUS as MAXIMUM_PROCESSORS } from '../memory/layout';
export const MAXIMUM_QUANTUM = 1_000_000_000;

export interface MachineConfiguration {
  /** RAM in MiB, 1..3072 */
  readonly memory: number;
  readonly kernel: BootImage;
  readonly modules: readonly BootImage[];
  readonly commandLine: string;
  /** How `kernel` is loaded; absent or 'auto': by what its headers say */
  readonly boot?: BootProtocol | 'auto';
  /** What the real-time clock shows at power-on, in seconds since 1970; absent: 1 January 2026 */
  readonly startTime?: number;
  /** Where an image without headers goes; only for raw images */
  readonly raw?: RawPlace;
  /** How many, 1 to 8; 1 when absent */
  readonly processors?: number;
  /**
   * With several processors: the instructions that one executes before it is another's turn. The same value gives the same
   * run; another one another interleaving. 10000 when absent
   */
  readonly quantum?: number;
  /** Hot code is translated; otherwise everything is interpreted. The results are the same. */
  readonly translator: boolean;
  /**
   * Tells by the tap `staleTranslation` of every use of a cached translation that the tables contradict. Results are the
   * same; it is slower, and nothing is translated.
   */
  readonly strictTranslation?: boolean;
  /** Instructions interpreted in a page before its code is translated; a low value translates nearly everything */
  readonly translatorThreshold?: number;
  readonly disks?: readonly DiskConfiguration[];
  /** A VT-d unit for all PCI devices and the I/O APIC */
  readonly iommu?: boolean;
  /**
   * A TPM 2.0 at FED4_0000H with the FIFO interface ('tis') or the command response buffer ('crb', which `true` means
   * too). Its seeds follow from `randomSeed`.
   */
  readonly tpm?: boolean | 'tis' | 'crb';
  /** Where the generator behind RDRAND and RDSEED begins, a whole number from 0; 0 when absent */
  readonly randomSeed?: number;
}

export type BootProtocol = 'pvh' | 'multiboot2' | 'multiboot' | 'elf' | 'raw';

export interface BootReport {
  readonly protocol: BootProtocol;
  /** In words: the header that was found and where, or that the configuration says so */
  readonly reason: string;
}

/** A raw image is copied to `address` and entered at `entry`. Absent: 0x7c00 in real mode, or 1 MiB in flat 32-bit mode. */
export interface RawPlace {
  readonly address?: bigint;
  /** Physical; absent: the first byte of the image */
  readonly entry?: bigint;
  /** 16: real mode. 32: protected mode, flat segments, no paging */
  readonly bits?: 16 | 32;
}

/** A disk. Its place follows from its interface and its order: IDE primary master, slave, secondary master, slave. */
export interface DiskConfiguration {
  /** For messages */
  readonly name: string;
  readonly source: BlockSource;
  readonly interface: DiskInterface;
  readonly readOnly?: boolean;
  /** Default copy-on-write: what the machine writes stays in memory, and the image as it is */
  readonly write?: 'copy-on-write' | 'through';
}

export type DiskInterface = 'ide' | 'virtio';

export interface BootImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly commandLine?: string;
}

/** A configuration or image that cannot be run. The message says what, where, and what to do. */
export class MachineError extends Error {
  override name = 'MachineError';
}
