import type { HelperTable } from '../../cpu/processor';
import { invept, invvpid } from './invalidate';
import { vmlaunch, vmresume } from './launch';
import { vmcall, vmxoff, vmxon } from './operation';
import { vmfunc } from './vmfunc';
import { vmclear, vmptrld, vmptrst } from './vmcs-pointer';
import { vmread, vmwrite } from './vmread-vmwrite';

/** The VMX instructions by the helper names of the instruction table. */
export const vmxHelpers: HelperTable = {
  vmxon,
  vmxoff,
  vmcall,
  vmclear,
  vmptrld,
  vmptrst,
  vmread,
  vmwrite,
  vmlaunch,
  vmresume,
  invept,
  invvpid,
  vmfunc,
};
