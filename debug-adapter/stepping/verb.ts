import type { Explanation } from '../watch/explain';

/**
 * A verb (step in, continue to exit, ...) is a generator: it yields how far the machine is to go and gets back what
 * happened there, until it returns why it is done. The runner drives it in slices, so a verb is written as if nothing
 * else were going on; user breakpoints, pause and the machine's end never reach it.
 */
export interface Go {
  /** Instructions, of the vCPU that is stepped when the verb is one vCPU's; default: no limit */
  readonly limit?: number;
  /** Linear addresses to come back at, whatever context of the vCPU is there */
  readonly stops?: ReadonlySet<bigint>;
  /** Come back when this context begins to run */
  readonly context?: number;
  /** Come back after the next VM exit, VM entry, or delivered interrupt or exception */
  readonly events?: readonly EventKind[];
}

export type EventKind = 'exit' | 'entry' | 'delivery';

export type Arrival =
  | { readonly why: 'limit' }
  | { readonly why: 'stop'; readonly linear: bigint }
  | { readonly why: 'context' }
  | { readonly why: EventKind };

export interface Done {
  /** DAP StoppedEvent.reason */
  readonly reason:
    | 'step'
    | 'goto'
    | 'entry'
    | 'pause'
    | 'exception'
    | 'breakpoint'
    | 'function breakpoint'
    | 'instruction breakpoint'
    | 'data breakpoint';
  readonly hitBreakpointIds?: number[];
  readonly description?: string;
  readonly text?: string;
  /** For exceptionInfo: what the stop is about */
  readonly explanation?: Explanation;
}

export type Verb = Generator<Go, Done, Arrival>;

/** A part of a verb: it ends without a stop. */
export type Phrase<T> = Generator<Go, T, Arrival>;

export const STEPPED: Done = { reason: 'step' };
