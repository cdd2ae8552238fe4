/** Types as in the BIOS's E820 map, which every boot protocol and fw-cfg share */
export const enum MemoryType {
  Ram = 1,
  Reserved = 2,
}

/** [start, end) of host-physical memory */
export interface MemoryMapEntry {
  readonly start: number;
  readonly end: number;
  readonly type: MemoryType;
}

/** Conventional memory ends here; the KiB behind it is the extended BIOS data area. */
export const CONVENTIONAL_END = 0x9fc00;
export const HIGH_MEMORY = 0x100000;
/** Configuration space of PCI, I/O APIC, HPET, local APICs, TPM: nothing there is memory. */
const DEVICES_START = 0xe0000000;
const DEVICES_END = 0x100000000;

/**
 * The one memory map: whatever tells a program what memory there is (PVH, multiboot 1 and 2, fw-cfg) tells this.
 * Video memory and firmware, below 1 MiB, are where the ACPI tables lie.
 */
export function memoryMap(ramSize: number): readonly MemoryMapEntry[] {
  const map = [
    { start: 0, end: CONVENTIONAL_END, type: MemoryType.Ram },
    { start: CONVENTIONAL_END, end: HIGH_MEMORY, type: MemoryType.Reserved },
    { start: HIGH_MEMORY, end: ramSize, type: MemoryType.Ram },
    { start: DEVICES_START, end: DEVICES_END, type: MemoryType.Reserved },
  ];
  return map.filter(({ start, end }) => end > start);
}
