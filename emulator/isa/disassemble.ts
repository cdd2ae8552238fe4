import type { Width } from './context';
import type { Instruction } from './instruction';
import { type OperandCode, operandWidth, parseOperandCode } from './operand';

/** Assembly text of decoded instructions, Intel syntax, from the instruction table. */

const NAMES = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const;
const BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const POINTERS: Record<number, string> = { 8: 'byte', 16: 'word', 32: 'dword', 64: 'qword' };
const SP = 4;
const BP = 5;
const DS = 3;
const SS = 2;

/** Name of a general register; without REX byte registers 4 to 7 are AH to BH. */
export function registerName(register: number, width: Width, hasRex = true): string {
  if (register >= 8) return `r${register}${width === 64 ? '' : width === 32 ? 'd' : width === 16 ? 'w' : 'b'}`;
  const name = NAMES[register] ?? '?';
  switch (width) {
    case 8:
      return hasRex && register >= 4 ? `${name}l` : (BYTES[register] ?? '?');
    case 16:
      return name;
    case 32:
      return `e${name}`;
    case 64:
      return `r${name}`;
  }
}

const hex = (value: bigint): string => (value < 10n ? value.toString() : `0x${value.toString(16)}`);

/**
 * The mnemonic in lower case. Rows whose name depends on the size list the names for 16, 32 and 64 bits: the address
 * size for jumps on the counter, otherwise the operand size.
 */
export function mnemonicOf(instruction: Instruction): string {
  const { row, operandSize, addressSize } = instruction;
  const names = row.mnemonic.toLowerCase().split('/');
  const size = names[0] === 'jcxz' ? addressSize : operandSize;
  return names[size === 64 ? 2 : size === 32 ? 1 : 0] ?? names.at(-1) ?? '';
}

/** The target of a relative jump or call, undefined for other instructions. */
export function relativeTarget(instruction: Instruction): bigint | undefined {
  const { row, rip, length, immediate, operandSize, codeSize } = instruction;
  if (!row.operands.some((code) => parseOperandCode(code).kind === 'J')) return undefined;
  const target = rip + BigInt(length) + immediate;
  return BigInt.asUintN(codeSize === 64 ? 64 : operandSize === 16 ? 16 : 32, target);
}

/** Names an address, or returns undefined. */
export type SymbolName = (address: bigint) => string | undefined;

/** One line of assembly. `symbol` names branch targets and RIP-relative addresses; names follow in angle brackets. */
export function formatInstruction(instruction: Instruction, symbol: SymbolName = () => undefined): string {
  const { row } = instruction;
  const prefixes = [
    instruction.lock ? 'lock ' : '',
    row.repeatable && instruction.repne ? 'repne ' : '',
    row.repeatable && instruction.rep ? (/^(CMPS|SCAS)/.test(row.mnemonic) ? 'repe ' : 'rep ') : '',
  ];
  const far = row.operands.some((code) => code === 'Mp' || code === 'Ap') && !/^L[DEFGS]S$/.test(row.mnemonic);
  // String instructions imply the accumulator.
  const string = row.operands.some((code) => /^[XY]/.test(code));
  const operands = row.operands.flatMap((code, position) =>
    string && /^(AL|rAX)$/.test(code) ? [] : [formatOperand(instruction, position, symbol)],
  );
  const text = `${prefixes.join('')}${mnemonicOf(instruction)}${far ? ' far' : ''}`;
  return operands.length ? `${text} ${operands.join(', ')}` : text;
}

function formatOperand(instruction: Instruction, position: number, symbol: SymbolName): string {
  const { row } = instruction;
  const code = row.operands[position] ?? '';
  const parsed = parseOperandCode(code);
  const operandSize = instruction.operandSize === 8 ? 32 : instruction.operandSize;
  const width = operandWidth(code, operandSize);
  const register = (number: number): string => registerName(number, width, instruction.rex !== 0);
  switch (parsed.kind) {
    case 'E':
    case 'M':
    case 'O':
      return instruction.isMemory ? memory(instruction, parsed, width, symbol) : register(instruction.rm);
    case 'G':
      return register(instruction.reg);
    case 'R':
    case 'Z':
      return register(instruction.rm);
    case 'I':
      return hex(immediateOf(instruction, position, width));
    case 'sI':
      return hex(BigInt.asUintN(width, instruction.immediate));
    case 'J':
      return withSymbol(relativeTarget(instruction) ?? 0n, symbol);
    case 'A':
      return `${hex(BigInt(instruction.immediate2))}:${hex(instruction.immediate)}`;
    case 'S':
      return SEGMENTS[instruction.reg] ?? '?';
    case 'C':
      return `cr${instruction.reg}`;
    case 'D':
      return `dr${instruction.reg}`;
    case 'X':
      return `${overridden(instruction, DS)}[${registerName(6, instruction.addressSize)}]`;
    case 'Y':
      return `[${registerName(7, instruction.addressSize)}]`;
    case 'fixed':
      return fixed(parsed.type, operandSize);
  }
}

const withSymbol = (address: bigint, symbol: SymbolName): string => {
  const name = symbol(address);
  return name === undefined ? `0x${address.toString(16)}` : `0x${address.toString(16)} <${name}>`;
};

function fixed(type: string, operandSize: 16 | 32 | 64): string {
  if (type === 'rAX') return registerName(0, operandSize);
  if (type === 'eAX') return registerName(0, operandSize === 16 ? 16 : 32);
  return type.toLowerCase();
}

function immediateOf(instruction: Instruction, position: number, width: Width): bigint {
  const first = instruction.row.operands.findIndex((code) => parseOperandCode(code).kind === 'I');
  return position === first ? BigInt.asUintN(width, instruction.immediate) : BigInt(instruction.immediate2);
}

/** The segment prefix when it is not the default of the address. */
function overridden(instruction: Instruction, byDefault: number): string {
  return instruction.segment === byDefault ? '' : `${SEGMENTS[instruction.segment] ?? '?'}:`;
}

function memory(instruction: Instruction, { kind, type }: OperandCode, width: Width, symbol: SymbolName): string {
  const { base, index, scale, displacement, ripRelative, addressSize } = instruction;
  // LEA does not access memory: its segment means nothing.
  const address = instruction.row.mnemonic === 'LEA';
  const segment = address ? '' : overridden(instruction, base === SP || base === BP ? SS : DS);
  const size = isSizeKnown(instruction) || (kind === 'M' && type === '') ? '' : `${POINTERS[width]} ptr `;
  if (ripRelative) {
    const target = BigInt.asUintN(addressSize, instruction.rip + BigInt(instruction.length) + displacement);
    return `${size}${segment}[${withSymbol(target, symbol)}]`;
  }
  if (base < 0 && index < 0) return `${size}${segment}[${hex(BigInt.asUintN(addressSize, displacement))}]`;
  const terms = [
    ...(base >= 0 ? [registerName(base, addressSize)] : []),
    ...(index >= 0 ? [`${registerName(index, addressSize)}${scale || base < 0 ? `*${1 << scale}` : ''}`] : []),
  ];
  const rest = displacement === 0n ? '' : displacement < 0n ? `-${hex(-displacement)}` : `+${hex(displacement)}`;
  return `${size}${segment}[${terms.join('+')}${rest}]`;
}

/** True when a register operand of the same width tells the size of the memory operand. */
function isSizeKnown({ row, operandSize }: Instruction): boolean {
  const size = operandSize === 8 ? 32 : operandSize;
  const memoryCode = row.operands.find((code) => /^[EMO]/.test(code)) ?? '';
  return row.operands.some(
    (code) => /^(G|Z|AL$|rAX$)/.test(code) && operandWidth(code, size) === operandWidth(memoryCode, size),
  );
}
