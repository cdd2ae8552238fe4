import { MachineError, type BootImage } from '../api';
import { ElfError, ElfMachine, parseElf, SegmentType, type ElfFile, type ElfSegment } from '../elf';
import type { MemoryPlan } from './memory-plan';

export const looksLikeElf = ({ bytes }: BootImage): boolean =>
  bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;

/** @throws MachineError */
export function readElf(image: BootImage): ElfFile {
  const elf = withElfErrors(() => parseElf(image.bytes, image.name));
  if (elf.class === 64 && elf.machine !== ElfMachine.X86_64) {
    throw new MachineError(`${image.name}: is not for x86-64. Build it for x86.`);
  }
  return elf;
}

/** The loadable segments of a freestanding image. */
export function loadableSegments(elf: ElfFile): readonly ElfSegment[] {
  if (elf.segments.some((segment) => segment.type === (SegmentType.Interpreter as number))) {
    throw new MachineError(
      `${elf.name}: is a program for an operating system (it asks for a dynamic linker). ` +
        'Give an image that runs without one: linked statically, freestanding.',
    );
  }
  const segments = elf.segments.filter(
    (segment) => segment.type === (SegmentType.Load as number) && segment.memsz > 0n,
  );
  if (segments.length === 0) {
    throw new MachineError(`${elf.name}: has no loadable segment. Link it as an executable (with PT_LOAD segments).`);
  }
  return segments;
}

/**
 * Copies the loadable segments to their physical addresses, all moved by `bias`.
 * RAM is zero at power-on, so the part of a segment that is not in the file is already right.
 * @throws MachineError
 */
export function loadSegments(elf: ElfFile, plan: MemoryPlan, ram: Uint8Array, bias = 0n): void {
  loadableSegments(elf).forEach((segment, i) => {
    const start = plan.reserve(`segment ${i} of ${elf.name}`, segment.paddr + bias, segment.memsz);
    ram.set(elf.segmentBytes(segment), start);
  });
}

/** The entry point as a physical address: a linked address that is a segment's becomes the place of that segment. */
export function physicalEntry(elf: ElfFile): bigint {
  const segments = loadableSegments(elf);
  const holder = segments.find((s) => elf.entry >= s.vaddr && elf.entry < s.vaddr + s.memsz);
  const entry = holder ? elf.entry - holder.vaddr + holder.paddr : elf.entry;
  requireInside(elf, entry, 'The entry point');
  return entry;
}

export function requireInside(elf: ElfFile, entry: bigint, what: string): void {
  if (loadableSegments(elf).some((s) => entry >= s.paddr && entry < s.paddr + s.memsz)) return;
  throw new MachineError(
    `${elf.name}: ${what} 0x${entry.toString(16)} lies in none of its loadable segments. ` +
      `Check the linker script's ENTRY or the header's value; it must be a physical address.`,
  );
}

/** The reader's errors say what is wrong with the file; here they become errors of the configuration. */
export function withElfErrors<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof ElfError) throw new MachineError(error.message);
    throw error;
  }
}
