import type { Moment, Task } from '../../emulator/timeline/api';
import { linearRsp } from '../stack/layers';
import { STEPPED } from '../stepping/verb';
import { isAsynchronous } from '../launch/debuggee';
import { lastBefore, travel, type Past } from './search';
import { pointAt, stateBefore, type Instant, type Point } from './trace';

/**
 * How a vCPU came to a place, as a frame of a layer sees it:
 * - flow: from another place of the same frame
 * - returned: as a flow, and a function that it called or another layer ran in between; `inner` is that one's last state
 * - again: the same instruction was about to be executed before an interrupt or a VM exit already; there it is `at`
 * - entered: it is where the frame begins; `at` is the call, what the handler interrupts, or the VM entry that was the
 *   first of the context
 * - start: history begins here
 */
export type Before =
  | { readonly how: 'flow' | 'entered'; readonly at: Point }
  | {
      readonly how: 'returned' | 'again';
      readonly at: Point;
      /** Absent after what has nothing to do with the instruction: an interrupt, an asynchronous VM exit */
      readonly inner?: Point;
    }
  | { readonly how: 'start' };

const START: Before = { how: 'start' };
const LONGEST_CALL = 8;
/** How far back in the trace the call of a function is looked for; beyond that breakpoints find it sooner */
const NEAR = 4096;

/** The place before this one, in its frame and layer. What was called and what ran below is passed. */
export function* placeBefore(past: Past, point: Point): Task<Before> {
  const { instant } = point;
  const last = yield* stateBefore(point);
  if (!last) return START;
  if (last.instant.context !== instant.context) return yield* beforeLeaving(past, point, last);
  if (wasDelivered(last.instant, instant)) return { how: 'entered', at: last };
  const { code } = last.instant;
  if (code.call && instant.pc !== behind(last.instant)) return { how: 'entered', at: last };
  if (code.returns && instant.sp > last.instant.sp) {
    const call = yield* whereCalled(past, point, last);
    if (call) return call;
  }
  return { how: 'flow', at: last };
}

/** Where the running instruction began, when it is a repeated one: each of its iterations is a state. */
export function* beginning(past: Past, point: Point): Task<Point> {
  let at = point;
  while (at.instant.code.repeats) {
    const before = yield* placeBefore(past, at);
    if (before.how === 'start' || before.how === 'entered' || before.at.instant.pc !== at.instant.pc) break;
    at = before.at;
  }
  return at;
}

export const behind = ({ pc, code }: Instant): bigint => BigInt.asUintN(64, pc + BigInt(code.length));

/** Nothing was executed, and yet the next instruction is another: an interrupt or exception went to its handler. */
const wasDelivered = (from: Instant, to: Instant): boolean => from.retired === to.retired && from.pc !== to.pc;

/** The call, or the event, that the return before a place came back from; undefined: it returned to somewhere else. */
function* whereCalled(past: Past, point: Point, last: Point): Task<Before | undefined> {
  const { instant } = point;
  let next = last;
  for (let steps = 0; steps < NEAR; steps++) {
    const at = yield* stateBefore(next);
    if (!at) return undefined;
    const { context, sp, pc, code } = at.instant;
    if (context === instant.context && sp <= instant.sp) {
      if (code.call && behind(at.instant) === instant.pc && sp === instant.sp)
        return { how: 'returned', at, inner: last };
      // An interrupt or fault returns to the instruction, a trap behind it.
      if (
        next.instant.context === context &&
        wasDelivered(at.instant, next.instant) &&
        (pc === instant.pc || behind(at.instant) === instant.pc) &&
        sp === instant.sp
      )
        return { how: pc === instant.pc ? 'again' : 'flow', at };
    }
    next = at;
  }
  // What is in memory before the place is only to be seen there: the context may be younger than where the machine is.
  yield* travel(past.debuggee, instant.moment, 0);
  const addresses = callsBefore(past, instant);
  if (addresses.length === 0) return undefined;
  const moment = yield* lastCall(past, instant, addresses, point.trace.vcpu, next.instant.moment);
  if (moment === undefined) return undefined;
  const at = yield* pointAt(past.debuggee, point.trace.vcpu, moment);
  return { how: 'returned', at, inner: last };
}

/** A VM exit or entry came between: the place where this context was left. */
function* beforeLeaving(past: Past, point: Point, last: Point): Task<Before> {
  const { instant } = point;
  const left = yield* whereLeft(past, point, last);
  const { vmcs } = instant;
  // A VMCS that was never left begins here.
  if (!left) return vmcs === undefined ? START : { how: 'entered', at: last };
  const exit = vmcs === undefined ? undefined : past.debuggee.exits.lastOf(point.trace.vcpu, vmcs, instant.moment);
  const inner = exit && isAsynchronous(exit.reason) ? {} : { inner: last };
  if (left.instant.pc === instant.pc) return { how: 'again', at: left, ...inner };
  // A host goes on at its host RIP, a guest behind what was emulated; else an event was injected.
  if (instant.root || instant.pc === behind(left.instant)) return { how: 'returned', at: left, ...inner };
  return { how: 'entered', at: left };
}

function* whereLeft(past: Past, point: Point, last: Point): Task<Point | undefined> {
  const { debuggee } = past;
  const { context, vmcs } = point.instant;
  const { vcpu } = point.trace;
  let at: Point | undefined = last;
  for (let steps = 0; at && steps < NEAR; steps++) {
    if (at.instant.context === context) return at;
    at = yield* stateBefore(at);
  }
  if (!at) return undefined;
  const before = at.instant.moment;
  if (vmcs !== undefined) {
    const exit = debuggee.exits.lastOf(vcpu, vmcs, before);
    return exit && (yield* pointAt(debuggee, vcpu, exit.moment - 1));
  }
  // The owner of the processor is left by VM entries only.
  const options = { before: before + 1, go: { events: ['entry'] as const }, vcpu, user: false };
  const entry = yield* lastBefore(past, { ...options, accept: ({ why }) => (why === 'entry' ? STEPPED : undefined) });
  return entry && (yield* pointAt(debuggee, vcpu, entry.moment - 1));
}

/** The last moment before another at which a context was at one of these calls, with its stack as it is after the return. */
export function* lastCall(
  past: Past,
  { context, sp }: Pick<Instant, 'context' | 'sp'>,
  addresses: readonly bigint[],
  vcpu: number,
  before: Moment,
): Task<Moment | undefined> {
  const found = yield* lastBefore(past, {
    before,
    go: { stops: new Set(addresses) },
    vcpu,
    user: false,
    accept: ({ why }) => {
      const here = past.debuggee.running(vcpu);
      return why === 'stop' && here.id === context && linearRsp(here) === sp ? STEPPED : undefined;
    },
  });
  return found?.moment;
}

/** Where the calls could stand that return to this place; the machine is where its context exists. */
export function callsBefore({ debuggee }: Past, { context, pc }: Pick<Instant, 'context' | 'pc'>): bigint[] {
  const space = debuggee.machine.contexts.find(({ id }) => id === context)?.space;
  if (!space) throw new Error(`there is no context ${context} here`);
  const found: bigint[] = [];
  for (let length = 2; length <= LONGEST_CALL; length++) {
    const at = BigInt.asUintN(64, pc - BigInt(length));
    const instruction = debuggee.machine.decode(space, at);
    if (instruction?.length === length && /^CALL\b/i.test(instruction.row.mnemonic)) found.push(at);
  }
  return found;
}
