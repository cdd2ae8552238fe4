import type { EntryContext } from './context';
import { checkGroup, firstFailure, type CheckGroup } from './group';
import { GUEST_CONTROL_REGISTER_CHECKS } from './guest-control-registers';
import { GUEST_SEGMENT_CHECKS } from './guest-segments';
import {
  GUEST_DESCRIPTOR_TABLE_CHECKS,
  GUEST_INSTRUCTION_CHECKS,
  GUEST_NON_REGISTER_CHECKS,
  GUEST_PDPTE_CHECKS,
} from './guest-state';
import { ENTRY_CONTROL_CHECKS, EXECUTION_CONTROL_CHECKS, EXIT_CONTROL_CHECKS } from './controls';
import { HOST_STATE_CHECKS } from './index';
import { EVERYTHING_CHANGED, NOTHING_CHANGED, RememberedFields } from './remembered';
import type { EntryCheck } from './row';

const CONTROLS: readonly CheckGroup[] = [
  checkGroup([...EXECUTION_CONTROL_CHECKS, ...EXIT_CONTROL_CHECKS]),
  checkGroup(ENTRY_CONTROL_CHECKS),
];
const HOST: readonly CheckGroup[] = [checkGroup(HOST_STATE_CHECKS)];
const GUEST: readonly CheckGroup[] = [
  checkGroup(GUEST_CONTROL_REGISTER_CHECKS),
  checkGroup(GUEST_SEGMENT_CHECKS, ['GUEST_RFLAGS']),
  checkGroup(GUEST_DESCRIPTOR_TABLE_CHECKS),
  checkGroup(GUEST_INSTRUCTION_CHECKS),
  checkGroup(GUEST_NON_REGISTER_CHECKS),
  checkGroup(GUEST_PDPTE_CHECKS),
];

/** Every group in the order of VM entry */
export const CHECK_GROUPS: readonly CheckGroup[] = [...CONTROLS, ...HOST, ...GUEST];

const MAY_READ_MORE = CHECK_GROUPS.flatMap((group) => group.everyEntry);

/** The rules of one processor's VM entries. The three phases are asked in their order, after `begin`. */
export class EntryRules {
  private readonly remembered: RememberedFields;
  /** Bit per group of CHECK_GROUPS: the fields that it reads are not those that it accepted */
  private changed = EVERYTHING_CHANGED;
  /** Every rule holds as it did when this VMCS was last entered. */
  private settled = false;

  constructor(private readonly context: EntryContext) {
    this.remembered = RememberedFields.of(context.core.cpu.physical.memory, CHECK_GROUPS);
  }

  begin(): void {
    this.changed = this.remembered.compare(this.context.vmcs.wasmAddress, this.context.longHost);
    this.settled = this.changed === NOTHING_CHANGED && this.remembered.complete;
  }

  controlFailure(): EntryCheck | undefined {
    return this.settled ? undefined : this.failure(CONTROLS, 0);
  }

  hostFailure(): EntryCheck | undefined {
    return this.settled ? undefined : this.failure(HOST, CONTROLS.length);
  }

  /** The last phase: when nothing fails, what was accepted is remembered. */
  guestFailure(): EntryCheck | undefined {
    if (this.settled) return undefined;
    const { context } = this;
    const failure = this.failure(GUEST, CONTROLS.length + HOST.length);
    if (!failure && this.changed !== NOTHING_CHANGED)
      this.remembered.accept(context.vmcs.wasmAddress, !MAY_READ_MORE.some((rule) => rule.everyEntry?.(context)));
    return failure;
  }

  private failure(groups: readonly CheckGroup[], first: number): EntryCheck | undefined {
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i]!;
      const rules = (this.changed >>> (first + i)) & 1 ? group.rules : group.everyEntry;
      const failure = rules.length > 0 ? firstFailure(rules, this.context) : undefined;
      if (failure) return failure;
    }
    return undefined;
  }
}
