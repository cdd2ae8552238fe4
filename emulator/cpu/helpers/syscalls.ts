import { Efer } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { Rflags } from '../../arch/flags';
import { AccessRights } from '../../arch/segments';
import { Segment, State } from '../../memory/layout';
import { isCanonical } from '../linear-memory';
import type { Helper, HelperTable, Processor } from '../processor';
import { requireProtectedMode } from './operands';

const RCX = 1;
const RDX = 2;
const RSP = 4;
const R11 = 11;
const CODE = 11;
const DATA = 3;
/** RFLAGS bits that SYSRET takes from R11 (SDM vol. 2, SYSRET) */
const SYSRET_FLAGS = 0x3c7fd7n;

/** The fixed flat segments of fast system calls: base 0, limit 4 GByte, present, accessed. */
function setFlat(cpu: Processor, segment: Segment, selector: number, type: number, level: number, size: number): void {
  const access =
    type |
    AccessRights.CODE_OR_DATA |
    (level << AccessRights.DPL_SHIFT) |
    AccessRights.PRESENT |
    AccessRights.GRANULARITY |
    size;
  cpu.state.setSegment(segment, { selector, access, limit: 0xffffffff, base: 0n });
}

function enter(cpu: Processor, code: number, stack: number, level: number, long: boolean): void {
  setFlat(cpu, Segment.CS, code, CODE, level, long ? AccessRights.LONG : AccessRights.DEFAULT_BIG);
  setFlat(cpu, Segment.SS, stack, DATA, level, AccessRights.DEFAULT_BIG);
  cpu.contextChanged();
}

/** SYSCALL exists in 64-bit mode only, as on Intel's processors. */
const syscall: Helper = (cpu) => {
  const { state } = cpu;
  if (cpu.codeSize !== 64 || !(state.efer & Efer.SCE)) throw cpu.fault(Vector.UD);
  const flags = state.rflags;
  state.setGpr(RCX, cpu.nextRip);
  state.setGpr(R11, flags & ~Rflags.RF);
  state.rflags = flags & ~(state.get64(State.FMASK) | Rflags.RF);
  const selector = Number((state.get64(State.STAR) >> 32n) & 0xfffcn);
  cpu.nextRip = state.get64(State.LSTAR);
  enter(cpu, selector, selector + 8, 0, true);
};

const sysret: Helper = (cpu, insn) => {
  const { state } = cpu;
  if (cpu.codeSize !== 64 || !(state.efer & Efer.SCE)) throw cpu.fault(Vector.UD);
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
  const long = insn.operandSize === 64;
  const target = state.gpr(RCX);
  if (long && !isCanonical(target)) throw cpu.fault(Vector.GP, 0);
  const selector = Number(state.get64(State.STAR) >> 48n);
  state.rflags = state.gpr(R11) & SYSRET_FLAGS;
  cpu.nextRip = long ? target : target & 0xffffffffn;
  enter(cpu, (selector + (long ? 16 : 0)) | 3, (selector + 8) | 3, 3, long);
};

function sysenterSelector(cpu: Processor): number {
  const selector = Number(cpu.state.get64(State.SYSENTER_CS) & 0xfffcn);
  if (cpu.realMode || selector === 0) throw cpu.fault(Vector.GP, 0);
  return selector;
}

const sysenter: Helper = (cpu) => {
  const { state } = cpu;
  const selector = sysenterSelector(cpu);
  const { longMode } = cpu;
  state.rflags = state.rflags & ~(Rflags.VM | Rflags.IF | Rflags.RF);
  const mask = longMode ? (1n << 64n) - 1n : 0xffffffffn;
  state.setGpr(RSP, state.get64(State.SYSENTER_ESP) & mask);
  cpu.nextRip = state.get64(State.SYSENTER_EIP) & mask;
  enter(cpu, selector, selector + 8, 0, longMode);
};

const sysexit: Helper = (cpu, insn) => {
  const { state } = cpu;
  const selector = sysenterSelector(cpu);
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
  requireProtectedMode(cpu);
  const long = insn.operandSize === 64;
  const rip = state.gpr(RDX);
  const rsp = state.gpr(RCX);
  if (long && (!isCanonical(rip) || !isCanonical(rsp))) throw cpu.fault(Vector.GP, 0);
  cpu.nextRip = long ? rip : rip & 0xffffffffn;
  state.setGpr(RSP, long ? rsp : rsp & 0xffffffffn);
  enter(cpu, (selector + (long ? 32 : 16)) | 3, (selector + (long ? 40 : 24)) | 3, 3, long);
};

/** SWAPGS: GS.base and IA32_KERNEL_GS_BASE change places. */
const swapgs: Helper = (cpu) => {
  if (cpu.codeSize !== 64) throw cpu.fault(Vector.UD);
  if (cpu.cpl !== 0) throw cpu.fault(Vector.GP, 0);
  const { state } = cpu;
  const at = State.SEGMENTS + Segment.GS * 32 + 16;
  const base = state.get64(at);
  state.set64(at, state.get64(State.KERNEL_GS_BASE));
  state.set64(State.KERNEL_GS_BASE, base);
};

export const syscallHelpers: HelperTable = { syscall, sysret, sysenter, sysexit, swapgs };
