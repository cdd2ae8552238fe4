import { effectsOf } from '../isa/effects';
import type { AddressWidth, RepeatPrefix } from '../isa/context';
import type { Instruction } from '../isa/instruction';
import { operandKind, operandWidth, parseOperandCode } from '../isa/operand';
import type { InstructionRow } from '../isa/row';

/** How the memory operand's address is computed. */
export type MemoryForm =
  | 'none'
  /** 64-bit mode, 64-bit addresses, no segment base: base + displacement */
  | 'base'
  /** the same with an index */
  | 'index'
  /** 64-bit mode, anything: segment base, address size */
  | 'general'
  /** outside 64-bit mode: segment limits and types */
  | 'segmented';

/** What a handler of the interpreter is made for: everything about an instruction that its code fixes. */
export interface Variant {
  readonly row: InstructionRow;
  readonly operandSize: 16 | 32 | 64;
  readonly memory: MemoryForm;
  readonly longMode: boolean;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly repeatPrefix: RepeatPrefix;
  /** The relative target lies in the same page: records are linked directly. */
  readonly near: boolean;
  /** Equal for variants that share a handler */
  readonly key: string;
}

const REPEAT: readonly RepeatPrefix[] = ['none', 'rep', 'repne'];
const FORMS: readonly MemoryForm[] = ['none', 'base', 'index', 'general', 'segmented'];
const variants = new Map<number, Variant>();

/** Two bits for a size of 16, 32 or 64 */
const sizeBits = (size: number): number => (size === 64 ? 2 : size === 32 ? 1 : 0);

/** The variant of an instruction with a meaning. */
export function variantOf(instruction: Instruction, stackSize: AddressWidth, near: boolean): Variant {
  const { row, codeSize, addressSize, rep, repne } = instruction;
  const operandSize = instruction.operandSize === 8 ? 32 : instruction.operandSize;
  const repeat = row.repeatable ? (repne ? 2 : rep ? 1 : 0) : 0;
  const form = memoryForm(instruction);
  let code = row.id * 8 + form;
  code = code * 4 + sizeBits(operandSize);
  code = code * 4 + sizeBits(addressSize);
  code = code * 4 + sizeBits(stackSize);
  code = code * 4 + repeat;
  code = code * 4 + (codeSize === 64 ? 1 : 0) + (near ? 2 : 0);
  let variant = variants.get(code);
  if (!variant) {
    variant = makeVariant(row, operandSize, FORMS[form] ?? 'none', {
      longMode: codeSize === 64,
      addressSize,
      stackSize,
      repeatPrefix: REPEAT[repeat] ?? 'none',
      near,
    });
    variants.set(code, variant);
  }
  return variant;
}

export interface VariantAttributes {
  readonly longMode: boolean;
  readonly addressSize: AddressWidth;
  readonly stackSize: AddressWidth;
  readonly repeatPrefix: RepeatPrefix;
  readonly near: boolean;
}

/** Attributes that the code does not depend on are left out of the key. */
export function makeVariant(
  row: InstructionRow,
  operandSize: 16 | 32 | 64,
  memory: MemoryForm,
  attributes: VariantAttributes,
): Variant {
  const { longMode, addressSize, stackSize, repeatPrefix, near } = attributes;
  const effects = effectsOf(row, operandSize, memory !== 'none', repeatPrefix);
  const relative = effects.ending === 'jump' || effects.ending === 'branch';
  const usesMode = effects.usesSegments || (relative && !near) || effects.ending === 'jumpTo';
  const linkedJump = relative && near && !effects.usesMemory;
  const bytesOnly = row.operands.length > 0 && row.operands.every((code) => /b$/.test(code)) && !relative;
  const parts = [
    meaningNumber(row),
    row.operands.map((code) => operandShape(code, operandSize, memory)).join(),
    linkedJump || bytesOnly ? '' : operandSize,
    memory,
    usesMode ? (longMode ? 'long' : 'legacy') : '',
    effects.usesAddressSize || memory === 'general' || memory === 'segmented' ? addressSize : '',
    effects.usesStackSize ? stackSize : '',
    repeatPrefix,
    near ? 'near' : '',
  ];
  return { row, operandSize, memory, longMode, addressSize, stackSize, repeatPrefix, near, key: parts.join('.') };
}

const meaningNumbers = new Map<unknown, number>();

/** Rows that share their meaning share handlers where operands are reached alike. */
function meaningNumber(row: InstructionRow): number {
  let number = meaningNumbers.get(row.meaning);
  if (number === undefined) {
    number = meaningNumbers.size;
    meaningNumbers.set(row.meaning, number);
  }
  return number;
}

/** How the interpreter reaches an operand, and its width. */
function operandShape(code: string, operandSize: 16 | 32 | 64, memory: MemoryForm): string {
  const { kind, type } = parseOperandCode(code);
  switch (kind) {
    case 'E':
      return (memory === 'none' ? 'rm' : 'memory') + operandWidth(code, operandSize);
    case 'Z':
    case 'R':
      return `rm${operandWidth(code, operandSize)}`;
    case 'I':
    case 'sI':
      return `immediate${operandWidth(code, operandSize)}`;
    case 'J':
      return 'target';
    case 'fixed':
      return type;
    default:
      return kind + operandWidth(code, operandSize);
  }
}

/** Index into FORMS */
function memoryForm(instruction: Instruction): number {
  if (!instruction.isMemory) return 0;
  if (instruction.codeSize !== 64) return 4;
  if (instruction.addressSize !== 64 || instruction.segment >= 4) return 3;
  return instruction.index < 0 ? 1 : 2;
}

export const hasRelativeTarget = (row: InstructionRow): boolean =>
  row.operands.some((code) => operandKind(code) === 'J');
