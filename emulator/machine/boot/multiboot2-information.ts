import { SectionFlag, SectionType, type ElfFile } from '../elf';
import { CONVENTIONAL_END, HIGH_MEMORY, memoryMap } from './memory-map';
import { placeModules } from './modules';
import type { BootRequest } from './request';
import { StructWriter } from './struct-writer';

// Boot information tags: "Multiboot2 Specification version 2.0", 3.6.
const enum Tag {
  End,
  CommandLine,
  LoaderName,
  Module,
  BasicMemory,
  BootDevice,
  MemoryMap,
  ElfSections = 9,
  AcpiOld = 14,
  AcpiNew = 15,
  LoadBase = 21,
}
const MAP_ENTRY_SIZE = 24;
const LOADER_NAME = 'Undervisor';
const FIRST_HARD_DISK = 0x80;
const NO_PARTITION = 0xffffffff;
/** ACPI 1.0's root pointer is the first 20 bytes of that of ACPI 2.0. */
const OLD_RSDP_SIZE = 20;
const STRING_TABLE = 3;
const PAGE = 4096;
const ADDRESS_AREA = 0x9000;

/**
 * Modules into high, information tags into low memory.
 * @param loadBase where a relocatable image came to lie
 * @returns the physical address of the tags
 */
export function placeMultiboot2Information(
  request: BootRequest,
  elf: ElfFile | undefined,
  loadBase: number | undefined,
): number {
  const { commandLine, modules, plan, ram, rsdp } = request;
  const out = new StructWriter();
  out.u32(0, 0);
  const tag = (type: Tag, body: (writer: StructWriter) => void) => {
    const start = out.align(8).length;
    out.u32(type, 0);
    body(out);
    out.patch32(start + 4, out.length - start);
  };
  tag(Tag.CommandLine, (to) => to.text(commandLine));
  tag(Tag.LoaderName, (to) => to.text(LOADER_NAME));
  if (loadBase !== undefined) tag(Tag.LoadBase, (to) => to.u32(loadBase));
  for (const { address, size, commandLine: line } of placeModules(plan, ram, modules)) {
    tag(Tag.Module, (to) => to.u32(address, address + size).text(line));
  }
  tag(Tag.BasicMemory, (to) => to.u32(CONVENTIONAL_END / 1024, (ram.length - HIGH_MEMORY) / 1024));
  tag(Tag.BootDevice, (to) => to.u32(FIRST_HARD_DISK, NO_PARTITION, NO_PARTITION));
  tag(Tag.MemoryMap, (to) => {
    to.u32(MAP_ENTRY_SIZE, 0);
    for (const { start, end, type } of memoryMap(ram.length)) to.u64(start, end - start).u32(type, 0);
  });
  if (elf && elf.sections.length > 0) tag(Tag.ElfSections, (to) => writeSections(request, elf, to));
  if (rsdp.address !== 0) {
    tag(Tag.AcpiOld, (to) => to.raw(rsdp.bytes.subarray(0, OLD_RSDP_SIZE)));
    tag(Tag.AcpiNew, (to) => to.raw(rsdp.bytes));
  }
  tag(Tag.End, () => undefined);
  out.patch32(0, out.length);
  const base = plan.allocate('the multiboot 2 information', out.length, PAGE, ADDRESS_AREA);
  ram.set(out.finish(), base);
  return base;
}

/**
 * The section headers as in the file. Symbol and string tables, which no segment brings, are put into memory so that a
 * program can read its own symbols; their addresses tell where.
 */
function writeSections({ plan, ram }: BootRequest, elf: ElfFile, out: StructWriter): void {
  const wide = elf.class === 64;
  const view = new DataView(elf.bytes.buffer, elf.bytes.byteOffset, elf.bytes.byteLength);
  const table = wide ? Number(view.getBigUint64(40, true)) : view.getUint32(32, true);
  const entrySize = view.getUint16(wide ? 58 : 46, true);
  const namesIndex = view.getUint16(wide ? 62 : 50, true);
  out.u32(elf.sections.length, entrySize, namesIndex);
  for (const section of elf.sections) {
    const header = elf.bytes.slice(table + section.index * entrySize, table + (section.index + 1) * entrySize);
    const isTable = section.type === (SectionType.SymTab as number) || section.type === STRING_TABLE;
    if (isTable && !(section.flags & SectionFlag.Alloc) && section.size > 0) {
      const contents = elf.contents(section);
      const address = plan.allocateHigh(`section ${section.name}`, contents.length, PAGE);
      ram.set(contents, address);
      const fields = new DataView(header.buffer);
      if (wide) fields.setBigUint64(16, BigInt(address), true);
      else fields.setUint32(12, address, true);
    }
    out.raw(header);
  }
}
