import type { DebugProtocol } from '@vscode/debugprotocol';
import { userError } from '../session/errors';
import { text, type Command, type Outcome, type Place } from './command';
import { exits } from './exits';
import { back, goTo } from './goto';
import { owner } from './owner';
import { when } from './when';
import { who } from './who';

const help: Command = {
  name: 'help',
  usage: '',
  summary: 'these commands',
  run: () =>
    text(
      ['Anything else is a C expression. Commands:']
        .concat(COMMANDS.map(({ name, usage, summary }) => `  ${`.${name} ${usage}`.trim()}: ${summary}`))
        .join('\n'),
    ),
};

export const COMMANDS: readonly Command[] = [who, when, owner, exits, goTo, back, help];

/** Text in the debug console that is a command and no expression: none of C's begins with a dot and a letter. */
export const isCommand = (line: string): boolean => /^\s*\.[a-z]/i.test(line);

/** Throws RequestError. */
export function runCommand(line: string, place: Place): Outcome {
  const [, name = '', words = ''] = /^\s*\.([a-z]+)\s*(.*)$/is.exec(line) ?? [];
  const command = COMMANDS.find((candidate) => candidate.name === name.toLowerCase());
  if (!command) throw userError(`there is no command ".${name}": ".help" lists them`);
  return command.run(words, place);
}

/** completions: names of commands, and what may follow them. */
export function completions(
  { text: line, column }: DebugProtocol.CompletionsArguments,
  place: Place,
): DebugProtocol.CompletionsResponse['body'] {
  const before = line.slice(0, Math.max(0, column - 1));
  const match = /^(\s*)\.([a-z]*)(\s+)?(.*)$/is.exec(before);
  if (!match) return { targets: [] };
  const [, , name = '', gap, words = ''] = match;
  if (gap === undefined) {
    const start = before.indexOf('.');
    const targets = COMMANDS.filter((command) => command.name.startsWith(name.toLowerCase())).map((command) => ({
      label: `.${command.name}`,
      text: `.${command.name} `,
      detail: command.summary,
      start,
      length: before.length - start,
    }));
    return { targets };
  }
  const command = COMMANDS.find((candidate) => candidate.name === name.toLowerCase());
  const start = before.length - words.length;
  const wanted = words.toLowerCase();
  const targets = (command?.complete?.(words, place) ?? [])
    .filter((label) => label.toLowerCase().startsWith(wanted))
    .map((label) => ({ label, start, length: words.length }));
  return { targets };
}
