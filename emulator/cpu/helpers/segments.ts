import { Vector } from '../../arch/exceptions';
import type { Instruction } from '../../isa/instruction';
import { Segment, State } from '../../memory/layout';
import { writeRegister } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { checkedSegment } from '../segment-load';
import { StackPointer } from '../stack-pointer';
import { sizeBytes } from './operands';

const MOV_SS_SHADOW = 2;
const NAMES: Readonly<Record<string, Segment>> = {
  ES: Segment.ES,
  CS: Segment.CS,
  SS: Segment.SS,
  DS: Segment.DS,
  FS: Segment.FS,
  GS: Segment.GS,
};

function loadSegment(cpu: Processor, segment: Segment, selector: number): void {
  cpu.state.setSegment(segment, checkedSegment(cpu, segment, selector));
  if (segment === Segment.SS) cpu.contextChanged();
}

/** MOV and POP to SS block interrupts and debug traps until after the next instruction (SDM vol. 3, 6.8.3). */
const blockAfterStackLoad = (cpu: Processor): void =>
  cpu.state.set32(State.INTERRUPTIBILITY, cpu.state.get32(State.INTERRUPTIBILITY) | MOV_SS_SHADOW);

const movToSegment: Helper = (cpu, insn) => {
  const segment = insn.reg & 7;
  if (segment === Number(Segment.CS) || segment > Number(Segment.GS)) throw cpu.fault(Vector.UD);
  loadSegment(cpu, segment, Number(cpu.linear.readRm(insn, 2)));
  if (segment === Number(Segment.SS)) blockAfterStackLoad(cpu);
};

const movFromSegment: Helper = (cpu, insn) => {
  const segment = insn.reg & 7;
  if (segment > Number(Segment.GS)) throw cpu.fault(Vector.UD);
  const selector = BigInt(cpu.state.segmentSelector(segment));
  if (insn.isMemory) cpu.linear.writeRm(insn, 2, selector);
  else writeRegister(cpu, insn.rm, sizeBytes(insn), selector);
};

/** The segment that the row names as its operand. */
function namedSegment(insn: Instruction): Segment {
  const segment = NAMES[insn.row.operands[0] ?? ''];
  if (segment === undefined) throw new Error(`${insn.row.mnemonic} ${insn.row.notation} names no segment register`);
  return segment;
}

const pushSegment: Helper = (cpu, insn) => {
  const size = sizeBytes(insn);
  const stack = StackPointer.current(cpu);
  stack.push(BigInt(cpu.state.segmentSelector(namedSegment(insn))), size);
  stack.commit();
};

const popSegment: Helper = (cpu, insn) => {
  const segment = namedSegment(insn);
  const stack = StackPointer.current(cpu);
  const selector = Number(stack.pop(sizeBytes(insn)) & 0xffffn);
  loadSegment(cpu, segment, selector);
  stack.commit();
  if (segment === Segment.SS) blockAfterStackLoad(cpu);
};

const FAR_POINTER: Readonly<Record<string, Segment>> = {
  LES: Segment.ES,
  LDS: Segment.DS,
  LSS: Segment.SS,
  LFS: Segment.FS,
  LGS: Segment.GS,
};

const loadFarPointer: Helper = (cpu, insn) => {
  const segment = FAR_POINTER[insn.row.mnemonic];
  if (segment === undefined || !insn.isMemory) throw cpu.fault(Vector.UD);
  const size = sizeBytes(insn);
  const at = cpu.linear.operandAddress(insn, size + 2);
  const offset = cpu.linear.read(at, size);
  loadSegment(cpu, segment, Number(cpu.linear.read(at + BigInt(size), 2)));
  writeRegister(cpu, insn.reg, size, offset);
};

export const segmentHelpers: HelperTable = {
  mov_to_seg: movToSegment,
  mov_from_seg: movFromSegment,
  push_seg: pushSegment,
  pop_seg: popSegment,
  load_far_pointer: loadFarPointer,
};
