/**
 * The kinds of address, told apart by type so that one is never passed for another.
 *
 * All are `bigint`: a linear address in the high half does not fit a `number`.
 * - linear: what an instruction uses after segmentation (SDM vol. 3, 3.1)
 * - guest-physical: what paging produces in VMX non-root operation with EPT (SDM vol. 3, "EPT Translation Mechanism")
 * - host-physical: what reaches the bus. Outside EPT, guest-physical and host-physical coincide.
 */
declare const kind: unique symbol;
export type LinearAddress = bigint & { readonly [kind]: 'linear' };
export type GuestPhysicalAddress = bigint & { readonly [kind]: 'guest-physical' };
export type HostPhysicalAddress = bigint & { readonly [kind]: 'host-physical' };

export const linear = (value: bigint): LinearAddress => BigInt.asUintN(64, value) as LinearAddress;
export const guestPhysical = (value: bigint): GuestPhysicalAddress => value as GuestPhysicalAddress;
export const hostPhysical = (value: bigint): HostPhysicalAddress => value as HostPhysicalAddress;

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12n;
export const PAGE_MASK = 0xfffn;
