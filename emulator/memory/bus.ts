import type { HostPhysicalAddress } from './address';

/** A device seen through memory. Offsets are relative to the start of its range; sizes 1, 2, 4 or 8 bytes. */
export interface MmioRange {
  readonly name: string;
  readonly base: HostPhysicalAddress;
  readonly size: bigint;
  read(offset: bigint, size: number): bigint;
  write(offset: bigint, size: number, value: bigint): void;
}

/** A device seen through ports. Sizes 1, 2 or 4 bytes. */
export interface PortRange {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}
