import type { Verb } from './verb';

/** undervisor/continueToEntry: the first instruction behind the next VM entry. */
export function* continueToEntry(): Verb {
  while ((yield { events: ['entry'] }).why !== 'entry');
  return { reason: 'step', description: 'VM entry' };
}
