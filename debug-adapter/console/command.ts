import type { Task } from '../../emulator/timeline/api';
import type { QuestionAnswer } from '../protocol/requests';
import type { Live } from '../session/live';

/** What a command is told beside its words. */
export interface Place {
  readonly live: Live;
  readonly frameId: number | undefined;
}

/** What a command comes to: words at once, an answer that takes time, or a move in time. */
export type Outcome =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ask'; readonly title: string; readonly task: Task<QuestionAnswer> }
  /** The machine is to go to this moment; the client is told as by a request of its own. */
  | { readonly kind: 'goto'; readonly moment: number };

/** A command of the debug console: ".name WORDS". */
export interface Command {
  readonly name: string;
  /** What follows the name, for help and for who left it out */
  readonly usage: string;
  readonly summary: string;
  /** Throws RequestError with a message for the user. */
  run(words: string, place: Place): Outcome;
  /** What may stand behind the name, for completion */
  complete?(words: string, place: Place): readonly string[];
}

export const text = (words: string): Outcome => ({ kind: 'text', text: words });
