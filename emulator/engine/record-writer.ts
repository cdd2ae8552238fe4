import { effectsOf } from '../isa/effects';
import type { Instruction } from '../isa/instruction';
import { operandWidth, parseOperandCode } from '../isa/operand';
import { State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import { ANCHOR_DISTANCE, type CodePage } from './code-cache';
import type { Handlers } from './handlers';
import { Field, Pseudo } from './record';
import { segmentSlot, SLOT_BASE } from './scratch';
import { hasRelativeTarget, variantOf } from './variant';

const FS = 4;
const NO_BASE_SLOT = (State.ZERO - SLOT_BASE) / 8;

/** Writes records: the decoded instruction as the interpreter's handlers read it. */
export class RecordWriter {
  private readonly view: DataView;

  constructor(
    memory: MachineMemory,
    private readonly handlers: Handlers,
  ) {
    this.view = memory.view;
  }

  /** A pseudo record; `link` goes to LINK, `immediate` to IMMEDIATE. */
  pseudo(record: number, kind: Pseudo, offset: number, link: number, immediate = 0n, displacement = 0): void {
    const { view } = this;
    view.setInt32(record + Field.HANDLER, kind, true);
    view.setUint16(record + Field.OFFSET, offset, true);
    view.setBigUint64(record + Field.IMMEDIATE, immediate, true);
    view.setInt32(record + Field.DISPLACEMENT, displacement, true);
    view.setInt32(record + Field.LINK, link, true);
  }

  /** The record of an instruction with a meaning; `index` is its number in the page when it has a helper too. */
  instruction(record: number, page: CodePage, offset: number, instruction: Instruction, index: number): void {
    const { view } = this;
    const { row } = instruction;
    const relative = hasRelativeTarget(row);
    const near = relative && this.isNear(page, offset, instruction);
    const number = this.handlers.numberOf(variantOf(instruction, page.mode.stackSize, near));
    view.setInt32(record + Field.HANDLER, number, true);
    const byteOperand = (position: number): boolean => {
      const code = row.operands[position];
      return code !== undefined && operandWidth(code, 32) === 8;
    };
    view.setUint16(
      record + Field.REG,
      registerAddress(instruction, instruction.reg, operandOf(row.operands, 'G', byteOperand)),
      true,
    );
    view.setUint16(
      record + Field.RM,
      registerAddress(instruction, instruction.rm, operandOf(row.operands, 'EZR', byteOperand)),
      true,
    );
    view.setUint16(record + Field.OFFSET, offset, true);
    view.setInt32(record + Field.LINK, index, true);
    this.writeSegment(record, instruction);
    if (instruction.isMemory) this.writeMemory(record, page, offset, instruction);
    this.writeImmediates(record, page, offset, instruction, relative);
  }

  /** A target inside the page is linked when the transfer cannot fault and does not wrap. */
  private isNear(page: CodePage, offset: number, instruction: Instruction): boolean {
    const target = offset + instruction.length + Number(instruction.immediate);
    if (target < 0 || target > 0xfff) return false;
    const { mode } = page;
    if (mode.codeSize === 64) return true;
    const rip = page.rip + BigInt(target);
    return rip <= mode.codeLimit && rip === BigInt.asUintN(instruction.operandSize === 16 ? 16 : 32, rip);
  }

  private writeSegment(record: number, { codeSize, segment }: Instruction): void {
    const slot = codeSize === 64 && segment < FS ? NO_BASE_SLOT : segmentSlot(segment);
    this.view.setUint8(record + Field.SEGMENT, slot);
  }

  private writeMemory(record: number, page: CodePage, offset: number, instruction: Instruction): void {
    const { view } = this;
    const { base, index, scale, ripRelative } = instruction;
    const slot = (register: number): number => (register < 0 ? State.ZERO : State.GPR + register * 8);
    view.setUint16(record + Field.BASE, slot(base), true);
    view.setUint16(record + Field.INDEX, slot(index), true);
    view.setUint8(record + Field.SCALE, scale);
    let displacement = instruction.displacement;
    if (ripRelative) {
      // Relative to the page's first byte, so that 32 bits are enough; a displacement near the limit takes the
      // second word, which is 64 KiB higher.
      displacement += BigInt(offset + instruction.length);
      const near = displacement === BigInt.asIntN(32, displacement);
      if (!near) displacement -= ANCHOR_DISTANCE;
      view.setUint16(record + Field.BASE, near ? page.anchor : page.anchor + 8, true);
    }
    view.setInt32(record + Field.DISPLACEMENT, Number(BigInt.asIntN(32, displacement)), true);
  }

  private writeImmediates(
    record: number,
    page: CodePage,
    offset: number,
    instruction: Instruction,
    relative: boolean,
  ): void {
    const { view } = this;
    const { row, immediate } = instruction;
    const next = BigInt.asUintN(64, page.rip + BigInt(offset + instruction.length));
    const operandSize = instruction.operandSize === 8 ? 32 : instruction.operandSize;
    const code = row.operands.find((operand) => /^s?I/.test(operand));
    if (relative) {
      view.setBigUint64(record + Field.IMMEDIATE, next, true);
      view.setInt32(record + Field.DISPLACEMENT, Number(immediate), true);
    } else if (code !== undefined) {
      const width = operandWidth(code, operandSize);
      const value = width < 32 ? BigInt.asUintN(width, immediate) : immediate;
      view.setBigInt64(record + Field.IMMEDIATE, BigInt.asIntN(64, value), true);
      if (!instruction.isMemory) view.setInt32(record + Field.DISPLACEMENT, instruction.immediate2, true);
    } else if (row.operands.some((operand) => parseOperandCode(operand).kind === 'O')) {
      view.setBigInt64(record + Field.IMMEDIATE, BigInt.asIntN(64, instruction.displacement), true);
    } else view.setBigUint64(record + Field.IMMEDIATE, next, true);
  }
}

/** Whether the operand of one of these kinds is a byte. */
function operandOf(operands: readonly string[], kinds: string, isByte: (position: number) => boolean): boolean {
  const position = operands.findIndex((code) => kinds.includes(parseOperandCode(code).kind));
  return position >= 0 && isByte(position);
}

/** Without REX, byte registers 4 to 7 are AH, CH, DH and BH (SDM vol. 2, table 3-1). */
function registerAddress({ rex }: Instruction, register: number, isByte: boolean): number {
  if (isByte && rex === 0 && register >= 4 && register < 8) return State.GPR + (register - 4) * 8 + 1;
  return State.GPR + register * 8;
}

/** True when control never goes on behind the instruction. */
export function endsRun(instruction: Instruction): boolean {
  const { row } = instruction;
  if (!row.meaning) return true;
  const operandSize = instruction.operandSize === 8 ? 32 : instruction.operandSize;
  const { ending } = effectsOf(row, operandSize, instruction.isMemory, 'none');
  return ending === 'jump' || ending === 'jumpTo';
}
