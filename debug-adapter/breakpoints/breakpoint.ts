import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import type { Image } from '../stack/image';
import type { Done } from '../stepping/verb';
import { parseHitCondition, type HitCondition } from './hit-count';
import { Hits } from './hits';
import { parseLogMessage, type LogMessage } from './log-message';

/** A place that a breakpoint stops at: a linear address, in the contexts that have this image there. */
export interface Location {
  readonly linear: bigint;
  /** Only where memory holds this image's code: the same address in another layer is another place */
  readonly image?: Image | undefined;
  /** Only in this context; for code of no known image */
  readonly context?: number | undefined;
}

export function matches(location: Location, debuggee: Debuggee, context: Context): boolean {
  if (location.image) return location.image.residesAt(debuggee.machine, context.space, location.linear);
  return location.context === undefined || location.context === context.id;
}

/** What source, function and instruction breakpoints have in common in the protocol. */
export interface Conditions {
  readonly condition?: string;
  readonly hitCondition?: string;
  readonly logMessage?: string;
}

export class Breakpoint {
  readonly hits = new Hits();
  readonly condition: string | undefined;
  readonly hitCondition: HitCondition | undefined;
  readonly logMessage: LogMessage | undefined;

  /** Throws RequestError for a hit count that cannot be read. */
  constructor(
    readonly id: number,
    readonly reason: Done['reason'],
    readonly locations: readonly Location[],
    conditions: Conditions,
    /** What the client is told */
    readonly shown: Omit<DebugProtocol.Breakpoint, 'id'>,
  ) {
    const given = (text: string | undefined) => (text === undefined || text.trim() === '' ? undefined : text);
    this.condition = given(conditions.condition);
    const hit = given(conditions.hitCondition);
    this.hitCondition = hit === undefined ? undefined : parseHitCondition(hit);
    const message = given(conditions.logMessage);
    this.logMessage = message === undefined ? undefined : parseLogMessage(message);
  }

  get protocol(): DebugProtocol.Breakpoint {
    return { id: this.id, ...this.shown };
  }
}
