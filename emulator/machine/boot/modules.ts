import type { BootImage } from '../api';
import type { MemoryPlan } from './memory-plan';

const PAGE = 4096;

/** A module in RAM */
export interface LoadedModule {
  readonly address: number;
  readonly size: number;
  /** What the protocol hands over with it */
  readonly commandLine: string;
}

/** Puts the modules on pages of their own, in their order, above everything else. */
export function placeModules(plan: MemoryPlan, ram: Uint8Array, modules: readonly BootImage[]): LoadedModule[] {
  return modules.map(({ name, bytes, commandLine }) => {
    const address = plan.allocateHigh(`module ${name}`, bytes.length, PAGE);
    ram.set(bytes, address);
    return { address, size: bytes.length, commandLine: commandLine ?? name };
  });
}
