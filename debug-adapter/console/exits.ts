import { exitsBetween } from '../questions/exits-between';
import { userError } from '../session/errors';
import { text, type Command } from './command';

const MOST_LINES = 200;

/** .exits: all VM exits between two moments. */
export const exits: Command = {
  name: 'exits',
  usage: 'FROM TO',
  summary: 'all VM exits from one moment to another',
  run: (words, { live }) => {
    const match = /^\s*(\d+)\s+(\d+)\s*$/.exec(words);
    if (!match) throw userError('.exits needs two moments: ".exits 1000 2000"');
    const { rows, total } = exitsBetween({ from: Number(match[1]), to: Number(match[2]) }, live);
    const lines = rows
      .slice(0, MOST_LINES)
      .map(
        (row) =>
          `moment ${row.moment}: ${row.layer} at ${row.symbol}: ${row.name}${row.qualification && `: ${row.qualification}`}`,
      );
    if (total > lines.length) lines.push(`... and ${total - lines.length} more`);
    return text(lines.length > 0 ? lines.join('\n') : 'no VM exit between these moments');
  },
};
