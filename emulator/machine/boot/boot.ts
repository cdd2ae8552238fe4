import { RAM_BASE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { CpuState } from '../../cpu/state';
import type { MachineConfiguration } from '../api';
import { enterKernel } from './entry-state';
import { loadKernel } from './kernel';
import { MemoryPlan } from './memory-plan';
import { placeStartInfo } from './start-info';

/**
 * Loads the kernel, its modules and the start info into RAM and puts the processor at the entry point.
 * @param state the boot processor, after reset
 * @throws MachineError when the configuration or an image cannot be loaded; nothing runs then
 */
export function boot(configuration: MachineConfiguration, memory: MachineMemory, state: CpuState): void {
  const ram = memory.u8.subarray(RAM_BASE, RAM_BASE + memory.ramSize);
  const plan = new MemoryPlan(memory.ramSize);
  const kernel = loadKernel(configuration.kernel, plan, ram);
  const startInfo = placeStartInfo(plan, ram, configuration.modules, configuration.commandLine);
  enterKernel(kernel, startInfo, state, plan, ram);
}
