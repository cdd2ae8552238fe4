import { VmInstructionError } from '../../arch/vm-instruction-errors';
import type { Helper, Processor } from '../../cpu/processor';
import type { Instruction } from '../../isa/instruction';
import { eptRootOf } from '../../memory/tlb';
import { eptpValid } from '../entry-checks/controls';
import { canonical } from '../entry-checks/values';
import { fail, requireVmxOperation, succeed } from './outcome';

/** INVEPT and INVVPID (SDM vol. 3, chapter 31; 29.4.3). */
const InveptType = { SINGLE_CONTEXT: 1n, ALL_CONTEXTS: 2n } as const;
const InvvpidType = { ADDRESS: 0n, SINGLE_CONTEXT: 1n, ALL_CONTEXTS: 2n, RETAINING_GLOBALS: 3n } as const;

const typeOf = (cpu: Processor, insn: Instruction): bigint => {
  const register = cpu.state.gpr(insn.reg);
  return cpu.codeSize === 64 ? register : register & 0xffff_ffffn;
};

export const invept: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  const type = typeOf(cpu, insn);
  if (type !== InveptType.SINGLE_CONTEXT && type !== InveptType.ALL_CONTEXTS)
    return fail(core, VmInstructionError.INVALID_INVEPT_OPERAND);
  const descriptor = cpu.linear.operandAddress(insn, 16);
  const eptp = cpu.linear.read(descriptor, 8);
  cpu.linear.read(descriptor + 8n, 8);
  if (type === InveptType.ALL_CONTEXTS) cpu.tlb.flushAllEptRoots();
  else if (eptpValid(eptp)) cpu.tlb.flushEptRoot(eptRootOf(eptp));
  else return fail(core, VmInstructionError.INVALID_INVEPT_OPERAND);
  cpu.engine.translationChanged();
  succeed(core);
};

export const invvpid: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  const type = typeOf(cpu, insn);
  if (type > InvvpidType.RETAINING_GLOBALS) return fail(core, VmInstructionError.INVALID_INVEPT_OPERAND);
  const at = cpu.linear.operandAddress(insn, 16);
  const first = cpu.linear.read(at, 8);
  const address = cpu.linear.read(at + 8n, 8);
  const vpid = Number(first & 0xffffn);
  const reserved = first >> 16n !== 0n;
  if (reserved || (vpid === 0 && type !== InvvpidType.ALL_CONTEXTS))
    return fail(core, VmInstructionError.INVALID_INVEPT_OPERAND);
  if (type === InvvpidType.ADDRESS && !canonical(address)) return fail(core, VmInstructionError.INVALID_INVEPT_OPERAND);
  invalidate(cpu, type, vpid, address);
  cpu.engine.translationChanged();
  succeed(core);
};

function invalidate(cpu: Processor, type: bigint, vpid: number, address: bigint): void {
  switch (type) {
    case InvvpidType.ADDRESS:
      return cpu.tlb.flushPage(vpid, address);
    case InvvpidType.SINGLE_CONTEXT:
      return cpu.tlb.flushVpid(vpid);
    case InvvpidType.ALL_CONTEXTS:
      return cpu.tlb.flushAllVpids();
    default:
      return cpu.tlb.flushVpid(vpid, true);
  }
}
