import { type Encoding, OpcodeMap, parseEncoding, specificity } from './encoding';
import type { CodeSize } from './instruction';
import { operandWidth, parseOperandCode } from './operand';
import type { InstructionRow } from './row';
import { INSTRUCTION_TABLE } from './table';

/** The instruction table, indexed by opcode, with what the decoder asks of a row worked out once. */

/** An operand that takes bytes of its own, in the order of the bytes. */
export interface TrailingOperand {
  readonly kind: 'sI' | 'I' | 'J' | 'O' | 'A';
  readonly type: string;
}

export interface Candidate {
  readonly row: InstructionRow;
  readonly encoding: Encoding;
  readonly trailing: readonly TrailingOperand[];
  /** The data operand is a byte: the operand size of the instruction is 8 */
  readonly byteForm: boolean;
  /** Kind of special register that ModRM.reg names: segment, control or debug register */
  readonly specialRegister: 'S' | 'C' | 'D' | undefined;
  /** That register is the destination */
  readonly specialDestination: boolean;
}

export interface OpcodeEntry {
  readonly hasModRm: boolean;
  /** The most specific first */
  readonly candidates: readonly Candidate[];
}

/** Prefixes as far as they select a row. */
export interface SelectingPrefixes {
  readonly operandSize: boolean;
  /** The last of F2 and F3, or 0 */
  readonly repeat: number;
  readonly rex: number;
}

const entries: OpcodeEntry[][] = buildEntries();

export const opcodeEntry = (map: OpcodeMap, opcode: number): OpcodeEntry => entries[map]?.[opcode] ?? EMPTY;

function buildEntries(): OpcodeEntry[][] {
  const lists: Candidate[][][] = [0, 1, 2, 3].map(() => Array.from({ length: 256 }, () => []));
  for (const row of INSTRUCTION_TABLE) {
    const candidate = candidateOf(row);
    const { map, opcode, registerInOpcode } = candidate.encoding;
    for (let low = 0; low < (registerInOpcode ? 8 : 1); low++) lists[map]?.[opcode + low]?.push(candidate);
  }
  return lists.map((map) =>
    map.map((list) => {
      list.sort((a, b) => specificity(b.encoding) - specificity(a.encoding));
      const hasModRm = list.some(({ encoding }) => encoding.hasModRm);
      const plain = list.find(({ encoding }) => !encoding.hasModRm);
      if (hasModRm && plain) throw new Error(`${plain.row.notation}: another row of this opcode has ModRM`);
      return { hasModRm, candidates: list };
    }),
  );
}

function candidateOf(row: InstructionRow): Candidate {
  const operands = row.operands.map(parseOperandCode);
  const special = operands.findIndex(({ kind }) => kind === 'S' || kind === 'C' || kind === 'D');
  const specialRegister = operands[special]?.kind;
  return {
    row,
    encoding: parseEncoding(row),
    trailing: operands.flatMap(({ kind, type }) =>
      kind === 'sI' || kind === 'I' || kind === 'J' || kind === 'O' || kind === 'A' ? [{ kind, type }] : [],
    ),
    byteForm: isByteForm(row),
    specialRegister:
      specialRegister === 'S' || specialRegister === 'C' || specialRegister === 'D' ? specialRegister : undefined,
    specialDestination: special === 0,
  };
}

/** The data operand is the first operand, or the second where the first names a port. */
function isByteForm(row: InstructionRow): boolean {
  const [first, second] = row.operands;
  const port = first === 'DX' || (first === 'Ib' && second !== undefined);
  const data = port ? second : first;
  if (data === undefined || data === 'Mb') return false;
  const { kind } = parseOperandCode(data);
  return kind !== 'I' && kind !== 'sI' && kind !== 'J' && operandWidth(data, 32) === 8;
}

const EMPTY: OpcodeEntry = { hasModRm: false, candidates: [] };

/** The row that these bytes mean, or undefined. */
export function selectCandidate(
  entry: OpcodeEntry,
  prefixes: SelectingPrefixes,
  codeSize: CodeSize,
  modRm: number,
): Candidate | undefined {
  for (const candidate of entry.candidates) {
    if (matches(candidate, prefixes, codeSize, modRm)) return candidate;
  }
  return undefined;
}

function matches(
  { row, encoding }: Candidate,
  prefixes: SelectingPrefixes,
  codeSize: CodeSize,
  modRm: number,
): boolean {
  if (codeSize === 64 ? !row.modes.long : !row.modes.legacy) return false;
  if (!prefixMatches(encoding, prefixes)) return false;
  if (encoding.rexW !== undefined && encoding.rexW !== ((prefixes.rex & 8) !== 0)) return false;
  if (encoding.rexB !== undefined && encoding.rexB !== ((prefixes.rex & 1) !== 0)) return false;
  if (!encoding.hasModRm) return true;
  if (encoding.modRm !== undefined) return encoding.modRm === modRm;
  if (encoding.digit !== undefined && encoding.digit !== ((modRm >> 3) & 7)) return false;
  if (encoding.form === undefined) return true;
  return (encoding.form === 'register') === modRm >= 0xc0;
}

function prefixMatches({ prefix }: Encoding, { repeat, operandSize }: SelectingPrefixes): boolean {
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
