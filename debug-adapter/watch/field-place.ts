import { VMCS_FIELD_SYMBOLS, VMCS_FIELDS } from '../../emulator/arch/vmcs-fields';
import type { Context } from '../../emulator/machine/api';
import { hex } from '../memory/reference';
import { vmcsOf } from '../scopes/scopes';
import { vmcsPlace } from '../scopes/vmcs';
import { userError } from '../session/errors';
import type { MemoryPlace } from './place';

/**
 * A field of the VMCS that a context runs by, or has current in root operation, by its symbol, name or encoding. Throws
 * RequestError.
 */
export function fieldPlace(written: string, context: Context): MemoryPlace {
  const region = vmcsOf(context);
  if (region === undefined) throw userError('there is no current VMCS in this context: choose a frame of a guest');
  const wanted = written.trim().toLowerCase();
  const symbol = VMCS_FIELD_SYMBOLS.find((candidate) => {
    const { name, encoding } = VMCS_FIELDS[candidate];
    return [candidate.toLowerCase(), name.toLowerCase(), hex(BigInt(encoding))].includes(wanted);
  });
  if (!symbol) throw userError(`"${written}" is no VMCS field: write its name as in GUEST_RIP, or its encoding`);
  return vmcsPlace(region, symbol);
}
