import type { Task } from '../../emulator/timeline/api';
import { startOfHistory } from './reverse-continue';
import { lastBefore, travel, type Landing, type Past } from './search';

/** undervisor/backToExit and undervisor/backToEntry: to the first instruction behind the last VM exit or entry before now. */
export function* backTo(past: Past, kind: 'exit' | 'entry'): Task<Landing> {
  const { debuggee } = past;
  const description = kind === 'exit' ? 'VM exit' : 'VM entry';
  const found = yield* lastBefore(past, {
    before: debuggee.moment,
    go: { events: [kind] },
    accept: ({ why }) => (why === kind ? { reason: 'step', description } : undefined),
  });
  const landing = found ?? startOfHistory(past);
  yield* travel(debuggee, landing.moment, 1);
  return landing;
}
