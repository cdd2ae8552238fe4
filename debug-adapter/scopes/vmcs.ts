import { CONTROL_WORDS, describeControls, type ControlWordKey } from '../../emulator/arch/controls';
import { describeQualification } from '../../emulator/arch/exit-qualification';
import { exitReasonName } from '../../emulator/arch/exit-reasons';
import { describeInterruption } from '../../emulator/arch/interruption';
import { vmInstructionErrorText } from '../../emulator/arch/vm-instruction-errors';
import {
  VMCS_FIELD_SYMBOLS,
  VMCS_FIELDS,
  vmcsFieldExists,
  vmcsFieldType,
  type VmcsFieldSymbol,
  type VmcsFieldType,
} from '../../emulator/arch/vmcs-fields';
import type { Machine } from '../../emulator/machine/api';
import type { HostPhysicalAddress } from '../../emulator/memory/address';
import { hex } from '../memory/reference';
import { userError } from '../session/errors';
import { named, type Container, type Variable } from './container';
import { parseValue } from './registers';
import { vmcsFieldOffset, vmcsFieldSize } from '../../emulator/vmx/vmcs';
import type { MemoryPlace } from '../watch/place';

const GROUPS: readonly { name: string; type: VmcsFieldType }[] = [
  { name: 'Exit information', type: 'read-only data' },
  { name: 'Guest state', type: 'guest state' },
  { name: 'Host state', type: 'host state' },
  { name: 'Controls', type: 'control' },
];

/** The VMCS at this address in the manual's groups (SDM vol. 3, 25.3). */
export function vmcsScope(machine: Machine, region: HostPhysicalAddress): Container {
  return named(() =>
    GROUPS.map(({ name, type }) => ({
      name,
      value: '',
      container: named(
        () => fieldsOf(type).map((symbol) => describe(machine, region, symbol)),
        (field, text) => write(machine, region, field, text),
      ),
    })),
  );
}

const fieldsOf = (type: VmcsFieldType): VmcsFieldSymbol[] =>
  VMCS_FIELD_SYMBOLS.filter(
    (symbol) => vmcsFieldType(VMCS_FIELDS[symbol].encoding) === type && vmcsFieldExists(VMCS_FIELDS[symbol]),
  );

function describe(machine: Machine, region: HostPhysicalAddress, symbol: VmcsFieldSymbol): Variable {
  const { name, encoding, meaning, section } = VMCS_FIELDS[symbol];
  const value = machine.readVmcs(region, encoding);
  if (value === undefined) return { name, value: 'not there: the region is not in RAM', type: symbol };
  const said = words(machine, region, symbol, value);
  return {
    name,
    place: vmcsPlace(region, symbol),
    value: said === '' ? hex(value) : `${hex(value)} (${said})`,
    type: `${symbol}: ${meaning} (SDM vol. 3, ${section})`,
  };
}

/** The bytes of a field in its region */
export function vmcsPlace(region: HostPhysicalAddress, symbol: VmcsFieldSymbol): MemoryPlace {
  const { name, encoding } = VMCS_FIELDS[symbol];
  const length = vmcsFieldSize(encoding);
  const address = region + BigInt(vmcsFieldOffset(encoding));
  return { kind: 'memory', name, space: 'host-physical', context: undefined, address, length };
}

const CONTROL_BY_ENCODING = new Map(
  (Object.keys(CONTROL_WORDS) as ControlWordKey[]).map((key) => [CONTROL_WORDS[key].encoding, key]),
);

/** What a value means, where a table tells. */
function words(machine: Machine, region: HostPhysicalAddress, symbol: VmcsFieldSymbol, value: bigint): string {
  const control = CONTROL_BY_ENCODING.get(VMCS_FIELDS[symbol].encoding);
  if (control) return describeControls(control, Number(value)).join(', ');
  const field = (other: VmcsFieldSymbol) => machine.readVmcs(region, VMCS_FIELDS[other].encoding) ?? 0n;
  switch (symbol) {
    case 'EXIT_REASON':
      return exitReasonName(Number(value));
    case 'EXIT_QUALIFICATION':
      return describeQualification(Number(field('EXIT_REASON')), value, {
        guestPhysical: field('GUEST_PHYSICAL_ADDRESS'),
        guestLinear: field('GUEST_LINEAR_ADDRESS'),
        interruptionInformation: Number(field('EXIT_INTERRUPTION_INFORMATION')),
        interruptionErrorCode: Number(field('EXIT_INTERRUPTION_ERROR_CODE')),
      });
    case 'VM_INSTRUCTION_ERROR':
      return vmInstructionErrorText(Number(value));
    case 'EXIT_INTERRUPTION_INFORMATION':
    case 'ENTRY_INTERRUPTION_INFORMATION':
    case 'IDT_VECTORING_INFORMATION':
      return describeInterruption(Number(value));
    default:
      return '';
  }
}

function write(machine: Machine, region: HostPhysicalAddress, name: string, text: string): Variable {
  const symbol = VMCS_FIELD_SYMBOLS.find((candidate) => VMCS_FIELDS[candidate].name === name);
  if (!symbol) throw userError(`no VMCS field "${name}"`);
  if (!machine.writeVmcs(region, VMCS_FIELDS[symbol].encoding, parseValue(text))) {
    throw userError(`"${name}" cannot be written`);
  }
  return describe(machine, region, symbol);
}
