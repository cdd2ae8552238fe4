import { describeContextEntry, describeRootEntry, describeSecondStageEntry } from '../devices/iommu/describe';
import { FAULT_REASONS } from '../devices/iommu/fault-reasons';
import type { Iommu } from '../devices/iommu/iommu';
import type { Walk, WalkStep } from './api';

const ADDRESS_END = 1n << 52n;
const SIZE = 16;
const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/**
 * How a device's address is translated, entry by entry, by what the tables in memory say now: caches are not asked and
 * no fault is recorded. Without remapping the address is the host-physical one.
 * @param upperOf the third doubleword of the context entry at an address
 */
export function dmaWalk(
  iommu: Iommu | undefined,
  requester: number,
  address: bigint,
  upperOf: (entry: number) => number,
): Walk {
  const steps: WalkStep[] = [];
  const source = `requester ${hex(requester)}, address ${hex(address)}`;
  const end = (hostPhysical: bigint | undefined, failure?: string): Walk => ({
    steps,
    hostPhysical,
    guestPhysical: undefined,
    failure,
  });
  if (!iommu?.dma.translationEnabled) return end(address);
  if (address < 0n || address >= ADDRESS_END) return end(undefined, `${source}: beyond the physical address space`);
  const step = (
    name: string,
    level: number,
    entryAddress: number,
    low: number,
    high: number,
    output: number,
    flags: string[],
  ) => {
    const entry = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    const at = BigInt(entryAddress);
    steps.push({ name, table: 'iommu', level, entryAddress: at, entry, input: address, flags, output: BigInt(output) });
  };
  const { reason, host } = iommu.dma.probe(
    requester,
    Number(address),
    (name, level, at, low, high, output) => {
      const flags = level === 6 ? describeRootEntry(low) : describeContextEntry(low, upperOf(at));
      step(name, level, at, low, high, output, flags);
    },
    (name, level, at, low, high, output, leaf) =>
      step(name, level, at, low, high, output, describeSecondStageEntry(low, leaf, level)),
  );
  if (reason === 0) return end(BigInt(host));
  const row = FAULT_REASONS[reason];
  return end(undefined, `${source}: ${row.name} (fault reason ${hex(reason)}): ${row.text}`);
}

/** Where the third doubleword of a context entry lies */
export const upperDoubleword = (entry: number): number => entry + SIZE / 2;
