import type { GuestPhysicalAddress, HostPhysicalAddress, LinearAddress } from '../memory/address';
import type { TableWriter } from '../memory/table-watch';

/**
 * Named callbacks, one for each kind of change that a debugger wants to know of. A tap that nobody sets is
 * `undefined`, and the place that would call it tests for that: watching costs nothing when off.
 * Callbacks see the state after the change unless said otherwise, and must not change the machine.
 */
export interface Taps {
  /** A VM exit is complete; root state is loaded. `record` is reused: copy what you keep. */
  vmExit?: ((record: VmExitRecord) => void) | undefined;
  /** Before the exit changes anything: guest state is still in the processor. */
  vmExitBegin?: ((reason: number, vcpu: number) => void) | undefined;
  /** VMLAUNCH or VMRESUME passed all checks; root state is still in the processor, with RIP at that instruction. */
  vmEntryBegin?: ((vcpu: number) => void) | undefined;
  /** `record` is reused: copy what you keep. */
  vmEntry?: ((record: VmEntryRecord) => void) | undefined;
  /** VM entry refused: VMfail or entry-failure exit; the named check. */
  vmEntryFailed?: ((failure: VmEntryFailure) => void) | undefined;
  exception?:
    ((vector: number, errorCode: number | undefined, linear: LinearAddress, vcpu: number) => void) | undefined;
  interrupt?: ((vector: number, vcpu: number) => void) | undefined;
  tripleFault?: ((vcpu: number) => void) | undefined;
  controlRegister?: ((register: number, value: bigint, vcpu: number) => void) | undefined;
  tlbFlush?: ((scope: string, vcpu: number) => void) | undefined;
  /** Strict mode: an access used a cached translation that the tables in memory contradict. */
  staleTranslation?: ((use: StaleTranslation) => void) | undefined;
  /** A device read or wrote memory by itself, or was kept from it; one call for each page. */
  dma?: ((record: DmaRecord) => void) | undefined;
}

/** Permissions are bits of memory/tlb.ts `Permission`. */
export interface StaleTranslation {
  readonly vcpu: number;
  /** Retired instructions of the vCPU, and the instruction that made the access */
  readonly instruction: number;
  readonly rip: bigint;
  readonly linear: LinearAddress;
  readonly access: 'read' | 'write' | 'fetch';
  /** What was cached and used; `guestPhysical` under EPT */
  readonly guestPhysical: GuestPhysicalAddress | undefined;
  readonly hostPhysical: HostPhysicalAddress;
  readonly permissions: number;
  /** What the tables say, in words, and where they lead; undefined: they do not map the address */
  readonly difference: string;
  readonly currentHostPhysical: HostPhysicalAddress | undefined;
  readonly currentPermissions: number;
  /** The entry that was changed last; undefined when none was: the root leads to other tables */
  readonly entry: StaleEntry | undefined;
  /** What software left out: "INVEPT for ..." */
  readonly invalidation: string;
  readonly vpid: number;
  readonly pcid: number;
  readonly eptRoot: bigint;
}

export interface StaleEntry {
  readonly table: 'paging' | 'ept';
  /** 'PTE', 'EPT PDE', ... */
  readonly name: string;
  readonly address: HostPhysicalAddress;
  readonly before: bigint;
  readonly now: bigint;
  readonly writer: TableWriter;
}

export interface DmaRecord {
  /** PCI requester ID: bus << 8 | device << 3 | function */
  readonly requester: number;
  /** As the device gave it */
  readonly address: number;
  /** After remapping; -1 when there is none */
  readonly hostPhysical: number;
  readonly length: number;
  readonly write: boolean;
  /** Why the access did not happen; undefined: it did */
  readonly blocked: string | undefined;
}

export interface VmExitRecord {
  /** Ordinal from 1, of this vCPU's exits */
  readonly n: number;
  /** Retired instructions of this vCPU at the exit */
  readonly instruction: number;
  readonly vcpu: number;
  /** VMCS that was current: identifies the layer that was left */
  readonly vmcs: HostPhysicalAddress;
  /** Exit-reason field, 32 bits with flags; basic reason = low 16 */
  readonly reason: number;
  readonly qualification: bigint;
  readonly guestLinear: LinearAddress;
  readonly guestPhysical: GuestPhysicalAddress;
  readonly interruptionInformation: number;
  readonly interruptionErrorCode: number;
  readonly instructionLength: number;
  /** The instruction pointer where the guest was left, and its code segment base */
  readonly rip: bigint;
  readonly csBase: bigint;
}

export interface VmEntryRecord {
  readonly n: number;
  readonly instruction: number;
  readonly vcpu: number;
  readonly vmcs: HostPhysicalAddress;
  /** VMLAUNCH or VMRESUME */
  readonly launch: boolean;
  readonly rip: bigint;
  /** VM-entry interruption-information field when an event is injected, else 0 */
  readonly injected: number;
}

export interface VmEntryFailure {
  readonly instruction: number;
  readonly vcpu: number;
  readonly vmcs: HostPhysicalAddress;
  /** Identifier of the row in vmx/entry-checks */
  readonly check: string;
  /** The rule in words, e.g. "CR4.VMXE must be 1 (fixed bit)" */
  readonly rule: string;
  /** Field name and value that failed */
  readonly field: string;
  readonly value: bigint;
  /** Manual section, e.g. "SDM vol. 3, 27.2.2" */
  readonly section: string;
  /** VM-instruction error number for VMfailValid, or exit reason 33/34/41 with the failure bit */
  readonly error: number | undefined;
  readonly exitReason: number | undefined;
}
