import { exitReasonName } from '../../emulator/arch/exit-reasons';
import { vmInstructionErrorText } from '../../emulator/arch/vm-instruction-errors';
import { VMCS_FIELDS } from '../../emulator/arch/vmcs-fields';
import { ENTRY_PHASES, type EntryPhase, type EntryRule } from '../../emulator/vmx/entry-checks/phases';
import { fields } from './field';
import { find } from './find';
import { sentence, type Explained, type Subject } from './row';

const consequenceOf = ({ consequence }: EntryPhase): string =>
  'error' in consequence
    ? consequence.error === 0
      ? 'VMfailInvalid'
      : `VMfailValid, VM-instruction error ${consequence.error}: ${vmInstructionErrorText(consequence.error)}`
    : `VM exit with reason ${consequence.reason} (${exitReasonName(consequence.reason)}), bit 31 set`;

const explain = (rule: EntryRule, phase: EntryPhase): Explained => ({
  symbol: rule.id,
  name: rule.id,
  aliases: [],
  explanation: sentence(`VM entry requires: ${rule.rule}`),
  facts: [
    ['Fields', rule.fields.map((symbol) => `${symbol} (${VMCS_FIELDS[symbol].name})`).join(', ') || 'none'],
    ['Otherwise', consequenceOf(phase)],
  ],
  section: `SDM vol. 3, ${rule.section}`,
});

const pairs = ENTRY_PHASES.flatMap((phase) => phase.rules.map((rule) => ({ rule, row: explain(rule, phase) })));

/** Rules of VM entry, by their id or, several, by a VMCS field that they read. */
export const entryChecks: Subject = {
  kind: 'vmentry',
  title: 'VM-entry check',
  rows: pairs.map(({ row }) => row),
  related: (name) => {
    const symbols: readonly string[] = find(fields, name).map(({ symbol }) => symbol);
    return pairs.filter(({ rule }) => rule.fields.some((field) => symbols.includes(field))).map(({ row }) => row);
  },
};
