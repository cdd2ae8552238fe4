import { VmxMsr, type VmxMsrSymbol } from '../../emulator/arch/capability-msrs';
import { allowed0, CONTROL_WORDS, type ControlWord, type ControlWordKey } from '../../emulator/arch/controls';
import { VM_FUNCTIONS } from '../../emulator/arch/vm-functions';
import { Field, VMCS_FIELD_SYMBOLS, VMCS_FIELDS } from '../../emulator/arch/vmcs-fields';
import { hexNumber, type Explained, type Subject } from './row';

const msr = (symbol: VmxMsrSymbol): string => `${symbol} (${hexNumber(VmxMsr[symbol])})`;

function capability(word: ControlWord, bit: number): string {
  const msrs = word.trueCapability ? `${msr(word.capability)} and ${msr(word.trueCapability)}` : msr(word.capability);
  return `${msrs}: bit ${bit + 32} = may be 1, bit ${bit} = must be 1`;
}

function explainWord(key: ControlWordKey): Explained[] {
  const word: ControlWord = CONTROL_WORDS[key];
  return Object.entries(word.controls).map(([symbol, row]) => {
    const path = `${key}.${symbol}`;
    const brings = VMCS_FIELD_SYMBOLS.filter((name) => VMCS_FIELDS[name].when.some((when) => when === path));
    const fixed = ((allowed0(key, true) >>> row.bit) & 1) === 1;
    return {
      symbol: path,
      name: row.name,
      aliases: [symbol, `${key}.${row.bit}`],
      explanation: `If this is 1: ${row.meaning}.`,
      facts: [
        ['Position', `bit ${row.bit} of the ${word.name} (VMCS field ${hexNumber(word.encoding)})`],
        ['Capability', capability(word, row.bit)],
        ['Here', row.implemented ? (fixed ? 'implemented; must be 1' : 'implemented') : 'not implemented; must be 0'],
        ...(brings.length === 0 ? [] : [['Brings', brings.join(', ')] as const]),
      ],
      section: `SDM vol. 3, ${word.section}`,
    };
  });
}

const vmFunctions: readonly Explained[] = Object.entries(VM_FUNCTIONS).map(([symbol, row]) => ({
  symbol: `function.${symbol}`,
  name: row.name,
  aliases: [symbol, `function.${row.bit}`],
  explanation: `If this is 1: ${row.meaning}.`,
  facts: [
    ['Position', `bit ${row.bit} of the VM-function controls (VMCS field ${hexNumber(Field.VM_FUNCTION_CONTROLS)})`],
    ['Capability', `${msr('IA32_VMX_VMFUNC')}: bit ${row.bit} = may be 1`],
    ['Here', row.implemented ? 'implemented' : 'not implemented; must be 0'],
  ],
  section: 'SDM vol. 3, 26.5.6',
}));

/** VM-execution, VM-exit and VM-entry controls, and VM functions; a name may be that of several words. */
export const controls: Subject = {
  kind: 'control',
  title: 'VMX control',
  rows: [...(Object.keys(CONTROL_WORDS) as ControlWordKey[]).flatMap(explainWord), ...vmFunctions],
};
