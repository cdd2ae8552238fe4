/**
 * Errors that a request answers with. `id` is stable (DAP Message.id); `showUser` decides whether the client shows
 * it or only logs it.
 */
export class RequestError extends Error {
  override name = 'RequestError';
  constructor(
    readonly id: number,
    message: string,
    readonly showUser: boolean,
  ) {
    super(message);
  }
}

/** The user has to act: wrong file, wrong attribute, wrong expression. */
export const userError = (message: string): RequestError => new RequestError(1000, message, true);
/** The client asked for something at a time or in a form that makes no sense; the user cannot help it. */
export const silentError = (message: string): RequestError => new RequestError(2000, message, false);

export const unknownRequest = (command: string): RequestError =>
  new RequestError(2001, `unknown request "${command}"`, false);
export const notLaunched = (command: string): RequestError =>
  new RequestError(2002, `"${command}" needs a launched machine`, false);
export const isRunning = (command: string): RequestError =>
  new RequestError(2003, `"${command}" needs a stopped machine: pause first`, false);
export const badArguments = (command: string, what: string): RequestError =>
  new RequestError(2004, `"${command}": ${what}`, false);
export const cancelled = (): RequestError => new RequestError(2005, 'cancelled', false);

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
