import { Vector } from '../../arch/exceptions';
import type { Helper } from '../../cpu/processor';
import { switchEptp, vmFunctionDefined } from '../vm-functions';
import { vmxOf } from '../vmx';

/** VMFUNC (SDM vol. 3, 26.5.6 and chapter 31): any mode and privilege level, but non-root operation only. */
export const vmfunc: Helper = (cpu, insn) => {
  const vmx = vmxOf(cpu);
  if (!vmx?.nonRoot) throw cpu.fault(Vector.UD);
  vmx.core.current();
  if (!vmFunctionDefined(vmx.core)) throw cpu.fault(Vector.UD);
  if (cpu.exits(insn)) return;
  switchEptp(vmx.core);
};
