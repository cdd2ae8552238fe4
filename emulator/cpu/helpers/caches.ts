import { Vector } from '../../arch/exceptions';
import { Access } from '../../engine/host';
import { Segment, State } from '../../memory/layout';
import { isCanonical } from '../linear-memory';
import type { Helper, HelperTable } from '../processor';
import { requirePrivilege } from './operands';

/**
 * INVLPG: every mapping of the page of the current VPID, global or not. A non-canonical address does nothing in 64-bit
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
  cpu.tlb.flushPage(state.get32(State.VPID) & 0xffff, linear);
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
  cpu.linear.check(at, 16, Access.Write);
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

export const cacheHelpers: HelperTable = { invlpg, wbinvd: cacheInstruction, invd: cacheInstruction, cmpxchg16b };
