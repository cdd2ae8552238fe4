import type { Verb } from './verb';

/** continue: nothing but what stops the machine anyway. */
export function* continueRun(): Verb {
  for (;;) yield {};
}
