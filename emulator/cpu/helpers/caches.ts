import { Cr4 } from '../../arch/control-registers';
import { Vector } from '../../arch/exceptions';
import { Access } from '../../engine/host';
import { Segment, State } from '../../memory/layout';
import { pcidOf } from '../control-registers';
import { isCanonical } from '../linear-memory';
import type { Helper, HelperTable } from '../processor';
import { requireDefined, requirePrivilege } from './operands';

/**
 * INVLPG: the mappings of the page under the current VPID and PCID, and the global ones under every PCID. A non-canonical address does nothing in 64-bit
 * mode; segment limits are not checked (SDM vol. 2, INVLPG).
 */
const invlpg: Helper = (cpu, insn) => {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const { state } = cpu;
  const offset = cpu.linear.effectiveAddress(insn);
  const based = cpu.codeSize !== 64 || insn.segment === Number(Segment.FS) || insn.segment === Number(Segment.GS);
  const sum = based ? state.segmentBase(insn.segment) + offset : offset;
  const linear = cpu.codeSize === 64 ? BigInt.asUintN(64, sum) : sum & 0xffffffffn;
  if (!isCanonical(linear)) return;
  cpu.tlb.flushPage(state.get32(State.VPID) & 0xffff, linear, pcidOf(cpu));
};

const InvpcidType = { ADDRESS: 0n, SINGLE_CONTEXT: 1n, ALL_WITH_GLOBALS: 2n, ALL_BUT_GLOBALS: 3n } as const;
const PCID = 0xfffn;

/** INVPCID, with a descriptor of 16 bytes: PCID in bits 11:0, linear address in 127:64 (SDM vol. 2, INVPCID). */
const invpcid: Helper = (cpu, insn) => {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  requireDefined(cpu, insn);
  if (cpu.virtual8086) throw cpu.fault(Vector.GP, 0);
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
  const { state, tlb } = cpu;
  const register = state.gpr(insn.reg);
  const type = cpu.codeSize === 64 ? register : register & 0xffffffffn;
  const descriptor = cpu.linear.operandAddress(insn, 16);
  const first = cpu.linear.read(descriptor, 8);
  const address = cpu.linear.read(descriptor + 8n, 8);
  const pcid = Number(first & PCID);
  const onePcid = type === InvpcidType.ADDRESS || type === InvpcidType.SINGLE_CONTEXT;
  const withoutPcids = (state.cr4 & Cr4.PCIDE) === 0n;
  if (type > InvpcidType.ALL_BUT_GLOBALS || first & ~PCID) throw cpu.fault(Vector.GP, 0);
  if (onePcid && withoutPcids && pcid !== 0) throw cpu.fault(Vector.GP, 0);
  if (type === InvpcidType.ADDRESS && !isCanonical(address)) throw cpu.fault(Vector.GP, 0);
  const vpid = state.get32(State.VPID) & 0xffff;
  if (type === InvpcidType.ADDRESS) tlb.flushPage(vpid, address, pcid, true);
  else if (onePcid) tlb.flushPcid(vpid, pcid);
  else tlb.flushVpid(vpid, type === InvpcidType.ALL_BUT_GLOBALS);
};

/** Caches are not modelled: memory is always what was last written. */
const cacheInstruction: Helper = (cpu, insn) => {
  requirePrivilege(cpu);
  if (cpu.exits(insn)) return;
};

/** CMPXCHG16B: #GP(0) when its operand is not aligned to 16 bytes (SDM vol. 2, CMPXCHG8B/CMPXCHG16B). */
const cmpxchg16b: Helper = (cpu, insn) => {
  if (!insn.isMemory) throw cpu.fault(Vector.UD);
  const { state } = cpu;
  const at = cpu.linear.operandAddress(insn, 16, Access.Write);
  if (at & 0xfn) throw cpu.fault(Vector.GP, 0);
  cpu.linear.checkWrite(at, 16);
  const low = cpu.linear.read(at, 8);
  const high = cpu.linear.read(at + 8n, 8);
  const equal = low === state.gpr(0) && high === state.gpr(2);
  cpu.linear.write(at, 8, equal ? state.gpr(3) : low);
  cpu.linear.write(at + 8n, 8, equal ? state.gpr(1) : high);
  if (!equal) {
    state.setGpr(0, low);
    state.setGpr(2, high);
  }
  state.rflags = equal ? state.rflags | 0x40n : state.rflags & ~0x40n;
};

export const cacheHelpers: HelperTable = {
  invlpg,
  invpcid,
  wbinvd: cacheInstruction,
  invd: cacheInstruction,
  cmpxchg16b,
};
