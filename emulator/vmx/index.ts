import { readMsr, writeMsr } from '../cpu/msr';
import type { Processor } from '../cpu/processor';
import { Vmx } from './vmx';

export { Vmx } from './vmx';
export { vmxHelpers } from './instructions';
export { ENTRY_CHECKS } from './entry-checks';
export { INSTRUCTION_EXITS } from './instruction-exits';
export { readVmcsField, readVmcsHeader, VMCS_REGION_SIZE, VMCS_REVISION, writeVmcsField } from './vmcs';

/** VT-x for a processor, with the processor's own MSRs. To be its `virtualization`. */
export const createVmx = (cpu: Processor): Vmx =>
  new Vmx(cpu, { read: (index) => readMsr(cpu, index), write: (index, value) => writeMsr(cpu, index, value) });
