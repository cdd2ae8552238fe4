import type { CpuState } from '../../cpu/state';
import { RAM_BASE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import { MachineError, type BootProtocol, type BootReport, type MachineConfiguration } from '../api';
import { chooseProtocol } from './choice';
import { bootPlainElf, bootPvh } from './elf';
import { enter } from './entry-state';
import { MemoryPlan } from './memory-plan';
import { bootMultiboot } from './multiboot';
import { bootMultiboot2 } from './multiboot2';
import { bootRaw } from './raw';
import type { BootRequest, Entry, RootPointer } from './request';

const PROTOCOLS: Readonly<Record<BootProtocol, (request: BootRequest) => Entry>> = {
  pvh: bootPvh,
  multiboot2: bootMultiboot2,
  multiboot: bootMultiboot,
  elf: bootPlainElf,
  raw: bootRaw,
};

const NO_ACPI: RootPointer = { address: 0, bytes: new Uint8Array() };

/**
 * Loads the kernel, its modules and the information that its boot protocol hands over, and puts the processor at the
 * entry point.
 * @param state the boot processor, after reset
 * @throws MachineError when the configuration or an image cannot be loaded; nothing runs then
 */
export function boot(
  configuration: MachineConfiguration,
  memory: MachineMemory,
  state: CpuState,
  rsdp: RootPointer = NO_ACPI,
): BootReport {
  const { kernel, modules, commandLine } = configuration;
  const ram = memory.u8.subarray(RAM_BASE, RAM_BASE + memory.ramSize);
  const plan = new MemoryPlan(memory.ramSize);
  const report = chooseProtocol(kernel, configuration.boot ?? 'auto');
  if (configuration.raw && report.protocol !== 'raw')
    throw new MachineError(
      `raw says where an image without headers goes, but ${kernel.name} is loaded by ${report.protocol}: ${report.reason}. Leave raw out, or say boot "raw".`,
    );
  const request = { kernel, modules, commandLine, raw: configuration.raw ?? {}, plan, ram, rsdp };
  enter(PROTOCOLS[report.protocol](request), state, plan, ram);
  return report;
}
