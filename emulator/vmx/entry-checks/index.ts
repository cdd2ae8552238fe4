import { EXECUTION_CONTROL_CHECKS, ENTRY_CONTROL_CHECKS, EXIT_CONTROL_CHECKS } from './controls';
import { GUEST_CONTROL_REGISTER_CHECKS } from './guest-control-registers';
import { GUEST_SEGMENT_CHECKS } from './guest-segments';
import {
  GUEST_DESCRIPTOR_TABLE_CHECKS,
  GUEST_INSTRUCTION_CHECKS,
  GUEST_NON_REGISTER_CHECKS,
  GUEST_PDPTE_CHECKS,
} from './guest-state';
import { HOST_CHECKS } from './host';
import type { EntryCheck } from './row';

export type { EntryCheck } from './row';
export { EntryContext } from './context';
export { firstFailure } from './group';

/** VMfailValid 7: VM entry with invalid control fields (SDM vol. 3, 27.2.1) */
export const CONTROL_CHECKS: readonly EntryCheck[] = [
  ...EXECUTION_CONTROL_CHECKS,
  ...EXIT_CONTROL_CHECKS,
  ...ENTRY_CONTROL_CHECKS,
];

/** VMfailValid 8: VM entry with invalid host-state fields (SDM vol. 3, 27.2.2 to 27.2.4) */
export const HOST_STATE_CHECKS: readonly EntryCheck[] = HOST_CHECKS;

/** Exit reason 33: VM-entry failure due to invalid guest state (SDM vol. 3, 27.3.1) */
export const GUEST_STATE_CHECKS: readonly EntryCheck[] = [
  ...GUEST_CONTROL_REGISTER_CHECKS,
  ...GUEST_SEGMENT_CHECKS,
  ...GUEST_DESCRIPTOR_TABLE_CHECKS,
  ...GUEST_INSTRUCTION_CHECKS,
  ...GUEST_NON_REGISTER_CHECKS,
  ...GUEST_PDPTE_CHECKS,
];

/** Every rule of VM entry in the manual's order; for the debugger and for tests. */
export const ENTRY_CHECKS: readonly EntryCheck[] = [...CONTROL_CHECKS, ...HOST_STATE_CHECKS, ...GUEST_STATE_CHECKS];
