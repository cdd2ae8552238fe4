import type { Debuggee } from '../launch/debuggee';
import { runTo } from './free-run';
import { behind, comeBack, oneInstruction } from './one-instruction';
import { atStatement, placeOf, sameLine, stillInLine } from './place';
import { stepInstruction, nextInstruction } from './step-instruction';
import { STEPPED, type Phrase, type Verb } from './verb';

/**
 * next and stepIn by line: until another line of the running layer begins. Where no line is known they go by
 * instruction.
 * - next: functions that are called, and whatever runs between a VM exit and the return to this context, are passed.
 * - stepIn: stops behind the prologue of a called function that has lines, and follows a VM exit or entry into the
 *   other layer, where it stops at once when lines are known; asynchronous exits (an external interrupt) are passed.
 */
export function* stepLine(debuggee: Debuggee, vcpu: number, into: boolean): Verb {
  let from = placeOf(debuggee, vcpu);
  if (!from.line) return yield* into ? stepInstruction() : nextInstruction(debuggee, vcpu);
  for (let at = from; ;) {
    const outcome = yield* oneInstruction(debuggee, vcpu, at);
    if (outcome === 'call') {
      if (into && (yield* enterFunction(debuggee, vcpu))) return STEPPED;
      yield* runTo(debuggee, at.context, [behind(at)], at.sp);
    } else if (outcome === 'left') {
      if (into && !debuggee.leftAsynchronously(at.context) && placeOf(debuggee, vcpu).line) return STEPPED;
      if (!(yield* comeBack(debuggee, at))) return STEPPED;
    }
    const still = stillInLine(debuggee, at);
    if (still) {
      at = still;
      continue;
    }
    const here = placeOf(debuggee, vcpu);
    at = here;
    if (!here.line) {
      // Code without lines, as after a return into it: from here on one steps by instruction.
      return STEPPED;
    }
    if (sameLine(from, here)) continue;
    if (atStatement(here)) return STEPPED;
    // In the middle of another line, as after a return: that line's rest is part of this step.
    from = here;
  }
}

/** Called at a function's first instruction: to the end of its prologue. False: it has no lines. */
function* enterFunction(debuggee: Debuggee, vcpu: number): Phrase<boolean> {
  const here = placeOf(debuggee, vcpu);
  if (!here.line || !here.image) return false;
  const body = here.image.loaded.afterPrologue(here.pc);
  if (body !== here.pc) yield* runTo(debuggee, here.context, [body], 0n);
  return true;
}
