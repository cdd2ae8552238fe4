import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Context } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import { messageOf } from '../session/errors';
import { checkedList } from '../session/router';
import { formatReference, parseReference } from '../memory/reference';
import { Breakpoint, type Location } from './breakpoint';
import type { BreakpointStore } from './store';

/** setInstructionBreakpoints: a linear address in one context, meant for its layer. */
export function setInstructionBreakpoints(
  args: DebugProtocol.SetInstructionBreakpointsArguments,
  debuggee: Debuggee,
  store: BreakpointStore,
): DebugProtocol.SetInstructionBreakpointsResponse['body'] {
  const shape = {
    instructionReference: 'string',
    offset: 'number?',
    condition: 'string?',
    hitCondition: 'string?',
  } as const;
  const wanted = checkedList('setInstructionBreakpoints', 'breakpoints', args.breakpoints, shape);
  const breakpoints = wanted.map((request) => resolve(request, debuggee, store.newId()));
  store.replace(
    'instructions',
    breakpoints.filter((breakpoint) => breakpoint instanceof Breakpoint),
  );
  return { breakpoints: breakpoints.map((b) => (b instanceof Breakpoint ? b.protocol : b)) };
}

function resolve(
  request: DebugProtocol.InstructionBreakpoint,
  debuggee: Debuggee,
  id: number,
): Breakpoint | DebugProtocol.Breakpoint {
  try {
    const reference = parseReference(request.instructionReference);
    if (reference.kind !== 'linear') throw new Error('instruction breakpoints are set at linear addresses');
    const linear = BigInt.asUintN(64, reference.address + BigInt(Math.trunc(request.offset ?? 0)));
    const context = debuggee.machine.contexts.find(({ id: known }) => known === reference.context);
    return new Breakpoint(id, 'instruction breakpoint', [locationIn(context, linear, debuggee)], request, {
      verified: true,
      instructionReference: formatReference('linear', reference.context, linear),
    });
  } catch (error) {
    return { id, verified: false, reason: 'failed', message: messageOf(error) };
  }
}

/** In code of an image: in every context of its layer. Else: in that context only, or in all when none was named. */
function locationIn(context: Context | undefined, linear: bigint, debuggee: Debuggee): Location {
  const image = context && debuggee.layers.imageAt(context, linear);
  return image ? { linear, image } : { linear, context: context?.id };
}
