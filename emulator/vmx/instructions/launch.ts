import type { Helper } from '../../cpu/processor';
import { fail, failInvalid, requireVmxOperation } from './outcome';
import { vmxOf } from '../vmx';

/** VMLAUNCH and VMRESUME (SDM vol. 3, chapter 31). */
const enter =
  (launch: boolean): Helper =>
  (cpu, insn) => {
    const core = requireVmxOperation(cpu, insn);
    if (!core.vmcs.valid) return failInvalid(core);
    const outcome = vmxOf(cpu)?.entry.enter(launch);
    switch (outcome?.kind) {
      case 'fail-valid':
        return outcome.error === 0 ? failInvalid(core) : fail(core, outcome.error);
      case 'failed-entry':
        // Host state is in place, as after a VM exit: nothing of the instruction may be committed over it.
        throw cpu.exitTaken();
      default:
        return undefined;
    }
  };

export const vmlaunch = enter(true);
export const vmresume = enter(false);
