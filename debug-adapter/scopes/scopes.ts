import type { Context } from '../../emulator/machine/api';
import { hostPhysical, type HostPhysicalAddress } from '../../emulator/memory/address';
import type { Debuggee } from '../launch/debuggee';
import type { NamedValue } from '../expression/api';
import type { Evaluator } from '../expression/evaluator';
import type { StackEntry } from '../stack/call-stack';
import { named, type Container } from './container';
import { evaluatorIn } from './evaluators';
import { callerRegisters, generalRegisters, systemRegisters } from './registers';
import { assignIn, variableOf, type ValueFormat } from './values';
import { vmcsScope } from './vmcs';

export interface ScopeRow {
  readonly name: string;
  readonly hint?: 'arguments' | 'locals' | 'registers';
  readonly expensive: boolean;
  readonly container: Container;
}

/**
 * The scopes of a stack entry. General registers are the frame's: of a caller, those that the unwinder restored. System
 * registers and the VMCS belong to the context, as it is or as it was left.
 */
export function scopesOf(entry: StackEntry, debuggee: Debuggee, format?: ValueFormat): ScopeRow[] {
  const { context } = entry;
  const rows: ScopeRow[] = [];
  if (entry.kind === 'frame') {
    const evaluator = evaluatorIn(debuggee, context, entry.frame);
    const values = (make: (evaluator: Evaluator) => readonly NamedValue[]): Container =>
      named(
        () => make(evaluator).map((value) => variableOf(value, debuggee, context, format)),
        (name, text) => assignIn(() => make(evaluator), name, text, debuggee, context, format),
      );
    if (entry.frame.scope) {
      rows.push(
        { name: 'Arguments', hint: 'arguments', expensive: false, container: values((e) => e.arguments()) },
        { name: 'Locals', hint: 'locals', expensive: false, container: values((e) => e.locals()) },
      );
    }
    if (entry.frame.image?.program.hasDebugInformation)
      rows.push({ name: 'Globals', expensive: true, container: values((e) => e.globals()) });
  }
  const own = entry.kind === 'label' || !entry.caller;
  const general = own ? generalRegisters(context) : callerRegisters(context, entry.frame.registers);
  rows.push(
    { name: 'Registers', hint: 'registers', expensive: false, container: general },
    { name: 'System Registers', hint: 'registers', expensive: true, container: systemRegisters(context) },
  );
  const shown = vmcsOf(context);
  if (shown !== undefined) {
    const owner = debuggee.machine.contexts.find(({ vmcs }) => vmcs === shown);
    const name = shown === context.vmcs || !owner ? 'VMCS' : `VMCS of ${debuggee.layers.nameOf(owner)}`;
    rows.push({ name, expensive: true, container: vmcsScope(debuggee.machine, shown) });
  }
  return rows;
}

const NO_VMCS = (1n << 64n) - 1n;

/** The VMCS that a context runs by, or, in root operation, the current one (SDM vol. 3, 25.1). */
export function vmcsOf({ vmcs, registers }: Context): HostPhysicalAddress | undefined {
  if (vmcs !== undefined) return vmcs;
  const current = registers.read('current_vmcs');
  return current === undefined || current === NO_VMCS ? undefined : hostPhysical(current);
}
