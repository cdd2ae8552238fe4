import type { Helper } from '../../cpu/processor';
import { fail, failInvalid, requireRoot } from './outcome';
import { vmxOf } from '../vmx';

/** VMLAUNCH and VMRESUME (SDM vol. 3, chapter 31). */
const enter =
  (launch: boolean): Helper =>
  (cpu, insn) => {
    const core = requireRoot(cpu, insn);
    if (!core.vmcs.valid) return failInvalid(core);
    const outcome = vmxOf(cpu)?.entry.enter(launch);
    switch (outcome?.kind) {
      case 'fail-valid':
        return fail(core, outcome.error);
      case 'failed-entry':
        // Host state is in place, as after a VM exit: nothing of the instruction may be committed over it.
        throw cpu.exitTaken();
      default:
        return undefined;
    }
  };

export const vmlaunch = enter(true);
export const vmresume = enter(false);
