import type { Debuggee } from '../launch/debuggee';
import { parseReference } from '../memory/reference';
import type { OwnerHistoryArguments, OwnerHistoryResponse } from '../protocol/requests';

const MOST = 10_000;

/**
 * What probes of the monitor announced about the page at a host-physical address, oldest first. These are its claims: what
 * is true of the tables is what the isolation checks say.
 */
export function ownerHistory({ address }: OwnerHistoryArguments, debuggee: Debuggee): OwnerHistoryResponse {
  const { rows } = debuggee.pages.slice(0, MOST, parseReference(address).address);
  return {
    rows: rows.map(({ decision, why, symbol, moment }) => ({
      text: `moment ${moment}: ${decision}: ${why}, by ${symbol}`,
      moment,
    })),
  };
}
