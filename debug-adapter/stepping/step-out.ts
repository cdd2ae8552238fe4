import type { Debuggee } from '../launch/debuggee';
import type { Frame } from '../symbols/api';
import { callerOf, unwindContext } from '../stack/call-stack';
import { runTo, runUntilBack } from './free-run';
import { behind, comeBack, oneInstruction } from './one-instruction';
import { placeOf } from './place';
import { silentError } from '../session/errors';
import { STEPPED, type Verb } from './verb';

/**
 * Out of a call that the compiler inlined: until none of its instructions comes next. Functions that it calls and what
 * runs below this context are passed.
 */
function* leaveInlined(debuggee: Debuggee, vcpu: number, frame: Frame): Verb {
  const { image, scope } = frame;
  for (;;) {
    const at = placeOf(debuggee, vcpu);
    if (!image || !scope?.contains(image.toLink(at.pc))) return STEPPED;
    const outcome = yield* oneInstruction(debuggee, vcpu, at);
    if (outcome === 'call') yield* runTo(debuggee, at.context, [behind(at)], at.sp);
    else if (outcome === 'left' && !(yield* comeBack(debuggee, at))) return STEPPED;
  }
}

/**
 * stepOut: to the caller of the running function, known by return address, context and stack. Out of the outermost
 * function of a layer: to the context that this one was entered from.
 */
export function stepOut(debuggee: Debuggee, vcpu: number): Verb {
  const context = debuggee.running(vcpu);
  const [innermost] = unwindContext(debuggee, context);
  if (innermost?.inlined) return leaveInlined(debuggee, vcpu, innermost);
  const caller = callerOf(debuggee, context);
  const below = debuggee.machine.interrupted(vcpu)[0];
  if (!caller && !below) throw silentError('the outermost function has no caller to step out to');
  return (function* (): Verb {
    if (caller) yield* runTo(debuggee, context, [caller.pc], caller.sp);
    else if (below) yield* runUntilBack(debuggee, below);
    return STEPPED;
  })();
}
