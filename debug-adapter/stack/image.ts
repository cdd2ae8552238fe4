import { SegmentType, type ElfSegment } from '../../emulator/machine/elf';
import type { AddressSpace, Machine } from '../../emulator/machine/api';
import type { LoadedProgram, ProgramSet } from '../symbols/program-set';

/** An image of the launch: who runs it, where its file is, what its symbols say. */
export class Image {
  constructor(
    /** Name of the layer that runs it */
    readonly layer: string,
    readonly file: string,
    readonly loaded: LoadedProgram,
    /** All images of the layer */
    readonly set: ProgramSet,
  ) {}

  /**
   * Whether memory holds this image's bytes around a linear address. Layers overlap in their addresses, so only the
   * content tells whose code this is. The window is one aligned block, cut to what the file gives of its segment:
   * long enough that two programs do not agree by chance, short enough to be done at every VM exit.
   */
  residesAt(machine: Machine, space: AddressSpace, linear: bigint): boolean {
    const link = this.loaded.toLink(linear);
    const { elf } = this.loaded.program;
    const segment = elf.segments.find((candidate) => inFile(candidate, link));
    if (!segment) return false;
    const expected = elf.segmentBytes(segment);
    const offset = Number(link - segment.vaddr);
    const start = offset - (offset % WINDOW);
    const end = Math.min(start + WINDOW, expected.length);
    const found = machine.readMemory(space, this.loaded.toRun(segment.vaddr + BigInt(start)), end - start);
    // Behind the address the next page may be absent; before it and at it everything must be there and agree.
    if (found.length <= offset - start) return false;
    return found.every((byte, index) => byte === expected[start + index]);
  }
}

const WINDOW = 64;

/** Only executable segments are compared: data changes as the program runs. */
const inFile = (segment: ElfSegment, link: bigint): boolean =>
  segment.type === SegmentType.Load &&
  (segment.flags & 1) !== 0 &&
  link >= segment.vaddr &&
  link < segment.vaddr + BigInt(segment.filesz);
