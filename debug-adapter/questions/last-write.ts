import type { Task } from '../../emulator/timeline/api';
import { lastRegisterWrite } from '../../emulator/timeline/queries/register-write';
import { lastWrite, type Bytes } from '../../emulator/timeline/queries/last-write';
import { hex } from '../memory/reference';
import type { LastWriteArguments, QuestionAnswer } from '../protocol/requests';
import { silentError, userError } from '../session/errors';
import type { Live } from '../session/live';
import { entryPlace } from '../watch/entry-place';
import { fieldPlace } from '../watch/field-place';
import { placeOfArguments } from '../watch/place-of';
import { accessorInWords, changeInWords } from '../watch/access-words';
import { spaceOfPlace, type MemoryPlace, type Place, type RegisterPlace } from '../watch/place';
import { answerAt, type Surroundings } from './answer';
import { requireHistory } from './history';

/** undervisor/lastWrite */
export function lastWriteOf(args: LastWriteArguments, live: Live): Task<QuestionAnswer> {
  const { name, vmcs, entry, frameId } = args;
  if (vmcs) return lastWriteTo(fieldPlace(name, live.contextOf(frameId)), live);
  if (entry !== undefined && entry !== 'paging' && entry !== 'ept')
    throw silentError(`"entry" must be "paging" or "ept", not "${String(entry)}"`);
  const place = entry ? entryPlace(entry, name, live.debuggee, live.contextOf(frameId)) : placeOfArguments(args, live);
  return lastWriteTo(place, live);
}

/** Who last wrote to a place, before now. */
export function lastWriteTo(place: Place, at: Surroundings): Task<QuestionAnswer> {
  requireHistory(at.debuggee);
  return place.kind === 'register' ? ofRegister(place, at) : ofMemory(place, at);
}

function* ofMemory(place: MemoryPlace, at: Surroundings): Task<QuestionAnswer> {
  const { debuggee } = at;
  const { timeline } = debuggee;
  const bytes = hostBytes(place, at);
  const now = timeline.now;
  const hit = yield* lastWrite(timeline, bytes, now);
  if (!hit) return { text: never(place.name, at) };
  const what = hit.before.length < place.length ? ` (host-physical ${hex(BigInt(hit.hostPhysical))})` : '';
  const who = accessorInWords(hit, debuggee);
  const change = changeInWords(hit.before, hit.after);
  return answerAt(`${place.name}${what}: ${change}, written by ${who}, at moment ${hit.moment}`, hit, at);
}

function* ofRegister(place: RegisterPlace, at: Surroundings): Task<QuestionAnswer> {
  const { debuggee } = at;
  const { machine, timeline } = debuggee;
  const context = machine.contexts.find(({ id }) => id === place.context);
  if (!context) throw userError(`there is no context ${place.context}`);
  if (machine.running(context.vcpu).id !== context.id)
    throw userError(
      `${debuggee.layers.nameOf(context)} does not run: its ${place.name} lies in the VMCS; ask for a field, as in ".who vmcs GUEST_RSP"`,
    );
  const write = yield* lastRegisterWrite(timeline, context.vcpu, place.name, timeline.now);
  if (!write) return { text: never(place.name, at) };
  const { before, after, moment } = write;
  const change = before === after ? `${hex(after)} (as before)` : `${hex(before)} -> ${hex(after)}`;
  const who = accessorInWords(write, debuggee);
  return answerAt(`${place.name}: ${change}, written by ${who}, at moment ${moment}`, write, at);
}

/** The host-physical bytes of a place, by the tables as they are now. */
function hostBytes(place: MemoryPlace, { debuggee }: Surroundings): Bytes[] {
  const { machine } = debuggee;
  const space = spaceOfPlace(place, machine);
  const bytes: Bytes[] = [];
  for (let done = 0; done < place.length;) {
    const address = BigInt.asUintN(64, place.address + BigInt(done));
    const length = Math.min(place.length - done, 4096 - Number(address & 0xfffn));
    const { hostPhysical, failure } = machine.walk(space, address);
    if (hostPhysical === undefined) throw userError(`${place.name}: ${failure ?? 'not mapped'}`);
    bytes.push({ address: Number(hostPhysical), length });
    done += length;
  }
  const size = machine.configuration.memory * 1024 * 1024;
  const outside = bytes.find(({ address, length }) => address + length > size);
  if (outside) throw userError(`${place.name}: host-physical ${hex(BigInt(outside.address))} is no RAM`);
  return bytes;
}

function never(name: string, { debuggee }: Surroundings): string {
  const { first } = debuggee.timeline;
  if (first > 0)
    return `${name}: not written since moment ${first}. History does not go back further: launch attribute "history" bounds its memory.`;
  return `${name}: never written since power-on: it has the value that was loaded or that memory begins with`;
}
