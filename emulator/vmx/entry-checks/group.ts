import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import type { EntryContext } from './context';
import type { EntryCheck } from './row';

/** The first rule that does not hold, or undefined. */
export function firstFailure(checks: readonly EntryCheck[], c: EntryContext): EntryCheck | undefined {
  for (const check of checks) if (!check.holds(c)) return check;
  return undefined;
}

/**
 * Rules in a row that read much the same fields. While these hold the values for which the rules last held, the rules
 * hold again and are not evaluated (remembered.ts), apart from those that depend on something else.
 */
export interface CheckGroup {
  readonly rules: readonly EntryCheck[];
  /** Fields that decide about the rules: those that they name, and `also` */
  readonly fields: readonly VmcsFieldSymbol[];
  /** The rules that may look at more than fields */
  readonly everyEntry: readonly EntryCheck[];
}

/** @param also what the rules read besides the fields that they name and `COMMON_FIELDS` */
export const checkGroup = (rules: readonly EntryCheck[], also: readonly VmcsFieldSymbol[] = []): CheckGroup => ({
  rules,
  fields: [...new Set([...rules.flatMap((rule) => rule.fields), ...also])],
  everyEntry: rules.filter((rule) => rule.everyEntry),
});

/** Fields that rules of many groups read: when one of them changed, every rule is evaluated. */
export const COMMON_FIELDS: readonly VmcsFieldSymbol[] = [
  'PIN_BASED_CONTROLS',
  'PRIMARY_PROCESSOR_CONTROLS',
  'SECONDARY_PROCESSOR_CONTROLS',
  'EXIT_CONTROLS',
  'ENTRY_CONTROLS',
  'GUEST_CR0',
  'GUEST_CR4',
];
