import { decode, MAXIMUM_LENGTH } from '../isa/decoder';
import type { Instruction } from '../isa/instruction';
import type { MachineMemory } from '../memory/machine-memory';
import type { CodeCache, CodePage } from './code-cache';
import { Pseudo, RECORD_SIZE, ResolveKind } from './record';
import { endsRun, type RecordWriter } from './record-writer';
import { Stop } from './scratch';

const PAGE = 4096;
/** Longest run decoded at once; what follows is decoded when it is reached. */
const RUN_LENGTH = 32;
/** Resolve, the instruction, NextPage */
const CROSSING_RECORDS = 3;

/** What stops at an instruction before it executes. */
export interface StopPoints {
  isBreakpoint(linear: bigint): boolean;
  isRegionEntry(host: number, linear: bigint): boolean;
}

/** Decodes straight runs of instructions into records. */
export class RunDecoder {
  private readonly u8: Uint8Array;
  /** Bytes that an instruction over a page's end was last decoded from, by record */
  private readonly crossingBytes = new Map<number, Uint8Array>();
  decoded = 0;

  constructor(
    memory: MachineMemory,
    private readonly cache: CodeCache,
    private readonly writer: RecordWriter,
    private readonly stops: StopPoints,
  ) {
    this.u8 = memory.u8;
  }

  /** The record for an offset, decoded with the run behind it when it is not known. */
  record(page: CodePage, offset: number): number {
    return this.cache.recordAt(page, offset) || this.run(page, offset);
  }

  private run(page: CodePage, start: number): number {
    const { cache, writer } = this;
    let expected = 0;
    let first = 0;
    const take = (count: number): number => {
      const record = cache.allocate(page, count);
      if (expected !== 0 && record !== expected) writer.pseudo(expected, Pseudo.GoTo, offset, record);
      expected = record + count * RECORD_SIZE;
      first ||= record;
      return record;
    };
    let offset = start;
    for (let length = 0; ; length++) {
      if (offset === PAGE) {
        writer.pseudo(take(1), Pseudo.NextPage, PAGE, 0, this.ripAt(page, PAGE));
        break;
      }
      const known = offset === start ? 0 : cache.recordAt(page, offset);
      if (known) {
        writer.pseudo(take(1), Pseudo.GoTo, offset, known);
        break;
      }
      if (length === RUN_LENGTH) {
        writer.pseudo(take(1), Pseudo.Resolve, offset, 0, 0n, ResolveKind.Continue);
        break;
      }
      const instruction = this.decodeAt(page, offset);
      const stop = this.stopAt(page, offset);
      const record = take((stop === undefined ? 0 : 1) + (instruction ? 1 : CROSSING_RECORDS));
      cache.setRecordAt(page, offset, record);
      if (stop !== undefined) {
        writer.pseudo(record, stop === Stop.Region ? Pseudo.RegionEntry : Pseudo.Exit, offset, 0, BigInt(stop));
      }
      const own = stop === undefined ? record : record + RECORD_SIZE;
      this.decoded++;
      if (!instruction) {
        page.covered.fill(1, offset, PAGE);
        writer.pseudo(own, Pseudo.Resolve, offset, 0, 0n, ResolveKind.Crossing);
        this.crossingBytes.delete(own);
        break;
      }
      page.covered.fill(1, offset, offset + instruction.length);
      this.write(own, page, offset, instruction);
      if (endsRun(instruction)) break;
      offset += instruction.length;
    }
    return first;
  }

  private write(record: number, page: CodePage, offset: number, instruction: Instruction): void {
    const { meaning, helper } = instruction.row;
    const index = page.instructions.length;
    if (helper !== undefined) page.instructions.push(instruction);
    if (!meaning) this.writer.pseudo(record, Pseudo.Exit, offset, index, BigInt(Stop.Helper));
    else this.writer.instruction(record, page, offset, instruction, helper === undefined ? 0 : index);
  }

  private ripAt(page: CodePage, offset: number): bigint {
    const rip = page.rip + BigInt(offset);
    return page.mode.codeSize === 64 ? BigInt.asUintN(64, rip) : rip & 0xffffffffn;
  }

  /** The instruction at an offset; undefined when it reaches into the next page. */
  private decodeAt(page: CodePage, offset: number): Instruction | undefined {
    const { host, mode } = page;
    return decode(this.u8, host + offset, host + PAGE, this.ripAt(page, offset), mode.codeSize);
  }

  /** The instruction of a record, decoded again from the bytes it was made from. */
  instructionAt(record: number): Instruction | undefined {
    const page = this.cache.owner(record);
    const offset = this.cache.offsetOf(record);
    const bytes = this.crossingBytes.get(record - RECORD_SIZE);
    return this.decodeAt(page, offset) ?? (bytes && this.decodeCrossing(bytes, page, offset));
  }

  private stopAt(page: CodePage, offset: number): Stop | undefined {
    const linear = page.linear + BigInt(offset);
    if (this.stops.isBreakpoint(linear)) return Stop.Breakpoint;
    return this.stops.isRegionEntry(page.host, linear) ? Stop.Region : undefined;
  }

  /**
   * The instruction of a Crossing record from the bytes of both pages; `nextHost` is where the second page's bytes lie
   * now. Decoded again only when bytes changed. Returns the record to go on with.
   */
  crossing(record: number, page: CodePage, offset: number, nextHost: number): number {
    const { u8 } = this;
    const own = record + RECORD_SIZE;
    const inPage = PAGE - offset;
    const bytes = new Uint8Array(MAXIMUM_LENGTH);
    bytes.set(u8.subarray(page.host + offset, page.host + PAGE));
    bytes.set(u8.subarray(nextHost, nextHost + MAXIMUM_LENGTH - inPage), inPage);
    const before = this.crossingBytes.get(record);
    if (before?.every((byte, i) => byte === bytes[i])) return own;
    const instruction = this.decodeCrossing(bytes, page, offset);
    this.write(own, page, offset, instruction);
    const end = offset + instruction.length;
    this.writer.pseudo(own + RECORD_SIZE, Pseudo.NextPage, end, 0, this.ripAt(page, end));
    this.crossingBytes.set(record, bytes);
    return own;
  }

  private decodeCrossing(bytes: Uint8Array, page: CodePage, offset: number): Instruction {
    const instruction = decode(bytes, 0, MAXIMUM_LENGTH, this.ripAt(page, offset), page.mode.codeSize);
    if (!instruction) throw new Error('15 bytes always decode to an instruction');
    return instruction;
  }

  clear(): void {
    this.crossingBytes.clear();
  }
}
