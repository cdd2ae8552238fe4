import { type ElfFile, ElfMachine, SectionType } from '../../emulator/machine/elf';
import { runCallFrameProgram, type CallFrameRow } from './call-frame-program';
import type { Cursor } from './cursor';
import { DwarfError, isDamage } from './dwarf-error';
import type { DwarfSections } from './sections';

/** Common information entry (DWARF 5, 6.4.1; Linux Standard Base, "Exception Frames" for .eh_frame). */
export interface CommonInformation {
  readonly codeAlignment: number;
  readonly dataAlignment: number;
  readonly returnAddress: number;
  readonly addressSize: number;
  /** Augmentation 'S': a frame that an interrupt or signal made, whose pc is not behind a call */
  readonly signal: boolean;
  /** How pointers of its FDEs are encoded, 0 = plain */
  readonly encoding: number;
  /** Augmentation 'z': FDEs carry augmentation data */
  readonly augmented: boolean;
  readonly program: Cursor;
}

/** Frame description entry: the rules for one range of code. */
export interface FrameDescription {
  readonly common: CommonInformation;
  readonly low: bigint;
  readonly high: bigint;
  readonly section: string;
  readonly offset: number;
  readonly program: Cursor;
}

/** The call frame information of an image: .debug_frame, and .eh_frame for what that does not cover. */
export class CallFrames {
  private list: readonly FrameDescription[] | undefined;

  constructor(
    private readonly sections: DwarfSections,
    private readonly elf: ElfFile,
    private readonly problem: (text: string) => void,
  ) {}

  /** All descriptions, by address */
  get descriptions(): readonly FrameDescription[] {
    if (!this.list) {
      const found = [...this.read('.debug_frame'), ...this.read('.eh_frame')];
      this.list = found.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
    }
    return this.list;
  }

  descriptionAt(address: bigint): FrameDescription | undefined {
    const list = this.descriptions;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    // Both sections may describe a function, so look at equal starts too.
    for (let i = low - 1; i >= 0 && i >= low - 4; i--) {
      if (address < list[i]!.high) return list[i];
    }
    return undefined;
  }

  /** The rules at an address; undefined without call frame information. Throws DwarfError for a broken program. */
  rowAt(address: bigint): (CallFrameRow & { common: CommonInformation }) | undefined {
    const description = this.descriptionAt(address);
    if (!description) return undefined;
    let found: CallFrameRow | undefined;
    for (const row of runCallFrameProgram(description)) {
      if (row.address > address) break;
      found = row;
    }
    return found && { ...found, common: description.common };
  }

  private read(name: string): FrameDescription[] {
    const found: FrameDescription[] = [];
    const section = this.elf.section(name);
    // A separate debug file has .eh_frame without contents.
    if (!section || section.type === SectionType.NoBits) return found;
    try {
      const reader = new FrameReader(this.sections, name, section.addr, this.elf);
      reader.readAll((description) => found.push(description));
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.problem(error.message);
    }
    return found;
  }
}

class FrameReader {
  private readonly commons = new Map<number, CommonInformation>();
  private readonly eh: boolean;
  private readonly addressSize: number;

  constructor(
    private readonly sections: DwarfSections,
    private readonly name: string,
    private readonly address: bigint,
    private readonly elf: ElfFile,
  ) {
    this.eh = name === '.eh_frame';
    this.addressSize = elf.class === 64 ? 8 : 4;
  }

  readAll(each: (description: FrameDescription) => void): void {
    const cursor = this.sections.cursor(this.name);
    while (!cursor.done) {
      const start = cursor.at;
      const { length, wide } = cursor.initialLength();
      if (length === 0) {
        // .eh_frame ends with a zero length; linkers may leave more behind it.
        if (this.eh) continue;
        throw cursor.error('frame entry of length 0', start);
      }
      const end = cursor.at + length;
      if (end > cursor.end) throw cursor.error('frame entry runs past the end of the section', start);
      const idAt = cursor.at;
      const id = this.eh ? cursor.u32() : cursor.unsigned(wide ? 8 : 4);
      const isCommon = this.eh ? id === 0 : id === (wide ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
      if (!isCommon) {
        const commonAt = this.eh ? idAt - Number(id) : Number(id);
        each(this.description(start, cursor.at, end, this.common(commonAt)));
      }
      cursor.seek(end);
    }
  }

  private common(offset: number): CommonInformation {
    let common = this.commons.get(offset);
    if (!common) this.commons.set(offset, (common = this.readCommon(offset)));
    return common;
  }

  private readCommon(offset: number): CommonInformation {
    if (!(offset >= 0)) throw new DwarfError(this.name, 0, `frame entry names a common entry at ${offset}`);
    const cursor = this.sections.cursor(this.name, offset);
    const { length, wide } = cursor.initialLength();
    const end = cursor.at + length;
    if (end > cursor.end) throw cursor.error('common frame entry runs past the end of the section', offset);
    cursor.end = end;
    cursor.skip(this.eh ? 4 : wide ? 8 : 4);
    const version = cursor.u8();
    if (version !== 1 && version !== 3 && version !== 4) {
      throw cursor.error(`common frame entry of version ${version} is not supported`, offset);
    }
    const augmentation = cursor.string();
    let addressSize = this.addressSize;
    if (version === 4) {
      addressSize = cursor.u8();
      if (cursor.u8() !== 0) throw cursor.error('segmented addresses are not supported', offset);
    }
    const codeAlignment = cursor.uleb();
    const dataAlignment = cursor.sleb();
    const returnAddress = version === 1 ? cursor.u8() : cursor.uleb();
    let encoding = 0;
    let signal = false;
    const augmented = augmentation.startsWith('z');
    if (augmented) {
      const dataEnd = cursor.uleb() + cursor.at;
      for (const letter of augmentation.slice(1)) {
        if (letter === 'R') encoding = cursor.u8();
        else if (letter === 'L') cursor.u8();
        else if (letter === 'P') this.pointer(cursor, cursor.u8());
        else if (letter === 'S') signal = true;
        else break;
      }
      cursor.seek(dataEnd);
    } else if (augmentation === 'S') {
      // As assemblers write .cfi_signal_frame into .debug_frame: a letter without augmentation data.
      signal = true;
    } else if (augmentation !== '') {
      throw cursor.error(`frame augmentation "${augmentation}" is not supported`, offset);
    }
    const shape = { codeAlignment, dataAlignment, returnAddress, addressSize, signal, encoding, augmented };
    return { ...shape, program: cursor };
  }

  private description(start: number, at: number, end: number, common: CommonInformation): FrameDescription {
    const cursor = this.sections.cursor(this.name, at);
    cursor.end = end;
    const low = this.eh ? this.pointer(cursor, common.encoding) : cursor.unsigned(common.addressSize);
    const size = this.eh ? this.pointer(cursor, common.encoding & 0x0f) : cursor.unsigned(common.addressSize);
    if (common.augmented) cursor.skip(cursor.uleb());
    const description = { common, low, high: low + size, section: this.name, offset: start };
    return { ...description, program: cursor };
  }

  /** A pointer by DW_EH_PE_* encoding: low four bits the format, next three the base, bit 7 indirect. */
  private pointer(cursor: Cursor, encoding: number): bigint {
    if (encoding === 0xff) return 0n;
    const place = this.address + BigInt(cursor.at);
    const value = this.plainPointer(cursor, encoding & 0x0f);
    const relative = encoding & 0x70;
    let base = 0n;
    if (relative === 0x10) base = place;
    else if (relative === 0x30) base = this.elf.section('.eh_frame_hdr')?.addr ?? 0n;
    else if (relative !== 0) throw cursor.error(`frame pointer encoding 0x${encoding.toString(16)} is not supported`);
    // Zero stays zero: a function that the linker removed.
    return value === 0n && relative === 0
      ? 0n
      : BigInt.asUintN(this.elf.machine === ElfMachine.I386 ? 32 : 64, base + value);
  }

  private plainPointer(cursor: Cursor, format: number): bigint {
    switch (format) {
      case 0x0:
        return cursor.unsigned(this.addressSize);
      case 0x1:
        return cursor.ulebWide();
      case 0x2:
        return cursor.unsigned(2);
      case 0x3:
        return cursor.unsigned(4);
      case 0x4:
        return cursor.unsigned(8);
      case 0x9:
        return cursor.slebWide();
      case 0xa:
        return cursor.signed(2);
      case 0xb:
        return cursor.signed(4);
      case 0xc:
        return cursor.signed(8);
      default:
        throw cursor.error(`frame pointer format ${format} is not known`);
    }
  }
}
