import { Vector } from '../../arch/exceptions';
import { Rflags } from '../../arch/flags';
import { Access } from '../../engine/host';
import type { Instruction } from '../../isa/instruction';
import { Segment } from '../../memory/layout';
import { truncate, writeRegister } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { portPermitted } from '../task-state';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;

/** Bytes of the access: an instruction with a byte operand names it, the others have at most 32 bits. */
function accessSize(insn: Instruction): 1 | 2 | 4 {
  const byte = insn.row.operands.some((code) => code === 'AL' || code === 'Xb' || code === 'Yb');
  return byte ? 1 : insn.operandSize === 16 ? 2 : 4;
}

function portNumber(cpu: Processor, insn: Instruction): number {
  const immediate = insn.row.operands.includes('Ib');
  return Number(immediate ? insn.immediate & 0xffn : cpu.state.gpr(RDX) & 0xffffn);
}

/** CPL beyond IOPL (or virtual-8086 mode) leaves it to the TSS's bitmap (SDM vol. 1, 19.5). */
function checkPermission(cpu: Processor, port: number, size: number): void {
  if (cpu.realMode) return;
  const iopl = Number((cpu.state.rflags & Rflags.IOPL) >> 12n);
  if ((cpu.virtual8086 || cpu.cpl > iopl) && !portPermitted(cpu, port, size)) throw cpu.fault(Vector.GP, 0);
}

const input: Helper = (cpu, insn) => {
  const size = accessSize(insn);
  const port = portNumber(cpu, insn);
  checkPermission(cpu, port, size);
  if (cpu.exits(insn)) return;
  writeRegister(cpu, RAX, size, BigInt(cpu.ports.read(port, size) >>> 0));
};

const output: Helper = (cpu, insn) => {
  const size = accessSize(insn);
  const port = portNumber(cpu, insn);
  checkPermission(cpu, port, size);
  if (cpu.exits(insn)) return;
  cpu.ports.write(port, size, Number(BigInt.asUintN(size * 8, cpu.state.gpr(RAX))));
};

/**
 * INS and OUTS: one iteration of a REP is one step of virtual time; RIP stays on the instruction until the count is
 * used up.
 */
function stringStep(cpu: Processor, insn: Instruction, index: number, transfer: (offset: bigint) => void): void {
  const { state } = cpu;
  const counted = insn.rep || insn.repne;
  const count = truncate(state.gpr(RCX), insn.addressSize);
  if (counted && count === 0n) return;
  transfer(truncate(state.gpr(index), insn.addressSize));
  const size = BigInt(accessSize(insn));
  const delta = state.rflags & Rflags.DF ? -size : size;
  setPointer(cpu, insn, index, state.gpr(index) + delta);
  if (!counted) return;
  setPointer(cpu, insn, RCX, count - 1n);
  if (count > 1n) cpu.nextRip = insn.rip;
}

/** Writes rSI, rDI or rCX with the address size: 16 bits merge, 32 bits clear the upper half. */
function setPointer(cpu: Processor, insn: Instruction, register: number, value: bigint): void {
  writeRegister(cpu, register, insn.addressSize / 8, BigInt.asUintN(insn.addressSize, value));
}

const ins: Helper = (cpu, insn) => {
  const size = accessSize(insn);
  const port = portNumber(cpu, insn);
  checkPermission(cpu, port, size);
  if (cpu.exits(insn)) return;
  stringStep(cpu, insn, RDI, (offset) => {
    const at = cpu.linear.segmentAddress(Segment.ES, offset, size, Access.Write);
    cpu.linear.checkWrite(at, size);
    cpu.linear.write(at, size, BigInt(cpu.ports.read(port, size) >>> 0));
  });
};

const outs: Helper = (cpu, insn) => {
  const size = accessSize(insn);
  const port = portNumber(cpu, insn);
  checkPermission(cpu, port, size);
  if (cpu.exits(insn)) return;
  stringStep(cpu, insn, RSI, (offset) => {
    const at = cpu.linear.segmentAddress(insn.segment, offset, size);
    cpu.ports.write(port, size, Number(cpu.linear.read(at, size)));
  });
};

export const portHelpers: HelperTable = { in: input, out: output, ins, outs };
