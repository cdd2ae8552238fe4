import { MachineError } from '../api';
import { pvhEntry } from '../elf';
import { loadSegments, physicalEntry, readElf, requireInside, withElfErrors } from './elf-image';
import { placeModules } from './modules';
import type { BootRequest, Entry } from './request';
import { placeStartInfo } from './start-info';

/** PVH (Xen, "x86/HVM direct boot ABI"): 32-bit entry of the image's note, EBX = hvm_start_info. No GDT and no stack. */
export function bootPvh(request: BootRequest): Entry {
  const elf = readElf(request.kernel);
  const entry = withElfErrors(() => pvhEntry(elf));
  if (entry === undefined) {
    throw new MachineError(
      `${elf.name}: has no PVH entry note (owner "Xen", type 18). Add the note, or choose another boot protocol.`,
    );
  }
  loadSegments(elf, request.plan, request.ram);
  requireInside(elf, entry, 'The PVH entry note');
  return { mode: 'flat', address: entry, registers: { rbx: startInfo(request) }, stack: false };
}

/**
 * Without a protocol: the ELF entry point, in 64-bit mode with the first 4 GiB mapped to themselves for ELF64, in flat
 * protected mode for ELF32; RBX and RDI = hvm_start_info.
 */
export function bootPlainElf(request: BootRequest): Entry {
  const elf = readElf(request.kernel);
  loadSegments(elf, request.plan, request.ram);
  const address = physicalEntry(elf);
  const info = startInfo(request);
  return {
    mode: elf.class === 64 ? 'long' : 'flat',
    address,
    registers: { rbx: info, rdi: info },
    stack: true,
  };
}

function startInfo({ plan, ram, modules, commandLine, rsdp }: BootRequest): number {
  return placeStartInfo(plan, ram, placeModules(plan, ram, modules), commandLine, rsdp.address);
}
