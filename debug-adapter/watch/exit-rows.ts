import { exitReasonName } from '../../emulator/arch/exit-reasons';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import type { ExitRow, ExitsArguments, ExitsResponse } from '../protocol/requests';
import { formatSymbol } from '../stack/layers';
import type { LoggedExit } from './exit-log';
import { exitInWords } from './explain';

/** A recorded exit as views and the command line show it. */
export function exitRow(record: LoggedExit, debuggee: Debuggee): ExitRow {
  const { name, image } = debuggee.loggedLayer(record.layer);
  return {
    n: record.n,
    instruction: record.instruction,
    vcpu: record.vcpu,
    layer: name,
    reason: record.reason & 0xffff,
    name: exitReasonName(record.reason),
    rip: hex(record.rip),
    symbol: formatSymbol(image?.loaded.symbolAt(record.rip), record.rip),
    qualification: exitInWords(record, record.operand),
  };
}

const MOST_ROWS = 10_000;

/** undervisor/exits */
export const exitRows = (args: ExitsArguments, debuggee: Debuggee): ExitsResponse => ({
  total: debuggee.exits.total,
  rows: debuggee.exits.slice(args.start, Math.min(args.count, MOST_ROWS)).map((record) => exitRow(record, debuggee)),
});
