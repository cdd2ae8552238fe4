import { exitReasonName } from '../../emulator/arch/exit-reasons';
import type { Debuggee } from '../launch/debuggee';
import type { SourceMap } from '../launch/source-map';
import { hex } from '../memory/reference';
import type { ExitKindsResponse, ExitRow, ExitsArguments, ExitsResponse } from '../protocol/requests';
import type { Live } from '../session/live';
import { formatSymbol } from '../stack/layers';
import type { LoggedExit } from './exit-log';
import { exitInWords } from './explain';

/** A recorded exit as views and the command line show it; with `sources`, also the place in them. */
export function exitRow(record: LoggedExit, debuggee: Debuggee, sources?: SourceMap): ExitRow {
  const { name, image } = debuggee.loggedLayer(record.layer);
  const symbol = image?.loaded.symbolAt(record.rip);
  const path = symbol?.place && sources?.path(symbol.place.file);
  return {
    n: record.n,
    event: record.n - 1,
    moment: record.moment,
    ...(record.moment > debuggee.moment ? { ahead: true } : {}),
    instruction: record.instruction,
    vcpu: record.vcpu,
    layer: name,
    reason: record.reason & 0xffff,
    name: exitReasonName(record.reason),
    rip: hex(record.rip),
    symbol: formatSymbol(symbol, record.rip),
    ...(path !== undefined && symbol?.place ? { source: { path, line: symbol.place.line } } : {}),
    qualification: exitInWords(record, record.operand),
  };
}

const MOST_ROWS = 10_000;

/** undervisor/exits */
export function exitRows(args: ExitsArguments, live: Live): ExitsResponse {
  const { debuggee, sources, exitFilter } = live;
  const asked = { ...args, count: Math.min(args.count, MOST_ROWS) };
  const { total, records } =
    args.layers || args.reasons
      ? exitFilter.slice(asked)
      : { total: debuggee.exits.total, records: debuggee.exits.slice(asked.start, asked.count) };
  return { total, rows: records.map((record) => exitRow(record, debuggee, sources)) };
}

/** undervisor/exitKinds */
export const exitKinds = (debuggee: Debuggee): ExitKindsResponse => ({
  kinds: [...debuggee.exits.kinds].map(([kind, count]) => {
    const { layer, reason } = debuggee.exitKind(kind);
    return { layer, reason, name: exitReasonName(reason), count };
  }),
});
