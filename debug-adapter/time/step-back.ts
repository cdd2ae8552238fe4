import type { Task } from '../../emulator/timeline/api';
import { callerOf, unwindContext } from '../stack/call-stack';
import { silentError } from '../session/errors';
import { STEPPED, type Arrival } from '../stepping/verb';
import { Lines } from './lines';
import { startOfHistory } from './reverse-continue';
import { lastBefore, travel, type Landing, type Past } from './search';
import { pointAt, stateBefore, type Point } from './trace';
import { beginning, callsBefore, lastCall, placeBefore, type Before } from './way-back';

export type Granularity = 'line' | 'instruction';

/**
 * stepBack: to the place at which `next` would have stopped before this one. It stays in the frame and the layer; from
 * where the frame begins it goes to the call.
 */
export const stepBack = (past: Past, vcpu: number, granularity: Granularity): Task<Landing> =>
  land(past, vcpu, function* (here) {
    const lines = new Lines();
    if (granularity === 'line' && lines.has(here.instant)) return yield* statementBefore(past, lines, here, false);
    const before = yield* firstBefore(past, here);
    return before && (yield* beginning(past, before));
  });

/**
 * undervisor/stepBackInto: the same for `stepIn`: into the end of the function that was called last, or of the layer that
 * ran last; by instruction to whatever the vCPU did last.
 */
export const stepBackInto = (past: Past, vcpu: number, granularity: Granularity): Task<Landing> =>
  land(past, vcpu, function* (here) {
    const lines = new Lines();
    if (granularity === 'line' && lines.has(here.instant)) return yield* statementBefore(past, lines, here, true);
    return yield* stateBefore(here);
  });

/**
 * undervisor/stepBackOut: to the call of the running function; out of the outermost function of a layer to what the
 * context that was left did last.
 */
export const stepBackOut = (past: Past, vcpu: number, granularity: Granularity): Task<Landing> =>
  land(past, vcpu, function* (here) {
    const lines = new Lines();
    const call = yield* whereEntered(past, here);
    if (!call || granularity === 'instruction' || !lines.has(call.instant)) return call;
    return yield* statementAt(past, lines, call);
  });

/** Goes where `find` says, unless the user stops at something on the way. Undefined: the start of history. */
function* land(past: Past, vcpu: number, find: (here: Point) => Task<Point | undefined>): Task<Landing> {
  const { debuggee } = past;
  const before = debuggee.moment;
  const point = yield* find(yield* pointAt(debuggee, vcpu, before));
  const landing = point ? { moment: point.instant.moment, vcpu, done: STEPPED } : startOfHistory(past);
  const passed = yield* lastBefore(past, { from: landing.moment + 1, before });
  const there = passed ?? landing;
  yield* travel(debuggee, there.moment, 1);
  return there;
}

/** The place before this one in its frame, or where the frame was entered from. */
function* firstBefore(past: Past, here: Point): Task<Point | undefined> {
  for (let at = here; ;) {
    const before = yield* placeBefore(past, at);
    if (before.how === 'start') return undefined;
    if (before.how !== 'again') return before.at;
    at = before.at;
  }
}

/** The last place before this one at which stepping by line stops. */
function* statementBefore(past: Past, lines: Lines, here: Point, into: boolean): Task<Point | undefined> {
  for (let at = here; ;) {
    const how = yield* placeBefore(past, at);
    const inner = innerOf(lines, how, into);
    if (inner) return yield* statementAt(past, lines, inner, into);
    if (how.how === 'start') return undefined;
    if (how.how !== 'again') return yield* statementAt(past, lines, how.at, into);
    at = how.at;
  }
}

/** The last place up to this one at which stepping by line stops. */
function* statementAt(past: Past, lines: Lines, place: Point, into = false): Task<Point | undefined> {
  for (let at = place; ;) {
    const how = yield* placeBefore(past, at);
    if (how.how === 'start') return undefined;
    const { instant } = at;
    if (how.how !== 'again') {
      const begins = how.how === 'entered' ? !lines.has(instant) : lines.stopsBetween(how.at.instant, instant);
      if (begins || lines.isBody(instant)) return at;
    }
    at = innerOf(lines, how, into) ?? how.at;
  }
}

/** The end of what ran in between, if that is wanted and has lines. */
const innerOf = (lines: Lines, how: Before, into: boolean): Point | undefined =>
  into && 'inner' in how && how.inner && lines.has(how.inner.instant) ? how.inner : undefined;

/** The call of the innermost function; the machine is at this place. */
function* whereEntered(past: Past, here: Point): Task<Point | undefined> {
  const { debuggee } = past;
  const { vcpu } = here.trace;
  const context = debuggee.running(vcpu);
  const [innermost] = unwindContext(debuggee, context);
  if (innermost?.inlined) {
    const { image, scope } = innermost;
    let at: Point | undefined = here;
    while (at && image && scope?.contains(image.toLink(at.instant.pc))) at = yield* firstBefore(past, at);
    return at;
  }
  const caller = callerOf(debuggee, context);
  if (!caller) return yield* lastOfOther(past, here);
  const calls = callsBefore(past, { context: context.id, pc: caller.pc });
  const moment =
    calls.length === 0
      ? undefined
      : yield* lastCall(past, { context: context.id, sp: caller.sp }, calls, vcpu, here.instant.moment);
  if (moment !== undefined) return yield* pointAt(debuggee, vcpu, moment);
  // No call: a handler, or what was entered in another way.
  for (let at = here; ;) {
    const before = yield* placeBefore(past, at);
    if (before.how === 'start') return undefined;
    at = before.at;
    if (before.how === 'entered') return at;
  }
}

/** The last state of the context that this one took the processor from. */
function* lastOfOther(past: Past, here: Point): Task<Point | undefined> {
  const { debuggee } = past;
  const { vcpu } = here.trace;
  if (debuggee.machine.interrupted(vcpu).length === 0)
    throw silentError('the outermost function has no caller to step out to');
  const events = [debuggee.running(vcpu).root ? 'exit' : 'entry'] as const;
  const accept = ({ why }: Arrival) => (why === events[0] ? STEPPED : undefined);
  const before = here.instant.moment + 1;
  const change = yield* lastBefore(past, { before, go: { events }, vcpu, user: false, accept });
  return change && (yield* pointAt(debuggee, vcpu, change.moment - 1));
}
