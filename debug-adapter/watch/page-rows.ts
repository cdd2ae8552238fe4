import type { Debuggee } from '../launch/debuggee';
import type { PagesArguments, PagesResponse } from '../protocol/requests';
import { silentError } from '../session/errors';
import { pageRow } from './page-log';

const MOST_ROWS = 10_000;

/** undervisor/pages */
export function pageRows(args: PagesArguments, debuggee: Debuggee): PagesResponse {
  if (args.hpa !== undefined && !/^0x[0-9a-f]{1,16}$/i.test(args.hpa)) throw silentError(`"${args.hpa}" is no address`);
  const hpa = args.hpa === undefined ? undefined : BigInt(args.hpa);
  const { total, rows } = debuggee.pages.slice(args.start, Math.min(args.count, MOST_ROWS), hpa);
  const { moment } = debuggee;
  return {
    total,
    rows: rows.map((event) => ({ ...pageRow(event), ...(event.moment > moment ? { ahead: true } : {}) })),
  };
}
