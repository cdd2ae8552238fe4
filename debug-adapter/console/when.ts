import { lastTrue } from '../questions/last-true';
import { userError } from '../session/errors';
import type { Command } from './command';

/** .when: when a condition was last true. */
export const when: Command = {
  name: 'when',
  usage: 'CONDITION',
  summary: 'when a C condition was last true',
  run: (words, { live, frameId }) => {
    if (words.trim() === '') throw userError('.when needs a condition: ".when counter > 3"');
    return {
      kind: 'ask',
      title: `When was ${words} true`,
      task: lastTrue(words.trim(), live.contextOf(frameId), live),
    };
  },
};
