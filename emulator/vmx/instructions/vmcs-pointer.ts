import { VmInstructionError } from '../../arch/vm-instruction-errors';
import { Access } from '../../engine/host';
import type { Helper } from '../../cpu/processor';
import { hostPhysical } from '../../memory/address';
import { isPageAddress } from '../capabilities';
import { clearLaunchState, NO_VMCS, readRevision, SHADOW_INDICATOR, VMCS_REVISION } from '../vmcs';
import { fail, readPointer, requireVmxOperation, succeed } from './outcome';

/** VMCLEAR, VMPTRLD, VMPTRST (SDM vol. 3, chapter 31). */

export const vmclear: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  const address = readPointer(cpu, insn);
  if (!isPageAddress(address)) return fail(core, VmInstructionError.VMCLEAR_INVALID_ADDRESS);
  if (address === core.vmxonPointer) return fail(core, VmInstructionError.VMCLEAR_VMXON_POINTER);
  clearLaunchState(cpu.physical, hostPhysical(address));
  if (address === core.currentVmcs) core.currentVmcs = NO_VMCS;
  succeed(core);
};

export const vmptrld: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  const address = readPointer(cpu, insn);
  if (!isPageAddress(address)) return fail(core, VmInstructionError.VMPTRLD_INVALID_ADDRESS);
  if (address === core.vmxonPointer) return fail(core, VmInstructionError.VMPTRLD_VMXON_POINTER);
  // Outside RAM no revision identifier can be right. Bit 31 may be 1: a shadow VMCS can be current, though not entered.
  const region = hostPhysical(address);
  const revision = readRevision(cpu.physical, region) & ~SHADOW_INDICATOR;
  if (cpu.physical.hostOffset(region) < 0 || revision !== VMCS_REVISION)
    return fail(core, VmInstructionError.VMPTRLD_WRONG_REVISION);
  core.currentVmcs = address;
  succeed(core);
};

export const vmptrst: Helper = (cpu, insn) => {
  const core = requireVmxOperation(cpu, insn);
  cpu.linear.write(cpu.linear.operandAddress(insn, 8, Access.Write), 8, core.currentVmcs);
  succeed(core);
};
