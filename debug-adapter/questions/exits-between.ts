import type { ExitsBetweenArguments, ExitsBetweenResponse } from '../protocol/requests';
import { userError } from '../session/errors';
import { exitRow } from '../watch/exit-rows';
import type { LoggedExit } from '../watch/exit-log';
import type { Surroundings } from './answer';

const MOST = 10_000;

/** undervisor/exitsBetween: exits are in the log in the order of their moments. Throws RequestError. */
export function exitsBetween({ from, to }: ExitsBetweenArguments, at: Surroundings): ExitsBetweenResponse {
  const { debuggee, sources } = at;
  const { exits } = debuggee;
  if (from > to) throw userError(`no time lies between moment ${from} and ${to}: the second one is before the first`);
  const oldest = exits.get(exits.first);
  if (exits.first > 0 && oldest && oldest.moment > from + 1)
    throw userError(`VM exits before moment ${oldest.moment} are not kept: ask from there on`);
  const first = firstBehind(from, at);
  const end = firstBehind(to, at);
  const records: LoggedExit[] = exits.slice(first, Math.min(end - first, MOST));
  return { total: end - first, rows: records.map((record) => exitRow(record, debuggee, sources)) };
}

/** Index of the first exit behind a moment */
function firstBehind(moment: number, { debuggee: { exits } }: Surroundings): number {
  let low = exits.first;
  for (let high = exits.total; low < high;) {
    const middle = (low + high) >>> 1;
    if ((exits.get(middle)?.moment ?? Infinity) <= moment) low = middle + 1;
    else high = middle;
  }
  return low;
}
