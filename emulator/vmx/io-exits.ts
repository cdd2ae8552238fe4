import { Primary } from '../arch/controls';
import { ExitReason } from '../arch/exit-reasons';
import type { Instruction } from '../isa/instruction';
import { hostPhysical } from '../memory/address';
import { Segment } from '../memory/layout';
import type { VmxCore } from './core';
import { instructionExit, stringIoInformation } from './instruction-information';
import { Slot } from './vmcs';

const PORTS = 0x10000;
const BITMAP_PORTS = 0x8000;

/** IN, OUT, INS and OUTS (SDM vol. 3, 26.1.3; qualification table 28-5). */
export function portAccess(core: VmxCore, insn: Instruction): boolean {
  const { state } = core.cpu;
  const immediate = insn.row.operands.includes('Ib');
  const port = immediate ? Number(insn.immediate & 0xffn) : Number(state.gpr(2) & 0xffffn);
  const size = accessSize(insn);
  if (!portIntercepted(core, port, size)) return false;
  const { helper } = insn.row;
  const string = helper === 'ins' || helper === 'outs';
  const input = helper === 'in' || helper === 'ins';
  const qualification =
    (size - 1) |
    (input ? 1 << 3 : 0) |
    (string ? 1 << 4 : 0) |
    (string && (insn.rep || insn.repne) ? 1 << 5 : 0) |
    (immediate ? 1 << 6 : 0);
  instructionExit(core, insn, ExitReason.IO_INSTRUCTION, BigInt(qualification) | (BigInt(port) << 16n));
  if (string) {
    // INS always uses ES:rDI; OUTS DS:rSI, or the segment of an override.
    core.exit.guestLinear = stringAddress(core, insn, input ? Segment.ES : insn.segment, input ? 7 : 6);
    core.exit.instructionInformation = stringIoInformation(insn);
  }
  return true;
}

/** A byte operand names itself in the row; the others have the operand size, at most 32 bits. */
function accessSize(insn: Instruction): 1 | 2 | 4 {
  const byte = insn.row.operands.some((code) => code === 'AL' || code === 'Xb' || code === 'Yb');
  return byte ? 1 : insn.operandSize === 16 ? 2 : 4;
}

/** The I/O bitmaps, or unconditional I/O exiting, which they override (SDM vol. 3, 25.6.4) */
export function portIntercepted(core: VmxCore, port: number, size: number): boolean {
  const { vmcs } = core;
  const controls = vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  if (!(controls & Primary.USE_IO_BITMAPS)) return (controls & Primary.UNCONDITIONAL_IO_EXITING) !== 0;
  // An access that wraps around the port space exits.
  if (port + size > PORTS) return true;
  for (let i = port; i < port + size; i++) if (bitmapBit(core, i)) return true;
  return false;
}

function bitmapBit(core: VmxCore, port: number): boolean {
  const bitmap = core.vmcs.get64(port < BITMAP_PORTS ? Slot.IO_BITMAP_A : Slot.IO_BITMAP_B);
  const byte = core.cpu.physical.read(hostPhysical(bitmap + BigInt((port & 0x7fff) >>> 3)), 1);
  return ((byte >> BigInt(port & 7)) & 1n) !== 0n;
}

function stringAddress(core: VmxCore, insn: Instruction, segment: Segment, register: number): bigint {
  const { state, codeSize } = core.cpu;
  const offset = BigInt.asUintN(insn.addressSize, state.gpr(register));
  if (codeSize !== 64) return (state.segmentBase(segment) + offset) & 0xffff_ffffn;
  const based = segment === Segment.FS || segment === Segment.GS;
  return based ? BigInt.asUintN(64, state.segmentBase(segment) + offset) : offset;
}
