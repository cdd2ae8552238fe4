import { ExitReason } from '../../arch/exit-reasons';
import { VmInstructionError } from '../../arch/vm-instruction-errors';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { CONTROL_CHECKS, GUEST_STATE_CHECKS, HOST_STATE_CHECKS } from './index';
import type { EntryCheck } from './row';

/** What a refused entry names: a row of the check tables, or one of the rules below. */
export type EntryRule = Pick<EntryCheck, 'id' | 'rule' | 'section'> & { readonly fields: readonly VmcsFieldSymbol[] };

/** Rules about the state of the processor and of the VMCS as a whole */
export const BASIC_RULES = {
  shadow: {
    id: 'entry.shadow-vmcs',
    rule: 'the current VMCS is no shadow VMCS: bit 31 of its first word is 0',
    section: '27.1',
    fields: [],
  },
  movSs: {
    id: 'entry.mov-ss',
    rule: 'VMLAUNCH and VMRESUME do not follow MOV SS or POP SS directly',
    section: '27.1',
    fields: [],
  },
  launch: {
    id: 'entry.launch-state',
    rule: 'VMLAUNCH needs a VMCS whose launch state is clear',
    section: '27.1',
    fields: [],
  },
  resume: {
    id: 'entry.resume-state',
    rule: 'VMRESUME needs a VMCS whose launch state is launched',
    section: '27.1',
    fields: [],
  },
} as const satisfies Record<string, EntryRule>;

/** @param entry "entry 3", or in general "each entry" */
export const msrRule = (entry: string): EntryRule => ({
  id: 'entry.msr-load',
  rule: `${entry} of the VM-entry MSR-load area names an MSR that can be loaded, with a legal value`,
  section: '27.4',
  fields: ['ENTRY_MSR_LOAD_ADDRESS'],
});

/** VMfailValid with this error number, for 0 VMfailInvalid: the instruction after VMLAUNCH or VMRESUME executes. */
export const Refused = {
  shadow: 0,
  movSs: VmInstructionError.ENTRY_BLOCKED_BY_MOV_SS,
  launch: VmInstructionError.VMLAUNCH_NOT_CLEAR,
  resume: VmInstructionError.VMRESUME_NOT_LAUNCHED,
  controls: VmInstructionError.ENTRY_INVALID_CONTROLS,
  hostState: VmInstructionError.ENTRY_INVALID_HOST_STATE,
} as const;

/** VM-entry failure with this basic exit reason: host state is loaded as by a VM exit. */
export const Failed = {
  guestState: ExitReason.ENTRY_FAILURE_GUEST_STATE,
  msrLoading: ExitReason.ENTRY_FAILURE_MSR_LOADING,
} as const;

export interface EntryPhase {
  readonly rules: readonly EntryRule[];
  /** `error` 0: VMfailInvalid, which has no number */
  readonly consequence: { readonly error: number } | { readonly reason: number };
}

/** Every rule of VM entry with what follows when it does not hold, in the order of VM entry. */
export const ENTRY_PHASES: readonly EntryPhase[] = [
  { rules: [BASIC_RULES.shadow], consequence: { error: Refused.shadow } },
  { rules: [BASIC_RULES.movSs], consequence: { error: Refused.movSs } },
  { rules: [BASIC_RULES.launch], consequence: { error: Refused.launch } },
  { rules: [BASIC_RULES.resume], consequence: { error: Refused.resume } },
  { rules: CONTROL_CHECKS, consequence: { error: Refused.controls } },
  { rules: HOST_STATE_CHECKS, consequence: { error: Refused.hostState } },
  { rules: GUEST_STATE_CHECKS, consequence: { reason: Failed.guestState } },
  { rules: [msrRule('each entry')], consequence: { reason: Failed.msrLoading } },
];
