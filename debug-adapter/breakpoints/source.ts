import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../launch/debuggee';
import { messageOf } from '../session/errors';
import { checked, checkedList } from '../session/router';
import { formatReference } from '../memory/reference';
import { Breakpoint, type Location } from './breakpoint';
import type { BreakpointStore } from './store';

/** setBreakpoints: lines of one file, in every layer whose image was compiled from it. */
export function setSourceBreakpoints(
  args: DebugProtocol.SetBreakpointsArguments,
  debuggee: Debuggee,
  store: BreakpointStore,
): DebugProtocol.SetBreakpointsResponse['body'] {
  const path = pathOf('setBreakpoints', args.source);
  const shape = { line: 'number', condition: 'string?', hitCondition: 'string?', logMessage: 'string?' } as const;
  const given = args.breakpoints ?? (args.lines ?? []).map((line) => ({ line }));
  const wanted = checkedList('setBreakpoints', 'breakpoints', given, shape);
  const breakpoints = wanted.map((request) => resolve(path, request, debuggee, store.newId()));
  store.replace(
    `source ${path}`,
    breakpoints.filter((breakpoint) => breakpoint instanceof Breakpoint),
  );
  return { breakpoints: breakpoints.map((b) => (b instanceof Breakpoint ? b.protocol : b)) };
}

export function pathOf(command: string, source: DebugProtocol.Source): string {
  checked(`${command}: source`, source, { path: 'string?', name: 'string?' });
  return source.path ?? source.name ?? '';
}

function resolve(
  path: string,
  request: DebugProtocol.SourceBreakpoint,
  debuggee: Debuggee,
  id: number,
): Breakpoint | DebugProtocol.Breakpoint {
  const found = debuggee.images.flatMap((image) =>
    image.loaded.addressesOf(path, request.line).map((place) => ({ image, ...place })),
  );
  // The same file in two images: each has its own next line with code, the nearest is what the user means.
  const line = found.reduce((nearest, place) => Math.min(nearest, place.line), Infinity);
  const locations: Location[] = found
    .filter((place) => place.line === line)
    .flatMap(({ image, addresses }) => addresses.map((linear) => ({ image, linear })));
  const first = locations[0];
  if (!first) {
    const message = `no code for this line: no image of the launch was compiled from ${path}:${request.line}`;
    return { id, verified: false, reason: 'failed', message, line: request.line };
  }
  try {
    return new Breakpoint(id, 'breakpoint', locations, request, {
      verified: true,
      line,
      source: { path },
      instructionReference: formatReference('linear', undefined, first.linear),
    });
  } catch (error) {
    return { id, verified: false, reason: 'failed', message: messageOf(error), line: request.line };
  }
}

/** breakpointLocations: the lines of a range that have code. */
export function breakpointLocations(
  args: DebugProtocol.BreakpointLocationsArguments,
  debuggee: Debuggee,
): DebugProtocol.BreakpointLocationsResponse['body'] {
  const path = pathOf('breakpointLocations', args.source);
  const lines = debuggee.images.flatMap((image) => image.loaded.program.linesWithCode(path));
  const last = args.endLine ?? args.line;
  const inside = [...new Set(lines)].filter((line) => line >= args.line && line <= last);
  return { breakpoints: inside.sort((a, b) => a - b).map((line) => ({ line })) };
}
