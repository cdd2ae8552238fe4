import { capabilities } from './capabilities';
import type { Environment } from './environment';
import { route, Router, type Route, type Send } from './router';

/** One debug session: messages in by `receive`, messages out by `send`. Knows nothing of streams. */
export class DebugSession {
  readonly router: Router;

  constructor(
    readonly environment: Environment,
    send: Send,
    private readonly onEnd: () => void = () => undefined,
  ) {
    this.router = new Router(this.routes(), send);
  }

  receive(message: unknown): void {
    this.router.receive(message);
  }

  /** The client is gone: stop everything, say nothing more. */
  dispose(): void {
    this.router.close();
  }

  private routes(): Record<string, Route> {
    return {
      initialize: route({ adapterID: 'string?' }, () => capabilities([])),
      disconnect: route({}, (_args, reply) => reply.after(this.onEnd)),
    };
  }
}
