import { MachineError } from '../api';
import { ElfError, ElfMachine, parseElf, pvhEntry, SegmentType, type ElfFile } from '../elf';
import type { BootImage } from '../api';
import type { MemoryPlan } from './memory-plan';

/** A first image in RAM, and where and how the processor enters it. */
export interface LoadedKernel {
  readonly protocol: 'pvh' | 'elf32' | 'elf64';
  readonly entry: bigint;
}

/**
 * Copies the loadable segments to their physical addresses and finds the entry point.
 * RAM is zero at power-on, so the part of a segment that is not in the file is already right.
 * @throws MachineError
 */
export function loadKernel(image: BootImage, plan: MemoryPlan, ram: Uint8Array): LoadedKernel {
  const elf = readElf(image);
  if (elf.segments.some((segment) => segment.type === (SegmentType.Interpreter as number))) {
    throw new MachineError(
      `${image.name}: is a program for an operating system (it asks for a dynamic linker). ` +
        'Give an image that runs without one: linked statically, freestanding.',
    );
  }
  const segments = elf.segments.filter(
    (segment) => segment.type === (SegmentType.Load as number) && segment.memsz > 0n,
  );
  if (segments.length === 0) {
    throw new MachineError(`${image.name}: has no loadable segment. Link it as an executable (with PT_LOAD segments).`);
  }
  segments.forEach((segment, i) => {
    const start = plan.reserve(`segment ${i} of ${image.name}`, segment.paddr, segment.memsz);
    ram.set(elf.segmentBytes(segment), start);
  });
  const pvh = withElfErrors(() => pvhEntry(elf));
  if (pvh !== undefined) {
    requireInside(image, segments, pvh, 'The PVH entry note');
    return { protocol: 'pvh', entry: pvh };
  }
  // Without a protocol the image starts in an identity map: a linked address becomes the physical one.
  const holder = segments.find((s) => elf.entry >= s.vaddr && elf.entry < s.vaddr + s.memsz);
  const entry = holder ? elf.entry - holder.vaddr + holder.paddr : elf.entry;
  requireInside(image, segments, entry, 'The entry point');
  return { protocol: elf.class === 64 ? 'elf64' : 'elf32', entry };
}

function requireInside(image: BootImage, segments: ElfFile['segments'], entry: bigint, what: string): void {
  if (segments.some((s) => entry >= s.paddr && entry < s.paddr + s.memsz)) return;
  throw new MachineError(
    `${image.name}: ${what} 0x${entry.toString(16)} lies in none of its loadable segments. ` +
      `Check the linker script's ENTRY or the note's value; it must be a physical address.`,
  );
}

function readElf(image: BootImage): ElfFile {
  const elf = withElfErrors(() => parseElf(image.bytes, image.name));
  if (elf.class === 64 && elf.machine !== ElfMachine.X86_64) {
    throw new MachineError(`${image.name}: is not for x86-64. Build it for x86.`);
  }
  return elf;
}

/** The reader's errors say what is wrong with the file; here they become errors of the configuration. */
function withElfErrors<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof ElfError) throw new MachineError(error.message);
    throw error;
  }
}
