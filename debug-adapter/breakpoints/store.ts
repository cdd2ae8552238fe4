import type { Context } from '../../emulator/machine/api';
import type { Moment } from '../../emulator/timeline/api';
import type { Debuggee } from '../launch/debuggee';
import { messageOf } from '../session/errors';
import type { Done } from '../stepping/verb';
import { matches, type Breakpoint } from './breakpoint';

/** What conditions and log messages need of the session. */
export interface Evaluation {
  /** Value of a C expression in the innermost frame of this context; throws Error with a message for the user */
  isTrue(expression: string, context: Context): boolean;
  text(expression: string, context: Context): string;
  log(text: string, breakpoint: Breakpoint): void;
}

/** All breakpoints of the session, in groups that the client replaces as wholes: a source file, all functions, ... */
export class BreakpointStore {
  private readonly groups = new Map<string, readonly Breakpoint[]>();
  private byAddress = new Map<bigint, Breakpoint[]>();
  private nextId = 1;
  private addressSet: ReadonlySet<bigint> = new Set();

  constructor(
    private readonly debuggee: Debuggee,
    private readonly evaluation: Evaluation,
  ) {}

  newId(): number {
    return this.nextId++;
  }

  replace(group: string, breakpoints: readonly Breakpoint[]): void {
    if (breakpoints.length === 0) this.groups.delete(group);
    else this.groups.set(group, breakpoints);
    this.byAddress = new Map();
    for (const breakpoint of [...this.groups.values()].flat()) {
      for (const { linear } of breakpoint.locations) {
        const there = this.byAddress.get(linear);
        if (!there) this.byAddress.set(linear, [breakpoint]);
        else if (!there.includes(breakpoint)) there.push(breakpoint);
      }
    }
    this.addressSet = new Set(this.byAddress.keys());
  }

  get addresses(): ReadonlySet<bigint> {
    return this.addressSet;
  }

  /** What was behind this moment is not going to be: its hits do not count. */
  cut(at: Moment): void {
    for (const breakpoint of [...this.groups.values()].flat()) breakpoint.hits.cut(at);
  }

  /**
   * Execution arrived at an address in a context: counts hits, writes log points, and says whether to stop. A condition
   * that cannot be evaluated stops and says why: passing over it in silence would hide a typing error.
   * `looking`: the past is searched for a stop; nothing is counted and nothing written.
   */
  decide(context: Context, linear: bigint, looking = false): Done | undefined {
    const { moment } = this.debuggee;
    let stop: { reason: Done['reason']; text?: string; ids: number[] } | undefined;
    for (const breakpoint of this.byAddress.get(linear) ?? []) {
      const here = breakpoint.locations.some(
        (location) => location.linear === linear && matches(location, this.debuggee, context),
      );
      if (!here) continue;
      let text: string | undefined;
      try {
        if (breakpoint.condition !== undefined && !this.evaluation.isTrue(breakpoint.condition, context)) continue;
      } catch (error) {
        text = `condition "${breakpoint.condition}": ${messageOf(error)}`;
      }
      if (breakpoint.hitCondition) {
        const { hits } = breakpoint;
        if (!breakpoint.hitCondition(looking ? hits.ordinal(moment) : hits.add(moment))) continue;
      }
      if (breakpoint.logMessage) {
        if (looking) continue;
        const evaluate = (expression: string): string => {
          try {
            return this.evaluation.text(expression, context);
          } catch (error) {
            return `{${messageOf(error)}}`;
          }
        };
        this.evaluation.log(breakpoint.logMessage(evaluate), breakpoint);
        continue;
      }
      stop ??= { reason: breakpoint.reason, ids: [] };
      stop.ids.push(breakpoint.id);
      if (text !== undefined) stop.text = text;
    }
    return stop && { reason: stop.reason, hitBreakpointIds: stop.ids, ...(stop.text ? { text: stop.text } : {}) };
  }
}
