import type { DebugProtocol } from '@vscode/debugprotocol';
import { badArguments, cancelled, messageOf, RequestError, unknownRequest } from './errors';

type Kind = 'string' | 'number' | 'boolean' | 'object' | 'array';
/** Arguments that are checked before the handler sees them; '?' = may be absent. */
export type Shape = Readonly<Record<string, Kind | `${Kind}?`>>;

export interface Reply {
  readonly command: string;
  /** Sequence number of the request, by which the client may cancel it */
  readonly seq: number;
  /**
   * Runs after the response is on its way: events that the client must not see before it. What lasts (a promise) keeps
   * the requests behind it waiting.
   */
  after(task: () => unknown): void;
}

export interface Route {
  readonly shape: Shape;
  readonly handle: (args: never, reply: Reply) => unknown;
  /** Answered at once while a task moves the machine: what may end that task */
  readonly urgent?: boolean;
}

export const route = <A>(shape: Shape, handle: (args: A, reply: Reply) => unknown): Route => ({ shape, handle });

/** The same, answered also while a task moves the machine. */
export const urgent = (row: Route): Route => ({ ...row, urgent: true });

export type Send = (message: DebugProtocol.ProtocolMessage) => void;

/**
 * Takes requests in their order, one at a time, and answers each exactly once. Whatever a handler throws becomes an
 * error response; a message that is no request is answered where it can be and never ends the session. While a task
 * moves the machine through its history, urgent requests overtake the others, which wait for its end.
 */
export class Router {
  private sequence = 1;
  private readonly queue: DebugProtocol.Request[] = [];
  private busy = false;
  private closed = false;

  constructor(
    private readonly routes: Readonly<Record<string, Route>>,
    private readonly sendMessage: Send,
    /** Whether a task is under way */
    private readonly lasting: () => boolean = () => false,
  ) {}

  receive(message: unknown): void {
    const problem = problemOf(message);
    if (problem === undefined) {
      const request = message as DebugProtocol.Request;
      if (this.busy && this.routeOf(request.command)?.urgent && this.lasting()) {
        void this.answer(request);
        return;
      }
      this.queue.push(request);
      if (!this.busy) void this.drain();
    } else if (problem !== '') {
      this.malformed(problem, message);
    }
  }

  /** Answers something unreadable, with the sequence number when it has one. */
  malformed(reason: string, message?: unknown): void {
    const seq = (message as { seq?: unknown } | undefined)?.seq;
    const command = (message as { command?: unknown } | undefined)?.command;
    this.respond(
      { seq: typeof seq === 'number' ? seq : 0, type: 'request', command: typeof command === 'string' ? command : '' },
      new RequestError(2000, `malformed message: ${reason}`, false),
    );
  }

  event(event: string, body?: unknown): void {
    this.send({ type: 'event', event, ...(body === undefined ? {} : { body }) });
  }

  /** Takes a request that waits out of the queue, and answers that it was cancelled. False: it does not wait. */
  withdraw(seq: number): boolean {
    const index = this.queue.findIndex((request) => request.seq === seq);
    const [request] = index < 0 ? [] : this.queue.splice(index, 1);
    if (request) this.respond(request, cancelled());
    return request !== undefined;
  }

  /** Nothing is sent any more. */
  close(): void {
    this.closed = true;
    this.queue.length = 0;
  }

  private async drain(): Promise<void> {
    this.busy = true;
    for (let request = this.queue.shift(); request; request = this.queue.shift()) await this.answer(request);
    this.busy = false;
  }

  private routeOf(command: string): Route | undefined {
    return Object.hasOwn(this.routes, command) ? this.routes[command] : undefined;
  }

  private async answer(request: DebugProtocol.Request): Promise<void> {
    const after: (() => unknown)[] = [];
    try {
      const found = this.routeOf(request.command);
      if (!found) throw unknownRequest(request.command);
      const args = checked(request.command, request.arguments, found.shape);
      const body = await (found.handle as (args: unknown, reply: Reply) => unknown)(args, {
        command: request.command,
        seq: request.seq,
        after: (task) => void after.push(task),
      });
      this.respond(request, undefined, body);
    } catch (error) {
      this.respond(request, error);
    }
    for (const task of after) {
      const lasts = task();
      if (lasts instanceof Promise) await lasts;
    }
  }

  private respond(request: DebugProtocol.Request, error: unknown, body?: unknown): void {
    const head = { type: 'response', request_seq: request.seq, command: request.command };
    if (error === undefined) {
      this.send({ ...head, success: true, ...(body === undefined ? {} : { body }) });
      return;
    }
    const message = messageOf(error);
    // An exception that is none of ours is a fault of the adapter: told to the user, with the place, and survived.
    const { id, showUser } = error instanceof RequestError ? error : { id: 3000, showUser: true };
    // {text} is substituted by the client: braces in the message itself stay as they are.
    const format = { id, format: '{text}', variables: { text: message }, showUser };
    this.send({ ...head, success: false, message, body: { error: format } });
  }

  private send(message: object): void {
    if (!this.closed) this.sendMessage({ ...message, seq: this.sequence++ } as DebugProtocol.ProtocolMessage);
  }
}

/** Undefined: a request; '': to be passed over in silence (responses and events of the client); else what is wrong. */
function problemOf(message: unknown): string | undefined {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return 'not an object';
  const { type, command, seq } = message as Record<string, unknown>;
  if (type === 'response' || type === 'event') return '';
  if (type !== 'request') return 'type is not "request"';
  if (typeof command !== 'string') return 'a request without a command';
  if (typeof seq !== 'number' || !Number.isInteger(seq)) return 'a request without a sequence number';
  return undefined;
}

/** The members of a list argument, each an object of this shape. Throws RequestError. */
export function checkedList<T>(
  command: string,
  name: string,
  list: readonly T[] | undefined,
  shape: Shape,
): readonly T[] {
  for (const [index, item] of (list ?? []).entries()) {
    if (item === null || typeof item !== 'object') throw badArguments(command, `"${name}[${index}]" must be an object`);
    checked(`${command}: ${name}[${index}]`, item, shape);
  }
  return list ?? [];
}

export function checked(command: string, given: unknown, shape: Shape): Record<string, unknown> {
  const args = given ?? {};
  if (typeof args !== 'object' || Array.isArray(args)) throw badArguments(command, 'arguments must be an object');
  for (const [name, kind] of Object.entries(shape)) {
    const value = (args as Record<string, unknown>)[name];
    if (value === undefined || value === null) {
      if (!kind.endsWith('?')) throw badArguments(command, `needs "${name}"`);
      continue;
    }
    const wanted = kind.replace('?', '');
    const is = Array.isArray(value) ? 'array' : typeof value;
    if (is !== wanted || (is === 'number' && !Number.isFinite(value))) {
      throw badArguments(command, `"${name}" must be of type ${wanted}, not ${is}`);
    }
  }
  return args as Record<string, unknown>;
}
