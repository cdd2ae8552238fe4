import { type Encoding, OpcodeMap, parseEncoding } from '../../emulator/isa/encoding';
import { parseOperandCode } from '../../emulator/isa/operand';
import type { InstructionRow } from '../../emulator/isa/row';
import type { Random } from './random';

/** Makes random encodings of a row, for tests. */

const MAP_BYTES: Record<OpcodeMap, readonly number[]> = {
  [OpcodeMap.OneByte]: [],
  [OpcodeMap.TwoByte]: [0x0f],
  [OpcodeMap.ThreeByte38]: [0x0f, 0x38],
  [OpcodeMap.ThreeByte3A]: [0x0f, 0x3a],
};

const encodings = new Map<InstructionRow, Encoding>();
export function encodingOf(row: InstructionRow): Encoding {
  let encoding = encodings.get(row);
  if (!encoding) encodings.set(row, (encoding = parseEncoding(row)));
  return encoding;
}

export interface EncodeOptions {
  readonly codeSize: 16 | 32 | 64;
  /** Extra prefixes are drawn from these */
  readonly prefixes: readonly number[];
}

/** A random encoding: prefixes, REX, opcode, ModRM with SIB, and enough random bytes for the rest. */
export function randomEncoding(row: InstructionRow, random: Random, options: EncodeOptions): Uint8Array {
  const encoding = encodingOf(row);
  const bytes: number[] = [];
  for (const prefix of options.prefixes) if (random.below(6) === 0) bytes.push(prefix);
  if (encoding.prefix === '66' || encoding.prefix === 'F2' || encoding.prefix === 'F3')
    bytes.push(parseInt(encoding.prefix, 16));
  if (options.codeSize === 64 && (encoding.rexW !== undefined || random.bool())) {
    let rex = 0x40 | random.below(16);
    if (encoding.rexW !== undefined) rex = encoding.rexW ? rex | 8 : rex & ~8;
    if (encoding.rexB === false) rex &= ~1;
    bytes.push(rex);
  }
  bytes.push(...MAP_BYTES[encoding.map], encoding.opcode + (encoding.registerInOpcode ? random.below(8) : 0));
  if (encoding.modRm !== undefined) bytes.push(encoding.modRm);
  else if (encoding.hasModRm) {
    const mod = modOf(row, encoding, random);
    const reg = encoding.digit ?? random.below(8);
    bytes.push((mod << 6) | (reg << 3) | random.below(8));
  }
  while (bytes.length < 15) bytes.push(random.byte());
  return Uint8Array.from(bytes.slice(0, 15));
}

function modOf(row: InstructionRow, encoding: Encoding, random: Random): number {
  if (encoding.form === 'register') return 3;
  if (encoding.form === 'memory') return random.below(3);
  const memory = row.operands.some((code) => parseOperandCode(code).kind === 'E');
  return memory && random.bool() ? random.below(3) : 3;
}
