import type { Debuggee } from '../launch/debuggee';
import { runTo } from './free-run';
import { behind, comeBack, oneInstruction } from './one-instruction';
import { placeOf } from './place';
import { STEPPED, type Verb } from './verb';

/**
 * stepIn by instruction: one instruction of the machine, wherever it leads. A VM exit, a VM entry or the delivery of
 * an event ends the step too, before the first instruction of what it leads to.
 */
export function* stepInstruction(): Verb {
  yield { limit: 1, events: ['exit', 'entry', 'delivery'] };
  return STEPPED;
}

/**
 * next by instruction: a call runs to its return, a VM exit or entry until this context is back, an interrupt until
 * its handler is done.
 */
export function* nextInstruction(debuggee: Debuggee, vcpu: number): Verb {
  const from = placeOf(debuggee, vcpu);
  for (;;) {
    const outcome = yield* oneInstruction(debuggee, vcpu, from);
    if (outcome === 'call') yield* runTo(debuggee, from.context, [behind(from)], from.sp);
    // An instruction that caused a VM exit and was not emulated has still to be executed.
    else if (outcome === 'left' && (yield* comeBack(debuggee, from)) && placeOf(debuggee, vcpu).pc === from.pc)
      continue;
    return STEPPED;
  }
}
