import { Secondary } from '../arch/controls';
import type { Instruction } from '../isa/instruction';
import { hostPhysical } from '../memory/address';
import { State } from '../memory/layout';
import type { VmxCore } from './core';
import { eptpValid } from './entry-checks/controls';
import { ExitReason } from '../arch/exit-reasons';
import { instructionExit } from './instruction-information';
import { Slot } from './vmcs';

/** VM functions (SDM vol. 3, 26.5.6): what VMFUNC does in non-root operation. */
const FUNCTION_COUNT = 64n;
const EPTP_SWITCHING = 0n;
const EPTP_LIST_ENTRIES = 512;
const RAX = 0;
const RCX = 1;
const LOW = 0xffff_ffffn;

/** VMFUNC is undefined without the control, and for numbers that no VM function can have (26.5.6.2). */
export const vmFunctionDefined = (core: VmxCore): boolean =>
  (core.secondaryControls & Secondary.ENABLE_VM_FUNCTIONS) !== 0 && (core.cpu.state.gpr(RAX) & LOW) < FUNCTION_COUNT;

/** The row VMFUNC of the exit table: a function that is not enabled, or arguments that it refuses. */
export function vmFunctionExits(core: VmxCore, insn: Instruction): boolean {
  const number = core.cpu.state.gpr(RAX) & LOW;
  const enabled = ((core.vmcs.get64(Slot.VM_FUNCTION_CONTROLS) >> number) & 1n) !== 0n;
  if (enabled && number === EPTP_SWITCHING && selectedEptp(core) !== undefined) return false;
  instructionExit(core, insn, ExitReason.VMFUNC);
  return true;
}

/** The entry of the EPTP list that ECX names, unless VM entry would refuse it (26.5.6.3) */
function selectedEptp(core: VmxCore): bigint | undefined {
  const index = Number(core.cpu.state.gpr(RCX) & LOW);
  if (index >= EPTP_LIST_ENTRIES) return undefined;
  const list = core.vmcs.get64(Slot.EPTP_LIST_ADDRESS);
  const eptp = core.cpu.physical.read64(hostPhysical(list + BigInt(index) * 8n));
  return eptpValid(eptp) ? eptp : undefined;
}

/**
 * VM function 0. The pointer stays in the VMCS; no cached mapping is dropped (29.4.3.1: mappings are tagged by the EPT
 * root), no flag changes, and PAE paging keeps its PDPTEs.
 */
export function switchEptp(core: VmxCore): void {
  const { cpu, vmcs } = core;
  const eptp = selectedEptp(core);
  if (eptp === undefined) return;
  vmcs.set64(Slot.EPT_POINTER, eptp);
  if (core.secondaryControls & Secondary.EPT_VIOLATION_VE)
    vmcs.set32(Slot.EPTP_INDEX, Number(cpu.state.gpr(RCX) & 0xffffn));
  cpu.state.set64(State.EPTP, eptp);
  cpu.contextChanged();
}
