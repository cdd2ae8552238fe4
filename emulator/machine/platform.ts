import type { Iommu } from '../devices/iommu/iommu';
import type { MachineMemory } from '../memory/machine-memory';
import type { PhysicalMemory } from '../memory/physical';
import type { Processors } from './processors';

/**
 * What a machine is made of, for those who watch it from below (watch/) or keep its past (timeline/). Whoever has it may
 * look at everything and must change nothing.
 */
export interface Platform {
  readonly memory: MachineMemory;
  readonly physical: PhysicalMemory;
  readonly processors: Processors;
  readonly iommu: Iommu | undefined;
}
