import type { Moment, Task } from '../../emulator/timeline/api';
import type { Debuggee } from '../launch/debuggee';
import type { Driver } from '../stepping/driver';
import type { Arrival, Done, Go } from '../stepping/verb';

/** Where the machine goes, and what the user is told there. */
export interface Landing {
  readonly moment: Moment;
  readonly vcpu: number;
  readonly done: Done;
}

/** What moves in time: the machine, and what decides that something stops. */
export interface Past {
  readonly debuggee: Debuggee;
  readonly driver: Driver;
}

export interface SearchOptions {
  /** Only at or after this moment; default: the start of history */
  readonly from?: Moment;
  /** Only before this moment */
  readonly before: Moment;
  /** What is looked for besides what the user stops at, of this vCPU or of any */
  readonly go?: Go;
  readonly vcpu?: number;
  /** Whether what `go` waited for is what is looked for, and what is said there */
  readonly accept?: (arrival: Arrival) => Done | undefined;
  /** False: what the user stops at does not count */
  readonly user?: boolean;
}

/** How far back is looked first: behind a breakpoint that is hit often, the last arrival is near. */
const NEAR = 20_000;
const LONGEST = 100_000_000;
const CHUNK = 200_000;
const BREATH_MS = 10;

/**
 * The last stop before a moment. From one landmark of the history to the next, backwards: what lies between is run
 * again with everything armed, and the last arrival of a stretch is the answer. Leaves the machine anywhere.
 */
export function* lastBefore(past: Past, options: SearchOptions): Task<Landing | undefined> {
  const { timeline } = past.debuggee;
  const first = Math.max(options.from ?? 0, timeline.first);
  let end = options.before;
  for (let length = NEAR; end > first; length = Math.min(length * 4, LONGEST)) {
    const near = end - length;
    const start = Math.max(first, length === NEAR ? near : timeline.landmark(Math.max(near, timeline.first)));
    const part = (end - first) / Math.max(1, options.before - first);
    const found = yield* lastIn(past, options, start, end, 1 - part);
    if (found) return found;
    end = start;
  }
  return undefined;
}

/** The last stop at or after `start` and before `end`. */
function* lastIn(
  past: Past,
  options: SearchOptions,
  start: Moment,
  end: Moment,
  fraction: number,
): Task<Landing | undefined> {
  const { debuggee, driver } = past;
  const { go = {}, vcpu, accept, user = true } = options;
  yield* travel(debuggee, start, fraction);
  let last: Landing | undefined;
  driver.begin(vcpu, true, !user);
  try {
    driver.take(go);
    for (let breath = performance.now() + BREATH_MS; debuggee.moment < end;) {
      const advance = driver.advance(CHUNK, end);
      const { moment } = debuggee;
      if (moment >= end || advance.why === 'ended') break;
      if (advance.why === 'stop') {
        last = { moment, vcpu: advance.vcpu, done: advance.done };
      } else if (advance.why === 'arrival') {
        const done = accept?.(advance.arrival);
        if (done) last = { moment, vcpu: vcpu ?? debuggee.machine.runningVcpu, done };
      }
      if (performance.now() < breath) continue;
      yield fraction;
      breath = performance.now() + BREATH_MS;
    }
  } finally {
    driver.end();
  }
  return last;
}

/** Goes to a moment, as a part of something greater. */
export function* travel(debuggee: Debuggee, moment: Moment, fraction: number): Task<void> {
  const seek = debuggee.timeline.seek(moment);
  while (!seek.next().done) yield fraction;
  debuggee.moved();
}
