import { type ElfFile, SegmentType } from '../../emulator/machine/elf';
import { At, Tag } from './dwarf-constants';
import type { Entry } from './entry';
import type { Unit } from './unit';

/**
 * Where a function's prologue ends, by the rules that gdb follows, so that a breakpoint on a function sees its arguments:
 * - variables of the unit have location lists: they are right from the first instruction, nothing is skipped;
 * - the function sets up a frame pointer: behind that, at the next line;
 * - else at the entry.
 */
export function skipPrologue(elf: ElfFile, entry: bigint): bigint {
  const code = bytesAt(elf, entry, 16);
  const is = (at: number, ...bytes: number[]) => bytes.every((byte, i) => code[at + i] === byte);
  let at = 0;
  if (is(0, 0xf3, 0x0f, 0x1e, 0xfa) || is(0, 0xf3, 0x0f, 0x1e, 0xfb)) at = 4; // ENDBR64, ENDBR32
  if (!is(at, 0x55)) return entry; // PUSH rBP
  at += 1;
  const rex = elf.class === 64 ? [0x48] : [];
  // MOV rBP, rSP in both encodings
  if (!is(at, ...rex, 0x89, 0xe5) && !is(at, ...rex, 0x8b, 0xec)) return entry;
  return entry + BigInt(at + rex.length + 2);
}

const known = new WeakMap<Unit, boolean>();

/** Whether any variable or parameter of the unit is described by a location list */
export function hasLocationLists(unit: Unit): boolean {
  let answer = known.get(unit);
  if (answer === undefined) known.set(unit, (answer = anyList(unit.root, 0)));
  return answer;
}

function anyList(entry: Entry, depth: number): boolean {
  if (depth > 64) return false;
  return entry.children.some((child) => {
    if (child.tag === Tag.Variable || child.tag === Tag.FormalParameter) {
      const kind = child.read(At.Location)?.kind;
      return kind === 'section' || kind === 'locationIndex';
    }
    const hasCode =
      child.tag === Tag.Subprogram || child.tag === Tag.LexicalBlock || child.tag === Tag.InlinedSubroutine;
    return hasCode && anyList(child, depth + 1);
  });
}

/** Bytes of the image at a link address; fewer where the file has none */
export function bytesAt(elf: ElfFile, address: bigint, length: number): Uint8Array {
  for (const segment of elf.segments) {
    if (segment.type !== SegmentType.Load) continue;
    const offset = address - segment.vaddr;
    if (offset < 0n || offset >= BigInt(segment.filesz)) continue;
    return elf.segmentBytes(segment).subarray(Number(offset), Number(offset) + length);
  }
  return new Uint8Array(0);
}
