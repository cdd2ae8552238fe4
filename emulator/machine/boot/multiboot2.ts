import { MachineError } from '../api';
import type { ElfFile } from '../elf';
import { brokenHeader } from './choice';
import { loadableSegments, loadSegments, looksLikeElf, physicalEntry, readElf } from './elf-image';
import { loadFlat } from './flat-image';
import { findMultiboot2 } from './headers';
import type { MemoryPlan } from './memory-plan';
import { readMultiboot2Header, type Multiboot2Header, type Relocation } from './multiboot2-header';
import { placeMultiboot2Information } from './multiboot2-information';
import type { BootRequest, Entry } from './request';

// "Multiboot2 Specification version 2.0", 3.1 (header) and 3.3 (i386 machine state).
const BOOTLOADER_MAGIC = 0x36d76289;

/** Multiboot 2: 32-bit entry, EAX = 0x36d76289, EBX = information tags. */
export function bootMultiboot2(request: BootRequest): Entry {
  const { kernel } = request;
  const found = findMultiboot2(kernel.bytes);
  if (!found) {
    throw new MachineError(
      `${kernel.name}: has no multiboot 2 header (magic 0xe85250d6 at a multiple of 8 in the first 32 KiB of the file).`,
    );
  }
  if (found.problem !== undefined) throw new MachineError(`${kernel.name}: ${brokenHeader('multiboot 2', found)}.`);
  const header = readMultiboot2Header(kernel, found.offset);
  const { elf, entry, base } = header.addresses ? loadByTag(request, header) : loadByElf(request, header);
  const information = placeMultiboot2Information(request, elf, header.relocation ? base : undefined);
  return {
    mode: 'flat',
    address: BigInt(entry),
    registers: { rax: BOOTLOADER_MAGIC, rbx: information },
    stack: false,
  };
}

interface Loaded {
  readonly elf: ElfFile | undefined;
  readonly entry: number;
  /** Lowest physical address of the image */
  readonly base: number;
}

function loadByTag(request: BootRequest, { addresses, entry, offset }: Multiboot2Header): Loaded {
  const { kernel } = request;
  if (!addresses || entry === undefined) {
    throw new MachineError(
      `${kernel.name}: its multiboot 2 header has an address tag but no entry address tag (type 3).`,
    );
  }
  loadFlat(request, addresses, offset);
  return { elf: looksLikeElf(kernel) ? readElf(kernel) : undefined, entry, base: addresses.load };
}

function loadByElf({ kernel, plan, ram }: BootRequest, { entry, relocation }: Multiboot2Header): Loaded {
  const elf = readElf(kernel);
  const segments = loadableSegments(elf);
  const low = segments.reduce((least, s) => (s.paddr < least ? s.paddr : least), segments[0]?.paddr ?? 0n);
  const high = segments.reduce((most, s) => (s.paddr + s.memsz > most ? s.paddr + s.memsz : most), 0n);
  const base = relocation
    ? placeRelocatable(kernel.name, plan, relocation, Number(low), Number(high - low))
    : Number(low);
  const bias = base - Number(low);
  loadSegments(elf, plan, ram, BigInt(bias));
  return { elf, entry: (entry ?? Number(physicalEntry(elf))) + bias, base };
}

/** The linked place when the tag allows it and it is free, else the lowest or highest one that the tag prefers. */
function placeRelocatable(
  name: string,
  plan: MemoryPlan,
  { least, most, align, preference }: Relocation,
  linked: number,
  size: number,
): number {
  const fits = (start: number) => start >= least && start + size - 1 <= most && plan.isFree(start, size);
  if (preference === 'none' && linked % align === 0 && fits(linked)) return linked;
  const step = Math.max(align, 4096);
  const first = Math.ceil(least / step) * step;
  const last = Math.floor((most - size + 1) / step) * step;
  if (preference === 'highest') {
    for (let start = last; start >= first; start -= step) if (fits(start)) return start;
  } else {
    for (let start = first; start <= last; start += step) if (fits(start)) return start;
  }
  throw new MachineError(
    `${name}: no room for its ${size} bytes between 0x${least.toString(16)} and 0x${most.toString(16)}, where its ` +
      'multiboot 2 header wants to be relocated to. Give the machine more memory.',
  );
}
