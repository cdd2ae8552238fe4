import type { VmExitRecord } from '../../cpu/taps';
import type { FlowKind } from './flows';

/** Whose secrets are told apart: the monitor's own, and up to seven guests (more share their numbers). */
export const OWN_SECRETS = 1;
export const labelOfGuest = (guest: number): number => 2 << ((guest - 1) % 7);
export const GUEST_LABELS = 0xfe;

/** Who runs on a processor: root operation; the VMM, who may see no secret; or a guest, by its number from 1. */
export type Runner = 'root' | 'vmm' | number;

export interface HostRange {
  /** Host-physical; `end` is not part of it */
  readonly start: number;
  readonly end: number;
}

/** Guest-physical, of one guest or (0) of each */
export interface GuestRange extends HostRange {
  readonly guest: number;
}

/** A function whose output is declared to be no secret. */
export interface DeclaredFunction {
  readonly name: string;
  /** Linear address of its first instruction */
  readonly entry: bigint;
  /** Number of the register that points to the output when it is called */
  readonly output: number;
  /** Number of the register that holds the length in bytes, or the length */
  readonly length: { readonly register: number } | { readonly bytes: number };
  /** Only bytes that depend on one of the monitor's own secrets are declared, where such are known. */
  readonly keyed: boolean;
  /** Numbers of the registers that point to the initialization vector and to the key: no pair of them may come twice. */
  readonly iv: number | undefined;
  readonly key: number | undefined;
}

export interface SecrecyOptions {
  /** Who is entered by a VM entry with this VMCS and EPT pointer (0: none); asked at each entry */
  readonly runnerOf: (vcpu: number, vmcs: bigint, eptp: bigint) => Runner;
  /** Bits of a general register that an exit of a guest shows legally */
  readonly shows: (exit: VmExitRecord, register: number) => bigint;
  /** Memory that guests share on purpose: what they store there is no secret, and no secret may be there. */
  readonly shared: readonly HostRange[];
  readonly sharedByGuests: readonly GuestRange[];
  /** Where the monitor's own secrets lie: what is stored there is secret */
  readonly secrets: readonly HostRange[];
  readonly encryption: readonly DeclaredFunction[];
  /** What is loaded from an address that depends on a secret is secret (a table lookup); default: no */
  readonly addresses?: boolean;
}

/** By what way a secret got, or can get, to somebody who must not have it. */
export type Leak =
  /** In general registers when control goes to somebody */
  | { readonly by: 'register'; readonly registers: readonly number[] }
  /** In the x87 and SSE registers */
  | { readonly by: 'extended-registers' }
  /** In a guest-state field of the VMCS that is entered */
  | { readonly by: 'field'; readonly field: string }
  /** In memory that the tables in force let him read, when control goes to him */
  | { readonly by: 'memory' }
  /** He reads it */
  | { readonly by: 'read' }
  /** It lies in memory that is shared on purpose. */
  | { readonly by: 'shared' }
  /** A device reads it. */
  | { readonly by: 'device'; readonly requester: number }
  | { readonly by: 'port'; readonly port: number }
  | { readonly by: 'device-register'; readonly address: number }
  /** Not a flow: a declared encryption was called with a key and an initialization vector that it had before. */
  | { readonly by: 'iv-reused'; readonly function: string; readonly moment: number };

export interface SecretLeak {
  readonly leak: Leak;
  /** Who gets it; a device's leaks: who runs */
  readonly to: Runner;
  /** Whose secrets: OWN_SECRETS, labelOfGuest */
  readonly labels: number;
  readonly vcpu: number;
  readonly moment: number;
  /** Linear address of the instruction that runs, and host-physical address of the bytes, where there are some */
  readonly rip: bigint;
  readonly address: number | undefined;
  readonly length: number;
  /** How it came there; the first step first */
  readonly steps: readonly SecretStep[];
  /** What was before the first step is not known any more. */
  readonly incomplete: boolean;
}

export interface SecretStep {
  readonly kind: FlowKind;
  readonly moment: number;
  readonly vcpu: number;
  readonly rip: bigint;
  /** Host-physical; for a disk the sector; for an exit its reason */
  readonly at: number;
  readonly length: number;
}

/** What a machine that tracks secrecy offers to those above. */
export interface SecrecyTracking {
  /** Told at once, when it happens; the same leak from the same source once. Returns the way to remove it. */
  onLeak(listener: (leak: SecretLeak) => void): () => void;
  /** Who runs, in the tracker's view */
  runner(vcpu: number): Runner;
  /** Secret bits of a general register of the running vCPU */
  registerBits(register: number): bigint;
  /** Secret bits of one byte, at a host-physical address, and whose they are */
  byteAt(address: number): { readonly bits: number; readonly labels: number; readonly steps: readonly SecretStep[] };
  /** Bytes of RAM that hold a secret */
  readonly secretBytes: number;
  /** For snapshots: an opaque copy */
  save(): unknown;
  restore(saved: unknown): void;
}
