import { CAPABILITY_MSRS, isCapabilityMsr, type MsrDescription } from '../../emulator/arch/capability-msrs';
import { MSRS } from '../../emulator/arch/msrs';
import { x2ApicMsr } from '../../emulator/arch/x2apic-msrs';
import { capabilityMsr } from '../../emulator/vmx/capabilities';
import { hexNumber, sentence, type Explained, type Subject } from './row';

/** Capability MSRs are constants of the processor, so that their value can be told. */
function here(index: number): string {
  const apic = x2ApicMsr(index);
  if (apic) return `${apic.access}, in x2APIC mode; in the other modes RDMSR and WRMSR raise #GP(0)`;
  if (!isCapabilityMsr(index)) return 'implemented';
  const value = capabilityMsr(index);
  return value === undefined ? 'does not exist: RDMSR raises #GP(0)' : `read-only, 0x${value.toString(16)}`;
}

const explain = ([symbol, { index, section, meaning }]: [string, MsrDescription]): Explained => ({
  symbol,
  name: symbol,
  number: { value: index, text: hexNumber(index) },
  aliases: [symbol.replace(/^IA32_/, '')],
  explanation: sentence(meaning),
  facts: [['Here', here(index)]],
  section: `SDM ${section}`,
});

/** Model-specific registers, those of VMX capabilities among them. */
export const msrs: Subject = {
  kind: 'msr',
  title: 'MSR',
  rows: Object.entries({ ...MSRS, ...CAPABILITY_MSRS })
    .map(explain)
    .sort((a, b) => (a.number?.value ?? 0) - (b.number?.value ?? 0)),
};
