import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import type { EntryContext } from './context';

/**
 * One rule of VM entry (SDM vol. 3, 27.2 and 27.3). Rows are in the manual's order; the first that does not hold
 * decides. `fields` are what it reads, the first the one to report.
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
}

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
