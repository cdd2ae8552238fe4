import type { BootImage } from '../api';
import type { MemoryPlan } from './memory-plan';

// Structures of the PVH boot protocol: Xen, "x86/HVM direct boot ABI" (docs/misc/pvh.pandoc) and
// public/arch-x86/hvm/start_info.h, version 1.
const MAGIC = 0x336ec578;
const VERSION = 1;
const HEADER_SIZE = 56;
const MODULE_SIZE = 32;
const MEMORY_MAP_ENTRY_SIZE = 24;
const PAGE = 4096;
/** Types as in the BIOS's E820 map */
const MEMORY_RAM = 1;
const MEMORY_RESERVED = 2;

export interface LoadedModule {
  readonly image: BootImage;
  readonly address: number;
}

/** The memory map that the guest is told: [start, end, type] */
function memoryMap(ramSize: number): readonly (readonly [number, number, number])[] {
  return [
    [0, 0x9fc00, MEMORY_RAM],
    [0x9fc00, 0x100000, MEMORY_RESERVED],
    [0x100000, ramSize, MEMORY_RAM],
    [0xfec00000, 0x100000000, MEMORY_RESERVED],
  ];
}

/**
 * Puts modules above everything else, and start info, module list, memory map and command lines in one piece of low
 * memory.
 * @param ram the machine's RAM from host-physical 0
 * @returns the physical address of hvm_start_info
 */
export function placeStartInfo(
  plan: MemoryPlan,
  ram: Uint8Array,
  modules: readonly BootImage[],
  commandLine: string,
): number {
  const loaded = modules.map((image): LoadedModule => {
    const address = plan.allocateHigh(`module ${image.name}`, image.bytes.length, PAGE);
    ram.set(image.bytes, address);
    return { image, address };
  });
  const map = memoryMap(ram.length);
  const encoder = new TextEncoder();
  const texts = [commandLine, ...modules.map((image) => image.commandLine ?? image.name)].map((text) =>
    encoder.encode(`${text}\0`),
  );
  const textSize = texts.reduce((sum, text) => sum + text.length, 0);
  const modulesAt = HEADER_SIZE;
  const mapAt = modulesAt + loaded.length * MODULE_SIZE;
  const textAt = mapAt + map.length * MEMORY_MAP_ENTRY_SIZE;
  const base = plan.allocate('the start info', textAt + textSize, PAGE);

  const view = new DataView(ram.buffer, ram.byteOffset + base, textAt + textSize);
  const set64 = (at: number, value: number) => view.setBigUint64(at, BigInt(value), true);
  let at = textAt;
  const textAddresses = texts.map((text) => {
    const address = base + at;
    ram.set(text, address);
    at += text.length;
    return address;
  });
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(8, 0, true); // flags
  view.setUint32(12, loaded.length, true);
  set64(16, loaded.length ? base + modulesAt : 0);
  set64(24, textAddresses[0] ?? 0);
  set64(32, 0); // no ACPI tables
  set64(40, base + mapAt);
  view.setUint32(48, map.length, true);
  view.setUint32(52, 0, true);
  loaded.forEach(({ image, address }, i) => {
    const entry = modulesAt + i * MODULE_SIZE;
    set64(entry, address);
    set64(entry + 8, image.bytes.length);
    set64(entry + 16, textAddresses[i + 1] ?? 0);
    set64(entry + 24, 0);
  });
  map.forEach(([start, end, type], i) => {
    const entry = mapAt + i * MEMORY_MAP_ENTRY_SIZE;
    set64(entry, start);
    set64(entry + 8, end - start);
    view.setUint32(entry + 16, type, true);
    view.setUint32(entry + 20, 0, true);
  });
  return base;
}
