import { Efer } from '../../arch/control-registers';
import { VMCS_FIELDS, VMCS_FIELD_SYMBOLS, vmcsFieldType, type VmcsFieldType } from '../../arch/vmcs-fields';
import { GUEST_SEGMENTS } from '../guest-state';
import { Slot } from '../vmcs';
import type { EntryContext } from './context';
import { CheckGroup, firstFailure } from './group';
import { GUEST_CONTROL_REGISTER_CHECKS } from './guest-control-registers';
import { GUEST_SEGMENT_CHECKS } from './guest-segments';
import { CONTROL_CHECKS, HOST_STATE_CHECKS, LATER_GUEST_CHECKS } from './index';
import type { EntryCheck } from './row';

const slotsOf = (type: VmcsFieldType): number[] =>
  VMCS_FIELD_SYMBOLS.filter((symbol) => vmcsFieldType(VMCS_FIELDS[symbol].encoding) === type).map(
    (symbol) => Slot[symbol],
  );

const SEGMENT_SLOTS = GUEST_SEGMENTS.flatMap(({ selector, base, limit, access }) => [selector, base, limit, access]);

const flag = (value: boolean, bit: number): number => (value ? 1 << bit : 0);

/** The rules of one processor's VM entries, in groups that remember what they accepted. */
export class EntryRules {
  /** Whether an error code is delivered depends on the guest's CR0.PE. */
  private readonly control = new CheckGroup(CONTROL_CHECKS, slotsOf('control'), (c) => flag(c.protectedMode, 0));

  private readonly host = new CheckGroup(
    HOST_STATE_CHECKS,
    [...slotsOf('host state'), Slot.EXIT_CONTROLS, Slot.ENTRY_CONTROLS],
    (c) => flag((c.core.cpu.state.efer & Efer.LMA) !== 0n, 0),
  );

  private readonly segments = new CheckGroup(
    GUEST_SEGMENT_CHECKS,
    SEGMENT_SLOTS,
    (c) => flag(c.protectedMode, 0) | flag(c.virtual8086, 1) | flag(c.longGuest, 2) | flag(c.unrestricted, 3),
  );

  controlFailure(c: EntryContext): EntryCheck | undefined {
    return this.control.firstFailure(c);
  }

  hostFailure(c: EntryContext): EntryCheck | undefined {
    return this.host.firstFailure(c);
  }

  guestFailure(c: EntryContext): EntryCheck | undefined {
    return (
      firstFailure(GUEST_CONTROL_REGISTER_CHECKS, c) ??
      this.segments.firstFailure(c) ??
      firstFailure(LATER_GUEST_CHECKS, c)
    );
  }
}
