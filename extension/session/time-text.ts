import type { BookmarkRow, ChangedEventBody, GoToArguments } from '../../debug-adapter/protocol/requests';
import { count } from '../views/model/node';

export interface MomentText {
  readonly text: string;
  readonly tooltip: string;
  /** The machine stands in its past */
  readonly past: boolean;
}

/** Where in its history the machine stands, for the status bar. */
export function momentText({ moment, first, end, past, branch, instructions }: ChangedEventBody): MomentText {
  const onBranch = branch > 0 ? `, branch ${branch}` : '';
  return {
    text: past
      ? `$(history) Past: ${count(moment)} of ${count(end)}${onBranch}`
      : `$(history) ${count(moment)}${onBranch}`,
    tooltip: [
      `Moment ${count(moment)} of ${count(end)}, after ${count(instructions)} instructions.`,
      `History goes back to ${first === 0 ? 'power-on' : `moment ${count(first)}`}.`,
      ...(branch > 0
        ? [`The past was changed ${branch === 1 ? 'once' : `${count(branch)} times`}: branch ${branch}.`]
        : []),
      'Click to go to another moment.',
    ].join('\n'),
    past,
  };
}

export const GO_TO_PROMPT = 'An instruction by its number since power-on, or a moment as m1234';

/** What the user typed for "Go to": "12,345" is an instruction, "m12345" a moment; undefined: neither. */
export function parseGoTo(text: string): GoToArguments | undefined {
  const match = /^\s*(m|moment)?\s*(\d[\d,_' ]*)\s*$/i.exec(text);
  const value = Number(match?.[2]?.replaceAll(/[,_' ]/g, ''));
  if (!match || !Number.isSafeInteger(value)) return undefined;
  return match[1] ? { moment: value } : { instruction: value };
}

/** A bookmark in a list to pick from. */
export const bookmarkChoice = ({ name, place, instruction, ahead }: BookmarkRow) => ({
  label: name,
  description: `${place}${ahead ? '  (ahead)' : ''}`,
  detail: `${count(instruction)} instructions since power-on`,
});
