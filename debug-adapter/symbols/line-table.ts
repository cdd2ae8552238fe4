import type { Cursor } from './cursor';
import { Form } from './dwarf-constants';
import { DwarfError } from './dwarf-error';
import { type AttributeValue } from './forms';
import { joinPath, normalizePath } from './paths';
import type { DwarfSections } from './sections';

/**
 * The line number program of one unit (DWARF 5, 6.2; version 2 to 5).
 *
 * Rows of a sequence are kept in parallel arrays with addresses relative to the sequence, in the order of the program,
 * which is the order of addresses.
 */
export interface LineSequence {
  readonly low: bigint;
  /** First address after the sequence */
  readonly high: bigint;
  /** Relative to `low`, never decreasing */
  readonly offsets: readonly number[];
  readonly files: readonly number[];
  readonly lines: readonly number[];
  readonly columns: readonly number[];
  /** Bits: LineFlag */
  readonly flags: readonly number[];
}

export const LineFlag = {
  Statement: 1,
  BasicBlock: 2,
  PrologueEnd: 4,
  EpilogueBegin: 8,
  /**
   * Another block of the line of the row before, told apart from it only by a discriminator: no place of its own for a
   * breakpoint.
   */
  Continuation: 16,
} as const;

export class LineTable {
  private constructor(
    readonly version: number,
    /** Normalised paths by file number as the program and DW_AT_decl_file use it */
    readonly files: readonly (string | undefined)[],
    private readonly program: () => readonly LineSequence[],
  ) {}

  private rows: readonly LineSequence[] | undefined;

  /** Sequences, by address */
  get sequences(): readonly LineSequence[] {
    return (this.rows ??= this.program());
  }

  /** Reads the header at `offset` of .debug_line; the program runs when sequences are first asked for. */
  static read(
    sections: DwarfSections,
    offset: number,
    unit: { addressSize: number; name: string; directory: string },
  ): LineTable {
    const cursor = sections.cursor('.debug_line', offset);
    const { length, wide } = cursor.initialLength();
    const end = cursor.at + length;
    if (end > cursor.end) throw cursor.error('line table runs past the end of the section', offset);
    cursor.end = end;
    const version = cursor.u16();
    if (version < 2 || version > 5) throw cursor.error(`line table version ${version} is not supported`, offset);
    let addressSize = unit.addressSize;
    if (version >= 5) {
      addressSize = cursor.u8();
      cursor.skip(1);
    }
    const headerLength = cursor.offset(wide);
    const start = cursor.at + headerLength;
    const minimumLength = cursor.u8();
    if (version >= 4 && cursor.u8() !== 1) throw cursor.error('line table is for a VLIW machine', offset);
    const defaultStatement = cursor.u8() !== 0;
    const lineBase = cursor.i8();
    const lineRange = cursor.u8();
    const opcodeBase = cursor.u8();
    if (lineRange === 0 || opcodeBase === 0)
      throw cursor.error('line table has a zero line_range or opcode_base', offset);
    const operandCounts = [0];
    for (let i = 1; i < opcodeBase; i++) operandCounts.push(cursor.u8());
    const files =
      version >= 5 ? readFiles5(cursor, sections, wide, unit.directory) : readFiles4(cursor, unit.directory, unit.name);
    const header = { minimumLength, defaultStatement, lineBase, lineRange, opcodeBase, operandCounts, addressSize };
    return new LineTable(version, files, () => {
      cursor.seek(start);
      return run(cursor, header);
    });
  }
}

function readFiles4(cursor: Cursor, directory: string, name: string): (string | undefined)[] {
  const directories = [directory];
  for (;;) {
    const text = cursor.string();
    if (text === '') break;
    directories.push(joinPath(directory, text));
  }
  // File 0 does not exist in version 4; the unit's own name is what readers show for it.
  const files = [normalizePath(joinPath(directory, name))];
  for (;;) {
    const text = cursor.string();
    if (text === '') break;
    const index = cursor.uleb();
    cursor.skipLeb();
    cursor.skipLeb();
    files.push(normalizePath(joinPath(directories[index] ?? directory, text)));
  }
  return files;
}

/** Content types (DWARF 5, 6.2.4.1) */
const LNCT_PATH = 1;
const LNCT_DIRECTORY = 2;

function readFiles5(cursor: Cursor, sections: DwarfSections, wide: boolean, directory: string): (string | undefined)[] {
  const table = () => {
    const formats: { content: number; form: number }[] = [];
    for (let n = cursor.u8(); n > 0; n--) formats.push({ content: cursor.uleb(), form: cursor.uleb() });
    const count = cursor.uleb();
    const rows: { path: string; directory: number }[] = [];
    for (let i = 0; i < count; i++) {
      const row = { path: '', directory: 0 };
      for (const { content, form } of formats) {
        const value = readHeaderForm(form, cursor, sections, wide);
        if (content === LNCT_PATH && value?.kind === 'string') row.path = value.value;
        if (content === LNCT_DIRECTORY && value?.kind === 'constant') row.directory = Number(value.value);
      }
      rows.push(row);
      if (formats.length === 0) break;
    }
    return rows;
  };
  // Directory 0 is the compilation directory; the others may be relative to it.
  const directories = table().map((row) => row.path);
  const base = directories[0] === undefined ? directory : joinPath(directory, directories[0]);
  return table().map((row) => {
    const folder = row.directory === 0 ? base : joinPath(base, directories[row.directory] ?? '');
    return normalizePath(joinPath(folder, row.path));
  });
}

/** The forms that a header may use; the unit is not needed for them. */
function readHeaderForm(
  form: number,
  cursor: Cursor,
  sections: DwarfSections,
  wide: boolean,
): AttributeValue | undefined {
  const constant = (value: number): AttributeValue => ({
    kind: 'constant',
    value: BigInt(value),
    size: 0,
    signed: false,
  });
  switch (form) {
    case Form.String:
      return { kind: 'string', value: cursor.string() };
    case Form.LineStrp:
      return { kind: 'string', value: sections.string('.debug_line_str', cursor.offset(wide)) };
    case Form.Strp:
      return { kind: 'string', value: sections.string('.debug_str', cursor.offset(wide)) };
    case Form.Udata:
      return constant(cursor.uleb());
    case Form.Data1:
      return constant(cursor.u8());
    case Form.Data2:
      return constant(cursor.u16());
    case Form.Data4:
      return constant(cursor.u32());
    case Form.Data8:
      cursor.skip(8);
      return undefined;
    case Form.Data16:
      cursor.skip(16);
      return undefined;
    case Form.Block:
      cursor.skip(cursor.uleb());
      return undefined;
    default:
      throw cursor.error(`form 0x${form.toString(16)} in a line table header is not known`);
  }
}

interface Header {
  minimumLength: number;
  defaultStatement: boolean;
  lineBase: number;
  lineRange: number;
  opcodeBase: number;
  operandCounts: readonly number[];
  addressSize: number;
}

/** The state machine (DWARF 5, 6.2.2) */
function run(cursor: Cursor, header: Header): LineSequence[] {
  const { minimumLength, lineBase, lineRange, opcodeBase } = header;
  const standard = header.defaultStatement ? LineFlag.Statement : 0;
  const sequences: LineSequence[] = [];
  const mask = header.addressSize === 4 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
  let base = 0n;
  let offset = 0;
  let file = 1;
  let line = 1;
  let column = 0;
  let flags: number = standard;
  let discriminator = 0;
  // Whether the rows of the current line have had a discriminator
  let discriminated = false;
  let last = { file: 0, line: 0 };
  let sequence = emptySequence();

  const reset = () => {
    [base, offset, file, line, column, flags] = [0n, 0, 1, 1, 0, standard];
    [discriminator, discriminated, last] = [0, false, { file: 0, line: 0 }];
    sequence = emptySequence();
  };
  const emit = () => {
    if (line === 0) {
      // Code that belongs to no line (6.2.2) is shown, as gdb does, with the line before it.
      flags &= LineFlag.Statement;
      discriminator = 0;
      return;
    }
    sequence.offsets.push(offset);
    sequence.files.push(file);
    sequence.lines.push(line);
    sequence.columns.push(column);
    const continues = discriminated && last.file === file && last.line === line;
    sequence.flags.push(continues ? flags | LineFlag.Continuation : flags);
    flags &= LineFlag.Statement;
    discriminator = 0;
    last = { file, line };
  };
  const advanceLine = (delta: number) => {
    line += delta;
    if (delta !== 0) discriminated = discriminator !== 0;
  };
  const setAddress = (address: bigint) => {
    if (sequence.offsets.length === 0) {
      base = address;
      offset = 0;
      return;
    }
    const distance = address - base;
    if (distance < 0n || distance > 0xffff_ffff_ffffn) throw cursor.error('addresses of a line sequence go backwards');
    offset = Number(distance);
  };

  while (!cursor.done) {
    const opcode = cursor.u8();
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase;
      offset += Math.floor(adjusted / lineRange) * minimumLength;
      advanceLine(lineBase + (adjusted % lineRange));
      emit();
      continue;
    }
    switch (opcode) {
      case 0: {
        const size = cursor.uleb();
        const next = cursor.at + size;
        if (size === 0) break;
        switch (cursor.u8()) {
          case 1: // DW_LNE_end_sequence
            if (sequence.offsets.length > 0) {
              sequences.push({
                low: base + BigInt(sequence.offsets[0]!),
                high: (base + BigInt(offset)) & mask,
                ...rebased(sequence),
              });
            }
            reset();
            break;
          case 2: // DW_LNE_set_address
            setAddress(cursor.unsigned(size - 1));
            break;
          case 4: // DW_LNE_set_discriminator
            discriminator = cursor.uleb();
            discriminated ||= discriminator !== 0;
            break;
          default: // what vendors add
            break;
        }
        cursor.seek(next);
        break;
      }
      case 1: // DW_LNS_copy
        emit();
        break;
      case 2: // DW_LNS_advance_pc
        offset += cursor.uleb() * minimumLength;
        break;
      case 3: // DW_LNS_advance_line
        advanceLine(cursor.sleb());
        break;
      case 4: // DW_LNS_set_file
        file = cursor.uleb();
        break;
      case 5: // DW_LNS_set_column
        column = cursor.uleb();
        break;
      case 6: // DW_LNS_negate_stmt
        flags ^= LineFlag.Statement;
        break;
      case 7: // DW_LNS_set_basic_block
        flags |= LineFlag.BasicBlock;
        break;
      case 8: // DW_LNS_const_add_pc
        offset += Math.floor((255 - opcodeBase) / lineRange) * minimumLength;
        break;
      case 9: // DW_LNS_fixed_advance_pc
        offset += cursor.u16();
        break;
      case 10: // DW_LNS_set_prologue_end
        flags |= LineFlag.PrologueEnd;
        break;
      case 11: // DW_LNS_set_epilogue_begin
        flags |= LineFlag.EpilogueBegin;
        break;
      default:
        for (let n = header.operandCounts[opcode] ?? 0; n > 0; n--) cursor.skipLeb();
    }
    if (!(offset >= 0 && offset <= 0xffff_ffff_ffff))
      throw new DwarfError(cursor.section, cursor.at, 'line address is absurd');
  }
  return sequences.filter((s) => s.high > s.low).sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
}

function emptySequence() {
  return {
    offsets: [] as number[],
    files: [] as number[],
    lines: [] as number[],
    columns: [] as number[],
    flags: [] as number[],
  };
}

/** Makes the first row's address the sequence's own. */
function rebased(sequence: ReturnType<typeof emptySequence>) {
  const first = sequence.offsets[0]!;
  return first === 0 ? sequence : { ...sequence, offsets: sequence.offsets.map((o) => o - first) };
}
