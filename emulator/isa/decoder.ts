import { type Encoding, OpcodeMap, parseEncoding, specificity } from './encoding';
import type { CodeSize, Instruction } from './instruction';
import { operandWidth, parseOperandCode } from './operand';
import { type InstructionRow, row } from './row';
import { INSTRUCTION_TABLE, UNDEFINED_ROW } from './table';

/** The decoder: the instruction table, indexed by opcode. */

/** Longest instruction (SDM vol. 2, 2.3.11); a longer one raises #GP(0). */
export const MAXIMUM_LENGTH = 15;

const TOO_LONG_ROW: InstructionRow = {
  id: UNDEFINED_ROW.id + 1,
  ...row('(too long)', '', '', 'Longer than 15 bytes: raises #GP(0)', {
    meaning: (x) => x.raiseIf(x.k(32, 1), 13, 0),
  }),
};

/** Rows outside the table, which no encoding leads to. */
export const EXTRA_ROWS: readonly InstructionRow[] = [UNDEFINED_ROW, TOO_LONG_ROW];

interface Candidate {
  readonly row: InstructionRow;
  readonly encoding: Encoding;
}

const candidates: Candidate[][][] = [0, 1, 2, 3].map(() => Array.from({ length: 256 }, () => []));

for (const row of INSTRUCTION_TABLE) {
  const encoding = parseEncoding(row);
  for (let low = 0; low < (encoding.registerInOpcode ? 8 : 1); low++) {
    candidates[encoding.map]?.[encoding.opcode + low]?.push({ row, encoding });
  }
}
for (const map of candidates)
  for (const list of map) list.sort((a, b) => specificity(b.encoding) - specificity(a.encoding));

/** Thrown inside the decoder only. */
class EndOfBytes extends Error {}
const endOfBytes = new EndOfBytes('instruction bytes end');
class TooLong extends Error {}
const tooLong = new TooLong('instruction longer than 15 bytes');

/** Segment registers by number (SDM vol. 2, table 3-1). */
const SegmentNumber = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;
const SEGMENT_PREFIX: Record<number, number> = {
  0x26: SegmentNumber.ES,
  0x2e: SegmentNumber.CS,
  0x36: SegmentNumber.SS,
  0x3e: SegmentNumber.DS,
  0x64: SegmentNumber.FS,
  0x65: SegmentNumber.GS,
};

const SP = 4;
const BP = 5;
/** Base and index of 16-bit addressing by ModRM.rm (SDM vol. 2, table 2-1). */
const ADDRESS_16: readonly (readonly [number, number])[] = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, -1],
  [7, -1],
  [5, -1],
  [3, -1],
];

/** Reads the bytes of one instruction. */
class Cursor {
  private readonly view: DataView;
  position: number;

  constructor(
    bytes: Uint8Array,
    readonly start: number,
    private readonly end: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
  }

  private take(count: number): number {
    const at = this.position;
    if (at + count - this.start > MAXIMUM_LENGTH) throw tooLong;
    if (at + count > this.end) throw endOfBytes;
    this.position = at + count;
    return at;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  i8(): number {
    return this.view.getInt8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  signed(width: number): bigint {
    switch (width) {
      case 8:
        return BigInt(this.view.getInt8(this.take(1)));
      case 16:
        return BigInt(this.view.getInt16(this.take(2), true));
      case 32:
        return BigInt(this.view.getInt32(this.take(4), true));
      default:
        return this.view.getBigInt64(this.take(8), true);
    }
  }

  get length(): number {
    return this.position - this.start;
  }
}

interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  /** The last of F2 and F3, or 0 */
  repeat: number;
  segment: number;
  rex: number;
}

/** ModRM and what it selects. */
interface Operand {
  mod: number;
  reg: number;
  rm: number;
  isMemory: boolean;
  base: number;
  index: number;
  scale: number;
  displacement: bigint;
  ripRelative: boolean;
}

/**
 * Decodes one instruction from `bytes[start..end)`. Undefined: the bytes end before the instruction does.
 * `rip` is the instruction pointer of its first byte. What no row describes decodes to a row that raises #UD.
 */
export function decode(
  bytes: Uint8Array,
  start: number,
  end: number,
  rip: bigint,
  codeSize: CodeSize,
): Instruction | undefined {
  const cursor = new Cursor(bytes, start, end);
  try {
    return decodeAt(cursor, rip, codeSize);
  } catch (error) {
    if (error === tooLong) return special(TOO_LONG_ROW, MAXIMUM_LENGTH, rip, codeSize);
    if (error === endOfBytes) return undefined;
    throw error;
  }
}

function decodeAt(cursor: Cursor, rip: bigint, codeSize: CodeSize): Instruction {
  const { prefixes, first } = readPrefixes(cursor, codeSize);
  const { map, opcode } = readOpcode(cursor, first);
  const list = candidates[map]?.[opcode] ?? [];
  const addressSize = addressSizeOf(codeSize, prefixes.addressSize);
  const modRm = list.some(({ encoding }) => encoding.hasModRm) ? cursor.u8() : undefined;
  const found = list.find((candidate) => matches(candidate, prefixes, codeSize, modRm));
  if (!found) return special(UNDEFINED_ROW, cursor.length, rip, codeSize);

  const { row, encoding } = found;
  const operand =
    modRm === undefined || !encoding.hasModRm
      ? withoutModRm(encoding, opcode, prefixes)
      : readModRm(cursor, encoding, modRm, prefixes, addressSize, codeSize);
  if (modRm !== undefined && !encoding.hasModRm) throw new Error(`opcode ${opcode}: some rows have ModRM, some do not`);
  const operandSize = operandSizeOf(row, prefixes, codeSize);
  const immediates = readImmediates(cursor, row, operandSize, codeSize, operand, addressSize);
  const usesStackBase = operand.isMemory && (operand.base === SP || operand.base === BP);
  const instruction: Instruction = {
    row,
    rip,
    length: cursor.length,
    codeSize,
    operandSize: isByteForm(row) ? 8 : operandSize,
    addressSize,
    ...operand,
    // REX.R does not extend segment registers (SDM vol. 2, 2.2.1.2).
    reg: row.operands.includes('Sw') ? operand.reg & 7 : operand.reg,
    segment: prefixes.segment >= 0 ? prefixes.segment : usesStackBase ? SegmentNumber.SS : SegmentNumber.DS,
    ...immediates,
    rex: prefixes.rex,
    lock: prefixes.lock,
    rep: prefixes.repeat === 0xf3,
    repne: prefixes.repeat === 0xf2,
  };
  return isValid(instruction) ? instruction : special(UNDEFINED_ROW, cursor.length, rip, codeSize);
}

/** Legacy prefixes in any order, then REX, which counts only directly before the opcode (SDM vol. 2, 2.1.1, 2.2.1). */
function readPrefixes(cursor: Cursor, codeSize: CodeSize): { prefixes: Prefixes; first: number } {
  const prefixes: Prefixes = { operandSize: false, addressSize: false, lock: false, repeat: 0, segment: -1, rex: 0 };
  for (;;) {
    const byte = cursor.u8();
    const segment = SEGMENT_PREFIX[byte];
    if (codeSize === 64 && (byte & 0xf0) === 0x40) {
      prefixes.rex = byte;
      continue;
    }
    if (segment !== undefined) {
      // In 64-bit mode ES, CS, SS and DS overrides are ignored (SDM vol. 2, 2.1.1).
      if (codeSize !== 64 || segment >= SegmentNumber.FS) prefixes.segment = segment;
    } else if (byte === 0x66) prefixes.operandSize = true;
    else if (byte === 0x67) prefixes.addressSize = true;
    else if (byte === 0xf0) prefixes.lock = true;
    else if (byte === 0xf2 || byte === 0xf3) prefixes.repeat = byte;
    else return { prefixes, first: byte };
    prefixes.rex = 0;
  }
}

function readOpcode(cursor: Cursor, first: number): { map: OpcodeMap; opcode: number } {
  if (first !== 0x0f) return { map: OpcodeMap.OneByte, opcode: first };
  const second = cursor.u8();
  if (second === 0x38) return { map: OpcodeMap.ThreeByte38, opcode: cursor.u8() };
  if (second === 0x3a) return { map: OpcodeMap.ThreeByte3A, opcode: cursor.u8() };
  return { map: OpcodeMap.TwoByte, opcode: second };
}

function matches(
  { row, encoding }: Candidate,
  prefixes: Prefixes,
  codeSize: CodeSize,
  modRm: number | undefined,
): boolean {
  if (codeSize === 64 ? !row.modes.long : !row.modes.legacy) return false;
  if (!prefixMatches(encoding, prefixes)) return false;
  if (encoding.rexW !== undefined && encoding.rexW !== ((prefixes.rex & 8) !== 0)) return false;
  if (encoding.rexB !== undefined && encoding.rexB !== ((prefixes.rex & 1) !== 0)) return false;
  if (modRm === undefined || !encoding.hasModRm) return true;
  if (encoding.modRm !== undefined) return encoding.modRm === modRm;
  if (encoding.digit !== undefined && encoding.digit !== ((modRm >> 3) & 7)) return false;
  if (encoding.form === undefined) return true;
  return (encoding.form === 'register') === modRm >= 0xc0;
}

function prefixMatches({ prefix }: Encoding, { repeat, operandSize }: Prefixes): boolean {
  switch (prefix) {
    case 'any':
      return true;
    case 'none':
      return repeat === 0 && !operandSize;
    case 'none or 66':
      return repeat === 0;
    case '66':
      return repeat === 0 && operandSize;
    case 'F2':
      return repeat === 0xf2;
    case 'F3':
      return repeat === 0xf3;
  }
}

function addressSizeOf(codeSize: CodeSize, overridden: boolean): 16 | 32 | 64 {
  if (codeSize === 64) return overridden ? 32 : 64;
  return (codeSize === 32) !== overridden ? 32 : 16;
}

/** SDM vol. 1, tables 3-3 and 3-4. */
function operandSizeOf(row: InstructionRow, prefixes: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  if (codeSize !== 64) {
    // Control and debug registers have one width, whatever the prefixes.
    if (row.longModeSize === 'f64' && row.helper) return 32;
    return (codeSize === 32) !== prefixes.operandSize ? 32 : 16;
  }
  if (row.longModeSize === 'f64') return 64;
  if (prefixes.rex & 8) return row.longModeSize === 'max32' ? 32 : 64;
  if (prefixes.operandSize) return 16;
  return row.longModeSize === 'd64' ? 64 : 32;
}

const NO_MEMORY = { base: -1, index: -1, scale: 0, displacement: 0n, ripRelative: false, isMemory: false } as const;

function withoutModRm(encoding: Encoding, opcode: number, prefixes: Prefixes): Operand {
  const rm = encoding.registerInOpcode ? (opcode & 7) | ((prefixes.rex & 1) << 3) : 0;
  return { ...NO_MEMORY, mod: 3, reg: 0, rm };
}

function readModRm(
  cursor: Cursor,
  encoding: Encoding,
  modRm: number,
  prefixes: Prefixes,
  addressSize: 16 | 32 | 64,
  codeSize: CodeSize,
): Operand {
  const { rex } = prefixes;
  const mod = modRm >> 6;
  const reg = ((modRm >> 3) & 7) | ((rex & 4) << 1);
  const low = modRm & 7;
  if (mod === 3 || encoding.ignoresMod) return { ...NO_MEMORY, mod: 3, reg, rm: low | ((rex & 1) << 3) };
  if (addressSize === 16) return { ...readAddress16(cursor, mod, low), mod, reg, rm: low };

  let base = low | ((rex & 1) << 3);
  let index = -1;
  let scale = 0;
  let displacementWidth = mod === 1 ? 8 : mod === 2 ? 32 : 0;
  let ripRelative = false;
  if (low === SP) {
    const sib = cursor.u8();
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    scale = sib >> 6;
    if (index === SP) {
      index = -1;
      scale = 0;
    }
    base = (sib & 7) | ((rex & 1) << 3);
  }
  if ((low === SP ? base & 7 : low) === BP && mod === 0) {
    base = -1;
    displacementWidth = 32;
    ripRelative = codeSize === 64 && low === BP;
  }
  const displacement = displacementWidth ? cursor.signed(displacementWidth) : 0n;
  return { mod, reg, rm: low, isMemory: true, base, index, scale, displacement, ripRelative };
}

function readAddress16(cursor: Cursor, mod: number, low: number): Omit<Operand, 'mod' | 'reg' | 'rm'> {
  const [base, index] = ADDRESS_16[low] ?? [-1, -1];
  const common = { isMemory: true, scale: 0, ripRelative: false };
  if (mod === 0 && low === 6) return { ...common, base: -1, index: -1, displacement: BigInt(cursor.u16()) };
  const displacement = mod === 0 ? 0n : cursor.signed(mod === 1 ? 8 : 16);
  return { ...common, base, index, displacement };
}

/** Immediates, relative targets and absolute offsets, by the operand codes; `operand` receives an absolute offset. */
function readImmediates(
  cursor: Cursor,
  row: InstructionRow,
  operandSize: 16 | 32 | 64,
  codeSize: CodeSize,
  operand: Operand,
  addressSize: 16 | 32 | 64,
): { immediate: bigint; immediate2: number } {
  const values: bigint[] = [];
  let selector: number | undefined;
  for (const code of row.operands) {
    const { kind, type } = parseOperandCode(code);
    if (kind === 'sI') values.push(cursor.signed(8));
    else if (kind === 'J')
      values.push(cursor.signed(type === 'b' ? 8 : operandSize === 16 && codeSize !== 64 ? 16 : 32));
    else if (kind === 'I') values.push(readImmediate(cursor, type, operandSize));
    else if (kind === 'O') {
      operand.isMemory = true;
      operand.displacement = BigInt.asUintN(addressSize, cursor.signed(addressSize));
    } else if (kind === 'A') {
      values.push(BigInt.asUintN(operandSize, cursor.signed(operandSize)));
      selector = cursor.u16();
    }
  }
  return { immediate: values[0] ?? 0n, immediate2: selector ?? Number(values[1] ?? 0n) };
}

/** Bytes and words are unsigned, Iz and Iv sign-extended from at most 32 bits (Iv: up to 64). */
function readImmediate(cursor: Cursor, type: string, operandSize: 16 | 32 | 64): bigint {
  switch (type) {
    case 'b':
      return BigInt(cursor.u8());
    case 'w':
      return BigInt(cursor.u16());
    case 'v':
      return cursor.signed(operandSize);
    default:
      return cursor.signed(operandSize === 16 ? 16 : 32);
  }
}

const byteForms = new Map<InstructionRow, boolean>();

/** The data operand is a byte: the first operand, or the second where the first names a port. */
function isByteForm(row: InstructionRow): boolean {
  let result = byteForms.get(row);
  if (result === undefined) {
    const [first, second] = row.operands;
    const port = first === 'DX' || (first === 'Ib' && second !== undefined);
    const data = port ? second : first;
    const immediateOnly = data !== undefined && (/^s?I/.test(data) || /^J/.test(data));
    result = data !== undefined && !immediateOnly && operandWidth(data, 32) === 8 && data !== 'Mb';
    byteForms.set(row, result);
  }
  return result;
}

const CONTROL_REGISTERS = new Set([0, 2, 3, 4, 8]);

/** Conditions that raise #UD beyond the encoding: LOCK, and register numbers that do not exist. */
function isValid(instruction: Instruction): boolean {
  const { row, reg } = instruction;
  if (instruction.lock && !(row.lockable && instruction.isMemory)) return false;
  for (const [position, code] of row.operands.entries()) {
    switch (parseOperandCode(code).kind) {
      case 'S':
        if (reg > SegmentNumber.GS || (position === 0 && reg === SegmentNumber.CS)) return false;
        break;
      case 'C':
        if (!CONTROL_REGISTERS.has(reg)) return false;
        break;
      case 'D':
        if (reg > 7) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

function special(row: InstructionRow, length: number, rip: bigint, codeSize: CodeSize): Instruction {
  return {
    ...NO_MEMORY,
    row,
    rip,
    length,
    codeSize,
    operandSize: codeSize === 16 ? 16 : 32,
    addressSize: codeSize,
    mod: 3,
    reg: 0,
    rm: 0,
    segment: SegmentNumber.DS,
    immediate: 0n,
    immediate2: 0,
    rex: 0,
    lock: false,
    rep: false,
    repne: false,
  };
}
