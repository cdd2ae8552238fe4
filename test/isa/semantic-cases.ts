import { decode } from '../../emulator/isa/decoder';
import type { Instruction } from '../../emulator/isa/instruction';
import { parseOperandCode } from '../../emulator/isa/operand';
import type { InstructionRow } from '../../emulator/isa/row';
import { randomEncoding } from './encode';
import { CODE_ADDRESS, type NativeCase, WINDOW_ADDRESS, WINDOW_SIZE } from './native-cpu';
import type { Random } from './random';

/** Makes random cases of an instruction whose memory accesses all fall into the window. */

export interface SemanticCase extends NativeCase {
  readonly instruction: Instruction;
}

const SP = 4;
const BP = 5;
const SI = 6;
const DI = 7;
const B = 3;
const C = 1;
const ARITHMETIC = 0x8d5n;
const DIRECTION = 0x400n;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

export function makeCase(row: InstructionRow, mode: 32 | 64, random: Random): SemanticCase | undefined {
  const prefixes = [0x66, 0x67];
  if (row.repeatable) prefixes.push(random.bool() ? 0xf2 : 0xf3);
  if (row.lockable) prefixes.push(0xf0);
  // 16-bit addresses do not reach the window.
  if (mode === 32) prefixes.splice(1, 1);
  const code = randomEncoding(row, random, { codeSize: mode, prefixes });
  let instruction = decodeAtCode(code, mode);
  if (!instruction || instruction.row !== row) return undefined;

  const gpr = Array.from({ length: 16 }, () => (mode === 64 ? random.value() : BigInt.asUintN(32, random.value())));
  const inWindow = (): bigint => BigInt(WINDOW_ADDRESS + 64 + random.below(WINDOW_SIZE - 128));
  const kinds = row.operands.map((operand) => parseOperandCode(operand).kind);
  gpr[SP] = BigInt(WINDOW_ADDRESS + 160 + random.below(WINDOW_SIZE - 320));
  if (/^(ENTER|LEAVE)/.test(row.mnemonic)) gpr[BP] = inWindow();
  if (row.mnemonic === 'ENTER') {
    // The new stack pointer stays in the window.
    code.set([random.below(64), 0, random.below(8)], instruction.length - 3);
    instruction = decodeAtCode(code, mode) ?? instruction;
  }
  if (row.mnemonic === 'XLATB') gpr[B] = BigInt(WINDOW_ADDRESS);
  if (kinds.includes('X') || kinds.includes('Y')) {
    gpr[SI] = inWindow();
    gpr[DI] = inWindow();
    gpr[C] = BigInt(random.below(4));
  }
  if (instruction.isMemory && !/^(LEA|NOP)$/.test(row.mnemonic)) {
    if (/^BT/.test(row.mnemonic) && kinds[1] === 'G') gpr[instruction.reg] = u64(BigInt(random.below(1024) - 512));
    const wanted = inWindow();
    if (!aim(instruction, code, gpr, wanted, mode)) return undefined;
    instruction = decodeAtCode(code, mode);
    if (!instruction || instruction.row !== row || address(instruction, gpr) !== wanted) return undefined;
    if (/^BT/.test(row.mnemonic) && kinds[1] === 'G' && !smallIndex(instruction, gpr)) return undefined;
  }
  const rflags = (random.u64() & (ARITHMETIC | DIRECTION)) | 0x202n;
  const memory = new Uint8Array(WINDOW_SIZE);
  for (let i = 0; i < WINDOW_SIZE; i++) memory[i] = random.below(4) ? random.byte() : random.pick([0, 0xff, 0x80, 1]);
  return { code: code.slice(0, instruction.length), mode, gpr, rflags, memory, instruction };
}

const decodeAtCode = (code: Uint8Array, mode: 32 | 64): Instruction | undefined =>
  decode(code, 0, code.length, BigInt(CODE_ADDRESS), mode);

function smallIndex(instruction: Instruction, gpr: readonly bigint[]): boolean {
  const width = instruction.operandSize;
  const index = BigInt.asIntN(width, gpr[instruction.reg] ?? 0n);
  return index > -600n && index < 600n;
}

/** The effective address by the manual's formula, independent of the emulator's own. */
function address(instruction: Instruction, gpr: readonly bigint[]): bigint {
  const { base, index, scale, displacement, ripRelative, rip, length, addressSize } = instruction;
  let sum = displacement;
  if (base >= 0) sum += gpr[base] ?? 0n;
  if (index >= 0) sum += (gpr[index] ?? 0n) << BigInt(scale);
  if (ripRelative) sum += rip + BigInt(length);
  return BigInt.asUintN(addressSize, sum);
}

/** Changes a register or the displacement so that the memory operand lies at `wanted`. */
function aim(instruction: Instruction, code: Uint8Array, gpr: bigint[], wanted: bigint, mode: 32 | 64): boolean {
  const { base, index, scale } = instruction;
  const missing = wanted - address(instruction, gpr);
  const cut = (value: bigint): bigint => BigInt.asUintN(mode, value);
  if (base >= 0 && base !== index) {
    if (base === SP) return false;
    gpr[base] = cut((gpr[base] ?? 0n) + missing);
    return true;
  }
  if (base < 0 && index >= 0 && scale === 0) {
    gpr[index] = cut((gpr[index] ?? 0n) + missing);
    return true;
  }
  if (base >= 0 || index >= 0) return false;
  const width =
    parseOperandCode(instruction.row.operands.find((o) => o.startsWith('O')) ?? 'Ev').kind === 'O'
      ? instruction.addressSize / 8
      : 4;
  const view = new DataView(code.buffer);
  for (let at = 1; at + width <= instruction.length; at++) {
    const here = width === 8 ? view.getBigInt64(at, true) : BigInt(view.getInt32(at, true));
    if (BigInt.asUintN(32, here) !== BigInt.asUintN(32, instruction.displacement)) continue;
    const patched = instruction.displacement + missing;
    if (width === 8) view.setBigInt64(at, BigInt.asIntN(64, patched), true);
    else view.setInt32(at, Number(BigInt.asIntN(32, patched)), true);
    return true;
  }
  return false;
}

const FLAG_BITS: Record<string, bigint> = { C: 1n, P: 4n, A: 0x10n, Z: 0x40n, S: 0x80n, O: 0x800n };

/** RFLAGS bits that the manual defines after this instruction. */
export function definedFlags(c: SemanticCase): bigint {
  const { row, operandSize } = c.instruction;
  let undefinedBits = [...row.undefinedFlags].reduce((bits, letter) => bits | (FLAG_BITS[letter] ?? 0n), 0n);
  const shift = /^(SH[LR]D?|SAR|RO[LR]|RC[LR])$/.test(row.mnemonic);
  if (shift) {
    const count = shiftCount(c);
    if (count === 0) undefinedBits = 0n;
    if (count === 1) undefinedBits &= ~0x800n;
    if (/^SH[LR]$/.test(row.mnemonic) && count >= operandSize) undefinedBits |= 1n;
  }
  return (ARITHMETIC | DIRECTION) & ~undefinedBits;
}

function shiftCount(c: SemanticCase): number {
  const { row, immediate, operandSize } = c.instruction;
  const operand = row.operands.at(-1);
  const raw = operand === '1' ? 1n : operand === 'CL' ? (c.gpr[C] ?? 0n) : immediate;
  return Number(raw & (operandSize === 64 ? 63n : 31n));
}

/** True when the manual leaves the result itself undefined. */
export function resultUndefined(c: SemanticCase): boolean {
  const { row, operandSize } = c.instruction;
  return /^SH[LR]D$/.test(row.mnemonic) && shiftCount(c) > operandSize;
}
