import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import type { EntryContext } from './context';

/**
 * One rule of VM entry (SDM vol. 3, 27.2 and 27.3). Rows are in the manual's order; the first that does not hold
 * decides. `fields` are what it reads, the first the one to report; the control words, CR0 and CR4 of the guest need not
 * be named (group.ts). While they keep their values the rule is taken to hold as before: one that reads anything else
 * (memory, the processor's state) must be made by `everyEntry`.
 */
export interface EntryCheck {
  readonly id: string;
  readonly section: string;
  /** What must hold, in words */
  readonly rule: string;
  readonly fields: readonly [VmcsFieldSymbol, ...VmcsFieldSymbol[]];
  readonly holds: (c: EntryContext) => boolean;
  /** Exit qualification of a VM-entry failure (SDM vol. 3, 27.8); 0 when the manual gives none */
  readonly qualification: number;
  /**
   * It reads more than fields of the VMCS when this is true, and is then evaluated at every entry. Itself a function of
   * the row's fields.
   */
  readonly everyEntry?: (c: EntryContext) => boolean;
}

/** A rule that reads memory, or the processor's state, besides fields of the VMCS; `when` says when it does */
export const everyEntry = (check: EntryCheck, when: (c: EntryContext) => boolean = () => true): EntryCheck => ({
  ...check,
  everyEntry: when,
});

/** Makes the rows of one section. */
export const section =
  (number: string, prefix: string) =>
  (
    id: string,
    rule: string,
    fields: readonly [VmcsFieldSymbol, ...VmcsFieldSymbol[]],
    holds: (c: EntryContext) => boolean,
    qualification = 0,
  ): EntryCheck => ({ id: `${prefix}.${id}`, section: number, rule, fields, holds, qualification });
