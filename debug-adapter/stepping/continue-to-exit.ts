import type { Verb } from './verb';

/** undervisor/continueToExit: the first instruction behind the next VM exit. */
export function* continueToExit(): Verb {
  while ((yield { events: ['exit'] }).why !== 'exit');
  return { reason: 'step', description: 'VM exit' };
}
