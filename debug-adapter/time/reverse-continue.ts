import type { Task } from '../../emulator/timeline/api';
import { lastBefore, travel, type Landing, type Past } from './search';

/** reverseContinue: to the last thing before now that the user stops at, else to where history begins. */
export function* reverseContinue(past: Past): Task<Landing> {
  const { debuggee } = past;
  const found = yield* lastBefore(past, { before: debuggee.moment });
  const landing = found ?? startOfHistory(past);
  yield* travel(debuggee, landing.moment, 1);
  return landing;
}

/** Where nothing before it can be gone to. */
export function startOfHistory({ debuggee }: Past): Landing {
  const { first } = debuggee.timeline;
  const text =
    first === 0
      ? 'Start of history: the machine is about to execute its first instruction.'
      : `Start of history: moment ${first}. What was before it has been dropped to keep history within its memory ` +
        `(launch attribute "history").`;
  return {
    moment: first,
    vcpu: debuggee.machine.runningVcpu,
    done: { reason: 'entry', description: 'Start of history', text },
  };
}
