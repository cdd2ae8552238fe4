import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Debuggee } from '../launch/debuggee';
import { messageOf } from '../session/errors';
import { checkedList } from '../session/router';
import { formatReference } from '../memory/reference';
import { inlinedCallsOf } from './inlined-calls';
import { Breakpoint, type Location } from './breakpoint';
import type { BreakpointStore } from './store';

/** setFunctionBreakpoints: "name" in every image, or "layer!name" in one layer. */
export function setFunctionBreakpoints(
  args: DebugProtocol.SetFunctionBreakpointsArguments,
  debuggee: Debuggee,
  store: BreakpointStore,
): DebugProtocol.SetFunctionBreakpointsResponse['body'] {
  const shape = { name: 'string', condition: 'string?', hitCondition: 'string?' } as const;
  const wanted = checkedList('setFunctionBreakpoints', 'breakpoints', args.breakpoints, shape);
  const breakpoints = wanted.map((request) => resolve(request, debuggee, store.newId()));
  store.replace(
    'functions',
    breakpoints.filter((breakpoint) => breakpoint instanceof Breakpoint),
  );
  return { breakpoints: breakpoints.map((b) => (b instanceof Breakpoint ? b.protocol : b)) };
}

function resolve(
  request: DebugProtocol.FunctionBreakpoint,
  debuggee: Debuggee,
  id: number,
): Breakpoint | DebugProtocol.Breakpoint {
  const failed = (message: string) => ({ id, verified: false, reason: 'failed' as const, message });
  const locations = functionLocations(request.name, debuggee);
  const first = locations[0];
  if (!first) return failed(`no function "${request.name}" in ${debuggee.images.map((i) => i.layer).join(', ')}`);
  try {
    return new Breakpoint(id, 'function breakpoint', locations, request, {
      verified: true,
      instructionReference: formatReference('linear', undefined, first.linear),
    });
  } catch (error) {
    return failed(messageOf(error));
  }
}

/** Where functions of this name begin, behind their prologues, and where they were inlined. */
export function functionLocations(written: string, debuggee: Debuggee): Location[] {
  const match = /^(?:(.*)!)?(.+)$/.exec(written.trim());
  const layer = match?.[1]?.trim();
  const name = match?.[2]?.trim() ?? '';
  return debuggee.images
    .filter((image) => layer === undefined || image.layer === layer)
    .flatMap((image) => {
      const bodies = image.loaded.functionsNamed(name).map(({ entry }) => image.loaded.afterPrologue(entry));
      const inlined = inlinedCallsOf(image.loaded.program).get(name) ?? [];
      return [...bodies, ...inlined.map((link) => image.loaded.toRun(link))].map((linear) => ({ image, linear }));
    });
}
