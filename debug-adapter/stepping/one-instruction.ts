import type { Debuggee } from '../launch/debuggee';
import { linearRip } from '../stack/layers';
import { runTo, runUntilBack } from './free-run';
import { isCall, placeOf, type Place } from './place';
import type { Phrase } from './verb';

/**
 * What a single instruction led to:
 * - flow: somewhere in the same context and frame, or back from it
 * - call: into a function; `behind` is the return address
 * - left: a VM exit or entry gave the processor to another context
 */
export type Outcome = 'flow' | 'call' | 'left';

/** Executes one instruction. Interrupt and exception handlers that come between run to their end. */
export function* oneInstruction(debuggee: Debuggee, vcpu: number, from: Place): Phrase<Outcome> {
  for (;;) {
    const arrival = yield { limit: 1, events: ['exit', 'entry', 'delivery'] };
    if (debuggee.running(vcpu).id !== from.context.id) return 'left';
    if (arrival.why === 'delivery') {
      yield* finishHandler(debuggee, from);
      if (placeOf(debuggee, vcpu).pc === from.pc) continue;
      return 'flow';
    }
    const repeats = from.instruction?.rep || from.instruction?.repne;
    if (repeats && linearRip(debuggee.running(vcpu)) === from.pc) {
      yield* finishRepetition(debuggee, from);
      if (debuggee.running(vcpu).id !== from.context.id) return 'left';
      return 'flow';
    }
    return isCall(from.instruction) && placeOf(debuggee, vcpu).pc !== behind(from) ? 'call' : 'flow';
  }
}

/** Each iteration of a repeated string instruction is an instruction by itself: all that are left, at full speed. */
function* finishRepetition(debuggee: Debuggee, from: Place): Phrase<void> {
  const stops = new Set([behind(from)]);
  for (;;) {
    const arrival = yield { stops, events: ['exit', 'entry', 'delivery'] };
    if (arrival.why === 'delivery') yield* finishHandler(debuggee, from);
    else if (arrival.why !== 'limit') return;
    if (linearRip(debuggee.running(from.context.vcpu)) !== from.pc) return;
  }
}

/** Address of the instruction that follows */
export const behind = (place: Place): bigint => BigInt.asUintN(64, place.pc + BigInt(place.instruction?.length ?? 0));

/**
 * Runs until the context that was left at `from` runs again. True: it goes on with the interrupted code (at the same
 * instruction, or behind it when it was emulated); an event that was injected on the way is handled first. False: it
 * continues somewhere else, as a host does at its host RIP.
 */
export function* comeBack(debuggee: Debuggee, from: Place): Phrase<boolean> {
  const { context } = from;
  yield* runUntilBack(debuggee, context);
  const resumed = () => {
    const { pc } = placeOf(debuggee, context.vcpu);
    return pc === from.pc || pc === behind(from);
  };
  if (!context.root && !resumed() && debuggee.injectedOnEntry(context.vcpu)) yield* finishHandler(debuggee, from);
  return resumed();
}

/** An interrupt or fault returns to the instruction, a trap behind it. */
const finishHandler = (debuggee: Debuggee, from: Place): Phrase<void> =>
  runTo(debuggee, from.context, [from.pc, behind(from)], from.sp);
