import { VmxMsr } from '../../emulator/arch/capability-msrs';
import {
  controlRow,
  VMCS_FIELD_SYMBOLS,
  VMCS_FIELDS,
  vmcsFieldExists,
  vmcsFieldSymbol,
  vmcsFieldType,
  vmcsWidth,
  type VmcsField,
  type VmcsFieldSymbol,
} from '../../emulator/arch/vmcs-fields';
import { capabilityMsr } from '../../emulator/vmx/capabilities';
import { hexNumber, sentence, type Explained, type Subject } from './row';

const encoding = (value: number): string => hexNumber(value, 4);

/** Whether VMWRITE can write to read-only data (SDM vol. 3, A.6) */
const WRITES_ALL = (((capabilityMsr(VmxMsr.IA32_VMX_MISC) ?? 0n) >> 29n) & 1n) === 1n;

function access(row: VmcsField): string {
  const readOnly = WRITES_ALL ? 'VMREAD; VMWRITE too, as IA32_VMX_MISC bit 29 is 1' : 'VMREAD only';
  const instructions = vmcsFieldType(row.encoding) === 'read-only data' ? readOnly : 'VMREAD and VMWRITE';
  return vmcsWidth(row.encoding) === 64
    ? `${instructions}; full ${encoding(row.encoding)}, bits 63:32 alone ${encoding(row.encoding | 1)}`
    : instructions;
}

function existence(row: VmcsField): string {
  if (row.when.length === 0) return 'always';
  const controls = row.when.map((path) => `"${controlRow(path).name}" (${path})`).join(' or ');
  return `when ${controls} may be 1; ${vmcsFieldExists(row) ? 'exists here' : 'does not exist here'}`;
}

function explain(symbol: VmcsFieldSymbol): Explained {
  const row = VMCS_FIELDS[symbol];
  const width = vmcsWidth(row.encoding);
  return {
    symbol,
    name: row.name,
    number: { value: row.encoding, text: encoding(row.encoding) },
    aliases: [],
    explanation: sentence(row.meaning),
    facts: [
      ['Width', width === 'natural' ? 'natural (64 bits)' : `${width} bits`],
      ['Type', vmcsFieldType(row.encoding)],
      ['Access', access(row)],
      ['Exists', existence(row)],
    ],
    section: `SDM vol. 3, ${row.section}`,
  };
}

const rows = new Map(VMCS_FIELD_SYMBOLS.map((symbol) => [symbol, explain(symbol)]));

/** VMCS fields; also by the encoding of bits 63:32. */
export const fields: Subject = {
  kind: 'field',
  title: 'VMCS field',
  rows: [...rows.values()],
  ofNumber: (number) => {
    const symbol = vmcsFieldSymbol(number);
    return symbol && rows.get(symbol);
  },
};
