import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Live } from '../session/live';
import { formatPlace, type Place } from '../watch/place';
import { placeOfArguments } from '../watch/place-of';
import { messageOf } from '../session/errors';

const ACCESS_TYPES: DebugProtocol.DataBreakpointAccessType[] = ['read', 'write', 'readWrite'];

/** dataBreakpointInfo: of a variable, an expression, or bytes at an address in any of the three spaces. */
export function dataBreakpointInfo(
  args: DebugProtocol.DataBreakpointInfoArguments,
  live: Live,
): DebugProtocol.DataBreakpointInfoResponse['body'] {
  let place: Place;
  try {
    place = placeOfArguments(args, live);
  } catch (error) {
    return { dataId: null, description: messageOf(error) };
  }
  if (place.kind === 'register') {
    const description = `${place.name} is a register, not memory: ask ".who $${place.name}" who last wrote it`;
    return { dataId: null, description };
  }
  const bytes = `${place.length} byte${place.length === 1 ? '' : 's'}`;
  return {
    dataId: formatPlace(place),
    description: `${place.name} (${bytes}, ${place.space})`,
    accessTypes: ACCESS_TYPES,
    // A host-physical address means the same in every run; a context is one of this run.
    canPersist: place.context === undefined,
  };
}
