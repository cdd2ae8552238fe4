import { requireHistory } from '../questions/history';
import { userError } from '../session/errors';
import type { Command } from './command';

/** .goto: to a moment of the history. */
export const goTo: Command = {
  name: 'goto',
  usage: 'MOMENT',
  summary: 'goes to a moment of the history',
  run: (words, { live }) => {
    requireHistory(live.debuggee);
    const moment = Number(/^\s*(\d+)\s*$/.exec(words)?.[1] ?? NaN);
    const { first, end } = live.debuggee.timeline;
    if (!(moment >= first && moment <= end)) throw userError(`.goto needs a moment from ${first} to ${end}`);
    return { kind: 'goto', moment };
  },
};

/** .back: some transitions back. */
export const back: Command = {
  name: 'back',
  usage: '[TRANSITIONS]',
  summary: 'goes some transitions back, 1 without a number',
  run: (words, { live }) => {
    requireHistory(live.debuggee);
    const match = /^\s*(\d*)\s*$/.exec(words);
    if (!match) throw userError('.back needs a number of transitions, or nothing');
    const { first, now } = live.debuggee.timeline;
    return { kind: 'goto', moment: Math.max(first, now - Number(match[1] || '1')) };
  },
};
