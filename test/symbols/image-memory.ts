import { SegmentType } from '../../emulator/machine/elf';
import type { MemoryReader } from '../../debug-adapter/symbols/api';
import type { Program } from '../../debug-adapter/symbols/program';

/** Memory as it is before the program's first instruction: the loadable segments at their link addresses. */
export function imageMemory(program: Program): MemoryReader {
  const parts = program.elf.segments
    .filter((s) => s.type === SegmentType.Load)
    .map((s) => {
      const bytes = new Uint8Array(Number(s.memsz));
      bytes.set(program.elf.segmentBytes(s));
      return { start: s.vaddr, bytes };
    });
  return memoryOf(parts);
}

export function memoryOf(parts: readonly { start: bigint; bytes: Uint8Array }[]): MemoryReader {
  return (address, length) => {
    const part = parts.find((p) => address >= p.start && address < p.start + BigInt(p.bytes.length));
    if (!part) return new Uint8Array(0);
    const offset = Number(address - part.start);
    return part.bytes.subarray(offset, offset + length);
  };
}
