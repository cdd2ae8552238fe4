import { targetOf } from '../memory/access';
import { silentError, userError } from '../session/errors';
import type { Live } from '../session/live';
import { evaluatorFor, inWords } from '../scopes/evaluate';
import { placeOfValue } from '../scopes/values';
import type { Place } from './place';

export interface PlaceArguments {
  /** A child of this container, or an expression when there is none */
  readonly variablesReference?: number;
  readonly name: string;
  readonly frameId?: number;
  /** `name` is an address or memory reference, `bytes` how many are meant */
  readonly asAddress?: boolean;
  readonly bytes?: number;
}

const MOST_BYTES = 1 << 20;
const MOST_CHILDREN = 10_000;

/** What a client means: a variable, an expression, an address. Throws RequestError when it lies nowhere. */
export function placeOfArguments(args: PlaceArguments, live: Live): Place {
  const bytes = args.bytes === undefined ? undefined : checkedLength(args.bytes);
  if (args.asAddress) return addressed(args.name, bytes ?? 1, live, args.frameId);
  const place = args.variablesReference ? child(args.variablesReference, args.name, live) : expression(args, live);
  return bytes === undefined || place.kind === 'register' ? place : { ...place, length: bytes };
}

function checkedLength(bytes: number): number {
  if (Number.isInteger(bytes) && bytes >= 1 && bytes <= MOST_BYTES) return bytes;
  throw userError(`${bytes} bytes cannot be watched: give a whole number from 1 to ${MOST_BYTES}`);
}

function addressed(text: string, length: number, live: Live, frameId: number | undefined): Place {
  const { reference, context } = targetOf(text, live.debuggee.machine, live.contextOf(frameId));
  const { kind: space, address } = reference;
  const owner = space === 'host-physical' ? undefined : context.id;
  return { kind: 'memory', name: text, space, context: owner, address, length };
}

function child(variablesReference: number, name: string, live: Live): Place {
  const container = live.references.get(variablesReference);
  if (!container)
    throw silentError(`there is no variables reference ${variablesReference}: execution has gone on since`);
  const found = inWords(() => container.list(0, MOST_CHILDREN), true).find((variable) => variable.name === name);
  if (found?.place) return found.place;
  throw userError(
    found ? `${name} is computed and lies nowhere: choose what it is made of` : `there is no variable "${name}" here`,
  );
}

function expression({ name, frameId }: PlaceArguments, live: Live): Place {
  const { evaluator, context } = evaluatorFor(frameId, live);
  const value = inWords(() => evaluator.evaluate(name), false);
  const place = placeOfValue(name, value, context);
  if (place) return place;
  throw userError(
    `"${name}" is computed and lies nowhere: give a variable, *(TYPE *)ADDRESS, or an address with bytes`,
  );
}
