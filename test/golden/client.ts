import type { DebugProtocol } from '@vscode/debugprotocol';
import { DebugSession } from '../../debug-adapter/session/debug-session';
import type { Environment } from '../../debug-adapter/session/environment';

/** A DAP client in the same process: sends requests, waits for responses and events. */
export class Client {
  readonly events: DebugProtocol.Event[] = [];
  private readonly session: DebugSession;
  private readonly waiting = new Map<number, (response: DebugProtocol.Response) => void>();
  private readonly eventWaiters: { name: string; take: (event: DebugProtocol.Event) => void }[] = [];
  private seq = 1;
  /** Number of the request that was sent last */
  get lastSeq(): number {
    return this.seq - 1;
  }
  /** Index in `events` up to which events have been waited for */
  private taken = 0;

  /** `watch` sees every message in both directions. */
  constructor(
    environment: Environment,
    private readonly watch: (direction: '->' | '<-', message: object) => void = () => undefined,
  ) {
    this.session = new DebugSession(environment, (message) => this.receive(message));
  }

  /** The body; rejects with the message of an error response. */
  async request<T = unknown>(command: string, args?: unknown): Promise<T> {
    const response = await this.response(command, args);
    if (!response.success) throw new Error(response.message);
    return response.body as T;
  }

  response(command: string, args?: unknown): Promise<DebugProtocol.Response> {
    const seq = this.seq++;
    return new Promise((resolve) => {
      this.waiting.set(seq, resolve);
      const message = { seq, type: 'request', command, arguments: args };
      this.watch('->', message);
      this.session.receive(message);
    });
  }

  /** The next of these events that has not been waited for. Events of other kinds before it are passed over. */
  event(...names: string[]): Promise<DebugProtocol.Event> {
    const index = this.events.findIndex((event, at) => at >= this.taken && names.includes(event.event));
    const there = this.events[index];
    if (there) {
      this.taken = index + 1;
      return Promise.resolve(there);
    }
    return new Promise((resolve) => {
      for (const name of names) {
        this.eventWaiters.push({
          name,
          take: (event) => {
            this.eventWaiters.length = 0;
            this.taken = this.events.length;
            resolve(event);
          },
        });
      }
    });
  }

  dispose(): void {
    this.session.dispose();
  }

  private receive(message: DebugProtocol.ProtocolMessage): void {
    this.watch('<-', message);
    if (message.type === 'response') {
      const response = message as DebugProtocol.Response;
      this.waiting.get(response.request_seq)?.(response);
      this.waiting.delete(response.request_seq);
    } else if (message.type === 'event') {
      const event = message as DebugProtocol.Event;
      this.events.push(event);
      this.eventWaiters.find(({ name }) => name === event.event)?.take(event);
    }
  }
}
