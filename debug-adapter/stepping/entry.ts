import { matches, type Location } from '../breakpoints/breakpoint';
import type { Debuggee } from '../launch/debuggee';
import type { Verb } from './verb';

/** stopOnEntry true: before the first instruction. */
export function* stopAtOnce(): Verb {
  yield { limit: 0 };
  return { reason: 'entry' };
}

/** stopOnEntry with a function's name: at its first arrival. */
export function* runToLocations(debuggee: Debuggee, locations: readonly Location[]): Verb {
  const stops = new Set(locations.map(({ linear }) => linear));
  for (;;) {
    const arrival = yield { stops };
    if (arrival.why !== 'stop') continue;
    const context = debuggee.running(debuggee.machine.runningVcpu);
    if (locations.some((location) => location.linear === arrival.linear && matches(location, debuggee, context))) {
      return { reason: 'entry' };
    }
  }
}
