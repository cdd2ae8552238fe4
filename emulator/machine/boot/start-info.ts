import type { MemoryPlan } from './memory-plan';
import { memoryMap } from './memory-map';
import type { LoadedModule } from './modules';
import { StructWriter, zeroEnded } from './struct-writer';

// Structures of the PVH boot protocol: Xen, "x86/HVM direct boot ABI" (docs/misc/pvh.pandoc) and
// public/arch-x86/hvm/start_info.h, version 1.
const MAGIC = 0x336ec578;
const VERSION = 1;
const HEADER_SIZE = 56;
const MODULE_SIZE = 32;
const MEMORY_MAP_ENTRY_SIZE = 24;
const PAGE = 4096;

/**
 * Puts start info, module list, memory map and command lines in one piece of low memory.
 * @param ram the machine's RAM from host-physical 0
 * @param rsdp physical address of the ACPI root pointer, 0 = none
 * @returns the physical address of hvm_start_info
 */
export function placeStartInfo(
  plan: MemoryPlan,
  ram: Uint8Array,
  modules: readonly LoadedModule[],
  commandLine: string,
  rsdp: number,
): number {
  const map = memoryMap(ram.length);
  const texts = [commandLine, ...modules.map((module) => module.commandLine)].map(zeroEnded);
  const modulesAt = HEADER_SIZE;
  const mapAt = modulesAt + modules.length * MODULE_SIZE;
  const textAt = mapAt + map.length * MEMORY_MAP_ENTRY_SIZE;
  const size = texts.reduce((sum, text) => sum + text.length, textAt);
  const base = plan.allocate('the start info', size, PAGE);
  let next = base + textAt;
  const textAddresses = texts.map(({ length }) => {
    const address = next;
    next += length;
    return address;
  });

  const out = new StructWriter();
  out.u32(MAGIC, VERSION, 0, modules.length);
  out.u64(modules.length ? base + modulesAt : 0, textAddresses[0] ?? 0, rsdp, base + mapAt);
  out.u32(map.length, 0);
  modules.forEach(({ address, size: length }, i) => out.u64(address, length, textAddresses[i + 1] ?? 0, 0));
  for (const { start, end, type } of map) out.u64(start, end - start).u32(type, 0);
  for (const text of texts) out.raw(text);
  ram.set(out.finish(), base);
  return base;
}
