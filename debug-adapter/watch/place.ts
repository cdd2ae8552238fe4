import type { AddressSpace, Context, Machine } from '../../emulator/machine/api';
import { formatReference, parseReference } from '../memory/reference';
import { userError } from '../session/errors';

/** Where something lies that can be watched, or whose last write can be asked for. `name` is for the user. */
export type Place = MemoryPlace | RegisterPlace;

export interface MemoryPlace {
  readonly kind: 'memory';
  readonly name: string;
  readonly space: AddressSpace['kind'];
  /** Whose tables translate the address; undefined: host-physical */
  readonly context: number | undefined;
  readonly address: bigint;
  readonly length: number;
}

export interface RegisterPlace {
  readonly kind: 'register';
  readonly name: string;
  readonly context: number;
}

/** "linear@3:0x1000+8 counter": the data id of a place in memory. The name comes last and may be anything. */
export const formatPlace = ({ space, context, address, length, name }: MemoryPlace): string =>
  `${formatReference(space, context, address)}+${length} ${name}`;

/** Throws RequestError when the text is no data id. */
export function parsePlace(text: string): MemoryPlace {
  const match = /^(\S+)\+(\d{1,9})(?: (.*))?$/s.exec(text);
  if (!match?.[1]) throw userError(`"${text}" is no data id: ask for one by dataBreakpointInfo`);
  const { kind, context, address } = parseReference(match[1]);
  const length = Number(match[2]);
  if (length < 1) throw userError(`"${text}" names no bytes`);
  return { kind: 'memory', name: match[3] ?? match[1], space: kind, context, address, length };
}

/** The context of a place; a host-physical one needs none. Throws RequestError when it is not there (yet). */
export function contextOf(place: MemoryPlace, machine: Machine): Context {
  const context =
    place.context === undefined ? machine.contexts[0] : machine.contexts.find(({ id }) => id === place.context);
  if (!context)
    throw userError(`${place.name}: there is no context ${place.context} yet; set it again when its layer runs`);
  return context;
}

export const spaceOfPlace = (place: MemoryPlace, machine: Machine): AddressSpace => ({
  ...contextOf(place, machine).space,
  kind: place.space,
});
