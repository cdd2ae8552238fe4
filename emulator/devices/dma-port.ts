/**
 * How a device reaches memory: everything it reads or writes by itself goes through one of these, made for its PCI
 * requester ID, and so through the IOMMU when software has switched it on. Addresses are what the device believes:
 * host-physical without an IOMMU.
 */
export interface DmaPort {
  /** Fills `target`; false: the access was blocked, nothing is to be believed of `target`. */
  read(address: bigint, target: Uint8Array): boolean;
  /** False: the access was blocked; bytes before the blocked page may have been written. Code caches stay coherent. */
  write(address: bigint, bytes: Uint8Array): boolean;
}
