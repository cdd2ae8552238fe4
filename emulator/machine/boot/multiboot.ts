import { MachineError } from '../api';
import { brokenHeader } from './choice';
import { loadSegments, physicalEntry, readElf } from './elf-image';
import { loadFlat } from './flat-image';
import { findMultiboot } from './headers';
import { CONVENTIONAL_END, HIGH_MEMORY, memoryMap } from './memory-map';
import { placeModules } from './modules';
import type { BootRequest, Entry } from './request';
import { StructWriter, zeroEnded } from './struct-writer';

// "Multiboot Specification version 0.6.96", 3.1 (header), 3.2 (machine state) and 3.3 (information). Where it leaves a
// choice, the choice is that of QEMU's -kernel (hw/i386/multiboot.c): test kernels are written for it.
const BOOTLOADER_MAGIC = 0x2badb002;
/** Header flags: bits 15:0 are requirements. Bit 2, a video mode, cannot be met; QEMU starts the image all the same. */
const KNOWN_REQUIREMENTS = 0x0007;
const HAS_ADDRESSES = 0x10000;
/** Information flags: memory, boot device, command line, modules, memory map, boot loader name */
const INFO_FLAGS = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x200;
const INFO_SIZE = 116;
const MODULE_SIZE = 16;
const MAP_ENTRY_SIZE = 24;
/** The first hard disk, no partition */
const BOOT_DEVICE = 0x8000ffff;
const LOADER_NAME = 'Undervisor';
/** Where QEMU has the information: no test kernel puts anything else there before it has read it. */
const INFO_ADDRESS = 0x9000;

/** Multiboot 1: 32-bit entry, EAX = 0x2badb002, EBX = information structure. */
export function bootMultiboot(request: BootRequest): Entry {
  const { kernel } = request;
  const header = findMultiboot(kernel.bytes);
  if (!header) {
    throw new MachineError(
      `${kernel.name}: has no multiboot header (magic 0x1badb002 at a multiple of 4 in the first 8 KiB of the file).`,
    );
  }
  if (header.problem !== undefined) throw new MachineError(`${kernel.name}: ${brokenHeader('multiboot', header)}.`);
  const view = new DataView(kernel.bytes.buffer, kernel.bytes.byteOffset, kernel.bytes.byteLength);
  const field = (at: number): number => view.getUint32(header.offset + at, true);
  const unknown = field(4) & 0xffff & ~KNOWN_REQUIREMENTS;
  if (unknown !== 0) {
    throw new MachineError(
      `${kernel.name}: its multiboot header requires features 0x${unknown.toString(16)} that no loader knows.`,
    );
  }
  let address: number;
  if (field(4) & HAS_ADDRESSES) {
    if (header.offset + 32 > kernel.bytes.length) {
      throw new MachineError(`${kernel.name}: the file ends inside the address fields of its multiboot header.`);
    }
    loadFlat(request, { header: field(12), load: field(16), loadEnd: field(20), bssEnd: field(24) }, header.offset);
    address = field(28);
  } else {
    const elf = readElf(kernel);
    loadSegments(elf, request.plan, request.ram);
    address = Number(physicalEntry(elf));
  }
  const registers = { rax: BOOTLOADER_MAGIC, rbx: placeInformation(request) };
  return { mode: 'flat', address: BigInt(address), registers, stack: false };
}

function placeInformation({ kernel, commandLine, modules, plan, ram }: BootRequest): number {
  const loaded = placeModules(plan, ram, modules);
  const map = memoryMap(ram.length);
  // As with QEMU, the first word is the kernel's name, argv[0].
  const texts = [`${kernel.name} ${commandLine}`, LOADER_NAME, ...loaded.map((module) => module.commandLine)];
  const encoded = texts.map(zeroEnded);
  const modulesAt = INFO_SIZE;
  const mapAt = modulesAt + loaded.length * MODULE_SIZE;
  const textAt = mapAt + map.length * MAP_ENTRY_SIZE;
  const size = encoded.reduce((sum, text) => sum + text.length, textAt);
  const base = plan.allocate('the multiboot information', size, 4096, INFO_ADDRESS);
  let next = base + textAt;
  const [lineAt = 0, nameAt = 0, ...moduleTextsAt] = encoded.map(({ length }) => {
    const address = next;
    next += length;
    return address;
  });

  const out = new StructWriter();
  out.u32(INFO_FLAGS, CONVENTIONAL_END / 1024, (ram.length - HIGH_MEMORY) / 1024, BOOT_DEVICE, lineAt);
  out.u32(loaded.length, base + modulesAt, 0, 0, 0, 0); // no symbols
  out.u32(map.length * MAP_ENTRY_SIZE, base + mapAt, 0, 0, 0, nameAt); // no drives, no configuration table
  while (out.length < INFO_SIZE) out.u32(0); // no APM, VBE or frame buffer
  loaded.forEach(({ address, size: length }, i) => out.u32(address, address + length, moduleTextsAt[i] ?? 0, 0));
  for (const { start, end, type } of map) {
    out.u32(MAP_ENTRY_SIZE - 4);
    out.u64(start, end - start).u32(type);
  }
  for (const text of encoded) out.raw(text);
  ram.set(out.finish(), base);
  return base;
}
