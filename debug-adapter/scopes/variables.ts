import type { DebugProtocol } from '@vscode/debugprotocol';
import { without } from '../protocol/without';
import { silentError } from '../session/errors';
import type { Live } from '../session/live';
import { inWords } from './evaluate';
import { scopesOf } from './scopes';

/** scopes of a frame */
export function scopes(args: DebugProtocol.ScopesArguments, live: Live): DebugProtocol.ScopesResponse['body'] {
  return {
    scopes: scopesOf(live.entry(args.frameId), live.debuggee).map(({ name, hint, expensive, container }) => ({
      name,
      variablesReference: live.references.add(container),
      expensive,
      ...(hint ? { presentationHint: hint } : {}),
    })),
  };
}

/** variables: a page of a container's children. Indexed children come behind the named ones. */
export function variables(args: DebugProtocol.VariablesArguments, live: Live): DebugProtocol.VariablesResponse['body'] {
  const container = live.references.get(args.variablesReference);
  if (!container)
    throw silentError(`there is no variables reference ${args.variablesReference}: execution has gone on since`);
  const named = container.named ?? 0;
  const skip = args.filter === 'indexed' ? named : 0;
  const most = args.filter === 'named' && container.indexed !== undefined ? named : MOST_ROWS;
  const count = args.count !== undefined && args.count > 0 ? Math.min(args.count, most) : most;
  const children = inWords(() => container.list(skip + Math.max(0, args.start ?? 0), count), true);
  return { variables: children.map((child) => live.references.protocol(child)) };
}

/** A client that pages not at all must not make millions of rows. */
const MOST_ROWS = 10_000;

export function setVariable(
  args: DebugProtocol.SetVariableArguments,
  live: Live,
): DebugProtocol.SetVariableResponse['body'] {
  const container = live.references.get(args.variablesReference);
  if (!container?.set) throw silentError('this cannot be changed');
  const variable = inWords(() => container.set?.(args.name, args.value), false);
  if (!variable) throw silentError('this cannot be changed');
  return without(live.references.protocol(variable), 'name', 'evaluateName', 'presentationHint');
}
