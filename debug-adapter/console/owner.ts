import { ownerHistory } from '../questions/owner-history';
import { userError } from '../session/errors';
import { text, type Command } from './command';

/** .owner: what the monitor said about a page. */
export const owner: Command = {
  name: 'owner',
  usage: 'HOST-PHYSICAL',
  summary: "a page's changes of owner and other decisions, as probes announced them",
  run: (words, { live }) => {
    if (words.trim() === '') throw userError('.owner needs a host-physical address: ".owner 0x1234000"');
    const { rows } = ownerHistory({ address: words.trim() }, live.debuggee);
    return text(
      rows.length > 0 ? rows.map((row) => row.text).join('\n') : `no probe said anything about ${words.trim()}`,
    );
  },
};
