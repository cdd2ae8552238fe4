import type { Debuggee } from '../launch/debuggee';
import { userError } from '../session/errors';

/** Questions about the past need one. Throws RequestError. */
export function requireHistory({ timeline }: Debuggee): void {
  if (!timeline.recording)
    throw userError('nothing is recorded, so there is no past to ask: launch with "history": true');
}
