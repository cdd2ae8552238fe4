import type { Debuggee } from '../launch/debuggee';
import { callerOf } from '../stack/call-stack';
import { runTo, runUntilBack } from './free-run';
import { placeOf } from './place';
import { silentError } from '../session/errors';
import { STEPPED, type Verb } from './verb';

/**
 * stepOut: to the caller of the running function, known by return address, context and stack. Out of the outermost
 * function of a layer: to the context that this one was entered from.
 */
export function stepOut(debuggee: Debuggee, vcpu: number): Verb {
  const { context } = placeOf(debuggee, vcpu);
  const caller = callerOf(debuggee, context);
  const below = debuggee.machine.interrupted(vcpu)[0];
  if (!caller && !below) throw silentError('the outermost function has no caller to step out to');
  return (function* (): Verb {
    if (caller) yield* runTo(debuggee, context, [caller.pc], caller.sp);
    else if (below) yield* runUntilBack(debuggee, below);
    return STEPPED;
  })();
}
