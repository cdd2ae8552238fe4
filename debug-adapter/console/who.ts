import { VMCS_FIELD_SYMBOLS } from '../../emulator/arch/vmcs-fields';
import { lastWriteTo } from '../questions/last-write';
import { userError } from '../session/errors';
import type { Live } from '../session/live';
import { fieldPlace } from '../watch/field-place';
import { placeOfArguments } from '../watch/place-of';
import { entryPlace } from '../watch/entry-place';
import type { Place as WatchedPlace } from '../watch/place';
import type { Command, Place } from './command';

const ADDRESS = /^((?:linear|guest-physical|host-physical)(?:@\d+)?:)?0x[0-9a-f]+$/i;

/** .who: who last wrote to something. */
export const who: Command = {
  name: 'who',
  usage: 'EXPRESSION | REGISTER | ADDRESS [BYTES] | vmcs FIELD | ept GUEST-PHYSICAL | pte LINEAR',
  summary: 'who last wrote to a variable, register, memory, VMCS field or table entry',
  run: (words, place) => ({
    kind: 'ask',
    title: `Who last wrote ${words}`,
    task: lastWriteTo(placeOf(words.trim(), place), place.live),
  }),
  complete: (words, place) => {
    if (/^vmcs\s/.test(words)) return VMCS_FIELD_SYMBOLS.map((symbol) => `vmcs ${symbol}`);
    const { registers } = place.live.contextOf(place.frameId);
    return ['vmcs ', 'ept ', 'pte ', ...registers.names().map((name) => `$${name}`)];
  },
};

function placeOf(words: string, { live, frameId }: Place): WatchedPlace {
  const [first = '', second, ...rest] = words.split(/\s+/);
  if (first === '') throw userError(`.who needs to know what: ${who.usage}`);
  const frame = frameId === undefined ? {} : { frameId };
  if (second !== undefined && rest.length === 0) {
    if (first === 'vmcs') return fieldPlace(second, live.contextOf(frameId));
    if (first === 'ept' || first === 'pte')
      return entryPlace(first === 'ept' ? 'ept' : 'paging', second, live.debuggee, live.contextOf(frameId));
    if (ADDRESS.test(first))
      return placeOfArguments({ name: first, asAddress: true, bytes: Number(second), ...frame }, live);
  }
  if (second === undefined && ADDRESS.test(first))
    return placeOfArguments({ name: first, asAddress: true, bytes: 8, ...frame }, live);
  return registerOf(words, live, frameId) ?? placeOfArguments({ name: words, ...frame }, live);
}

/** "$cr3": also those registers that C expressions do not know */
function registerOf(words: string, live: Live, frameId: number | undefined): WatchedPlace | undefined {
  const name = /^\$([a-z0-9_.]+)$/i.exec(words)?.[1]?.toLowerCase();
  const context = live.contextOf(frameId);
  if (name === undefined || context.registers.read(name) === undefined) return undefined;
  return { kind: 'register', name, context: context.id };
}
