import { type Operand, readModRm, registers, withoutModRm } from './addressing';
import { ByteCursor, endOfBytes, MAXIMUM_LENGTH, tooLong } from './byte-cursor';
import { OpcodeMap } from './encoding';
import type { AddressSize, CodeSize, Instruction } from './instruction';
import { type Candidate, opcodeEntry, selectCandidate, type TrailingOperand } from './opcode-table';
import { type InstructionRow, row } from './row';
import { UNDEFINED_ROW } from './table';

/** The decoder: prefixes, then the row that the opcode selects, then what its operands need. */

export { MAXIMUM_LENGTH };

const TOO_LONG_ROW: InstructionRow = {
  id: UNDEFINED_ROW.id + 1,
  ...row('(too long)', '', '', 'Longer than 15 bytes: raises #GP(0)', {
    meaning: (x) => x.raiseIf(x.k(32, 1), 13, 0),
  }),
};

/** Segment registers by number (SDM vol. 2, table 3-1). */
const SegmentNumber = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;
const SP = 4;
const BP = 5;
const CONTROL_REGISTERS = new Set([0, 2, 3, 4, 8]);

interface Prefixes {
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  /** The last of F2 and F3, or 0 */
  repeat: number;
  /** Overriding segment, or -1 */
  segment: number;
  rex: number;
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
  try {
    return decodeAt(new ByteCursor(bytes, start, end), rip, codeSize);
  } catch (error) {
    if (error === tooLong) return special(TOO_LONG_ROW, MAXIMUM_LENGTH, rip, codeSize);
    if (error === endOfBytes) return undefined;
    throw error;
  }
}

function decodeAt(cursor: ByteCursor, rip: bigint, codeSize: CodeSize): Instruction {
  const prefixes: Prefixes = { operandSize: false, addressSize: false, lock: false, repeat: 0, segment: -1, rex: 0 };
  let opcode = readPrefixes(cursor, codeSize, prefixes);
  let map = OpcodeMap.OneByte;
  if (opcode === 0x0f) {
    opcode = cursor.u8();
    map = opcode === 0x38 ? OpcodeMap.ThreeByte38 : opcode === 0x3a ? OpcodeMap.ThreeByte3A : OpcodeMap.TwoByte;
    if (map !== OpcodeMap.TwoByte) opcode = cursor.u8();
  }
  const entry = opcodeEntry(map, opcode);
  const modRm = entry.hasModRm ? cursor.u8() : 0;
  const candidate = selectCandidate(entry, prefixes, codeSize, modRm);
  if (!candidate) return special(UNDEFINED_ROW, cursor.length, rip, codeSize);

  const { row, encoding } = candidate;
  const addressSize = addressSizeOf(codeSize, prefixes.addressSize);
  const operand = encoding.hasModRm
    ? readModRm(cursor, encoding, modRm, prefixes.rex, addressSize, codeSize)
    : withoutModRm(encoding, opcode, prefixes.rex);
  // REX.R does not extend segment registers (SDM vol. 2, 2.2.1.2).
  if (candidate.specialRegister === 'S') operand.reg &= 7;
  const operandSize = operandSizeOf(row, prefixes, codeSize);
  let immediate: bigint | undefined;
  let immediate2 = 0;
  for (const trailing of candidate.trailing) {
    if (trailing.kind === 'O') {
      operand.isMemory = true;
      operand.displacement = BigInt.asUintN(addressSize, cursor.signed(addressSize));
    } else {
      const value = readTrailing(cursor, trailing, operandSize, codeSize);
      if (immediate === undefined) immediate = value;
      else immediate2 = Number(value);
      if (trailing.kind === 'A') immediate2 = cursor.u16();
    }
  }
  if (!isValid(candidate, operand, prefixes.lock)) return special(UNDEFINED_ROW, cursor.length, rip, codeSize);
  return {
    row,
    rip,
    length: cursor.length,
    codeSize,
    operandSize: candidate.byteForm ? 8 : operandSize,
    addressSize,
    mod: operand.mod,
    reg: operand.reg,
    rm: operand.rm,
    isMemory: operand.isMemory,
    base: operand.base,
    index: operand.index,
    scale: operand.scale,
    displacement: operand.displacement,
    ripRelative: operand.ripRelative,
    segment: prefixes.segment >= 0 ? prefixes.segment : defaultSegment(operand),
    immediate: immediate ?? 0n,
    immediate2,
    rex: prefixes.rex,
    lock: prefixes.lock,
    rep: prefixes.repeat === 0xf3,
    repne: prefixes.repeat === 0xf2,
  };
}

/**
 * Legacy prefixes in any order, then REX, which counts only directly before the opcode (SDM vol. 2, 2.1.1, 2.2.1).
 * Returns the byte behind them.
 */
function readPrefixes(cursor: ByteCursor, codeSize: CodeSize, prefixes: Prefixes): number {
  for (;;) {
    const byte = cursor.u8();
    if (codeSize === 64 && (byte & 0xf0) === 0x40) {
      prefixes.rex = byte;
      continue;
    }
    switch (byte) {
      case 0x66:
        prefixes.operandSize = true;
        break;
      case 0x67:
        prefixes.addressSize = true;
        break;
      case 0xf0:
        prefixes.lock = true;
        break;
      case 0xf2:
      case 0xf3:
        prefixes.repeat = byte;
        break;
      case 0x26:
      case 0x2e:
      case 0x36:
      case 0x3e:
        // In 64-bit mode ES, CS, SS and DS overrides are ignored (SDM vol. 2, 2.1.1).
        if (codeSize !== 64) prefixes.segment = (byte >> 3) & 3;
        break;
      case 0x64:
        prefixes.segment = SegmentNumber.FS;
        break;
      case 0x65:
        prefixes.segment = SegmentNumber.GS;
        break;
      default:
        return byte;
    }
    prefixes.rex = 0;
  }
}

function addressSizeOf(codeSize: CodeSize, overridden: boolean): AddressSize {
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

/** Bytes and words are unsigned, Iz and Iv sign-extended from at most 32 bits (Iv: up to 64). */
function readTrailing(
  cursor: ByteCursor,
  { kind, type }: TrailingOperand,
  operandSize: 16 | 32 | 64,
  codeSize: CodeSize,
): bigint {
  switch (kind) {
    case 'sI':
      return cursor.signed(8);
    case 'J':
      return cursor.signed(type === 'b' ? 8 : operandSize === 16 && codeSize !== 64 ? 16 : 32);
    case 'A':
      return BigInt.asUintN(operandSize, cursor.signed(operandSize));
    default:
      if (type === 'b') return BigInt(cursor.u8());
      if (type === 'w') return BigInt(cursor.u16());
      if (type === 'v') return cursor.signed(operandSize);
      return cursor.signed(operandSize === 16 ? 16 : 32);
  }
}

function defaultSegment({ isMemory, base }: Operand): number {
  return isMemory && (base === SP || base === BP) ? SegmentNumber.SS : SegmentNumber.DS;
}

/** Conditions that raise #UD beyond the encoding: LOCK, and register numbers that do not exist. */
function isValid(candidate: Candidate, { reg, isMemory }: Operand, lock: boolean): boolean {
  if (lock && !(candidate.row.lockable && isMemory)) return false;
  switch (candidate.specialRegister) {
    case undefined:
      return true;
    case 'S':
      return reg <= SegmentNumber.GS && !(candidate.specialDestination && reg === SegmentNumber.CS);
    case 'C':
      return CONTROL_REGISTERS.has(reg);
    case 'D':
      return reg <= 7;
  }
}

function special(row: InstructionRow, length: number, rip: bigint, codeSize: CodeSize): Instruction {
  return {
    ...registers(0, 0),
    row,
    rip,
    length,
    codeSize,
    operandSize: codeSize === 16 ? 16 : 32,
    addressSize: codeSize,
    segment: SegmentNumber.DS,
    immediate: 0n,
    immediate2: 0,
    rex: 0,
    lock: false,
    rep: false,
    repne: false,
  };
}
