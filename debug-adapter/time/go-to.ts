import type { Moment, Task } from '../../emulator/timeline/api';
import type { GoToArguments } from '../protocol/requests';
import { badArguments, userError } from '../session/errors';
import type { Bookmarks } from './bookmarks';
import { travel, type Landing, type Past } from './search';

/** Instructions that are run to a place, rather than looking for a nearer moment to run from */
const NEAR = 1_000_000;

/** undervisor/goTo. What cannot be gone to is refused before anything moves. */
export function goTo(past: Past, bookmarks: Bookmarks, args: GoToArguments): Task<Landing> {
  const { debuggee } = past;
  const { timeline } = debuggee;
  const given = (['moment', 'instruction', 'event', 'bookmark'] as const).filter((name) => args[name] !== undefined);
  if (given.length !== 1)
    throw badArguments('undervisor/goTo', 'needs one of "moment", "instruction", "event" and "bookmark"');
  const { moment, instruction, event, bookmark } = args;
  if (instruction !== undefined) return toInstruction(past, instruction);
  if (moment !== undefined) return toMoment(past, inRange(past, moment));
  if (event !== undefined) {
    const exit = debuggee.exits.get(event);
    if (!exit) {
      const { first, total } = debuggee.exits;
      const kept = total > first ? `0-based positions ${first} to ${total - 1} are recorded` : 'none is recorded';
      throw userError(`there is no VM exit ${event}: ${kept}`);
    }
    if (exit.moment < timeline.first) throw userError(`VM exit ${event}: ${outside(past, exit.moment)}`);
    return toMoment(past, exit.moment, exit.vcpu);
  }
  const mark = bookmarks.find(bookmark ?? '');
  return toMoment(past, inRange(past, mark.moment), mark.vcpu);
}

function* toMoment(past: Past, moment: Moment, vcpu?: number): Task<Landing> {
  yield* travel(past.debuggee, moment, 0.5);
  return landing(past, vcpu);
}

function toInstruction(past: Past, instruction: number): Task<Landing> {
  if (!Number.isSafeInteger(instruction) || instruction < 0)
    throw userError(`instruction ${instruction}: give a whole number from 0`);
  return findInstruction(past, instruction);
}

/** Moments are instructions and events: instruction n is at moment n or behind it. */
function* findInstruction(past: Past, instruction: number): Task<Landing> {
  const { debuggee } = past;
  const { timeline, machine } = debuggee;
  machine.setBreakpoints(new Set());
  for (let moment = Math.min(Math.max(instruction, timeline.first), timeline.end); ;) {
    yield* travel(debuggee, moment, 0.5);
    machine.setBreakpoints(new Set());
    const left = instruction - machine.instructions;
    if (left < 0)
      throw userError(
        `instruction ${instruction} is before the start of history, which begins at instruction ${machine.instructions}`,
      );
    if (left > NEAR && timeline.now < timeline.end) {
      moment = Math.min(timeline.now + left, timeline.end);
      continue;
    }
    while (machine.instructions < instruction && timeline.now < timeline.end) {
      timeline.run(instruction - machine.instructions, true, undefined, timeline.end);
      yield 0.9;
    }
    if (machine.instructions === instruction) return landing(past);
    throw userError(
      `instruction ${instruction} has not been executed: history ends at instruction ${machine.instructions}`,
    );
  }
}

function landing({ debuggee }: Past, vcpu = debuggee.machine.runningVcpu): Landing {
  return { moment: debuggee.moment, vcpu, done: { reason: 'goto' } };
}

/** @throws RequestError that names the range */
function inRange(past: Past, moment: Moment): Moment {
  const { first, end } = past.debuggee.timeline;
  if (Number.isSafeInteger(moment) && moment >= first && moment <= end) return moment;
  throw userError(outside(past, moment));
}

const outside = ({ debuggee: { timeline } }: Past, moment: Moment): string =>
  `moment ${moment} is not in the history, which goes from ${timeline.first} to ${timeline.end}`;
