/**
 * What comes into a machine from outside while it stands between two transitions: with the image, its disks and its
 * configuration, all that decides about a run. Plain data.
 */
export type MachineInput =
  /** Bytes for COM1 */
  | { readonly kind: 'serial'; readonly bytes: Uint8Array }
  /** A debugger's write to RAM */
  | { readonly kind: 'memory'; readonly ranges: readonly WrittenRange[] }
  /** A debugger's write to a register of the context that runs on a vCPU, by its name in `Registers` */
  | { readonly kind: 'register'; readonly vcpu: number; readonly name: string; readonly value: bigint }
  /** A debugger's write to a VMCS field: host-physical address of the region */
  | { readonly kind: 'vmcs'; readonly region: bigint; readonly encoding: number; readonly value: bigint };

export interface WrittenRange {
  /** Host-physical address of the first byte: RAM, all in one page */
  readonly address: number;
  readonly bytes: Uint8Array;
}
