import type { DebugProtocol } from '@vscode/debugprotocol';
import { nodeEnvironment } from '../../debug-adapter/edge/environment';
import type { BookmarksResponse, ChangedEventBody, GoToArguments } from '../../debug-adapter/protocol/requests';
import type { Machine } from '../../emulator/machine/api';
import { Client } from '../golden/client';

export type Stopped = DebugProtocol.StoppedEvent['body'];

/** A debugging session whose machine the test can see, to compare states. */
export class TimeSession {
  readonly client: Client;
  machine!: Machine;

  constructor() {
    this.client = new Client({
      ...nodeEnvironment,
      createMachine: async (configuration) => (this.machine = await nodeEnvironment.createMachine(configuration)),
    });
  }

  async launch(attributes: object, prepare: () => Promise<unknown> = () => Promise.resolve()): Promise<Stopped> {
    await this.client.request('initialize', { supportsProgressReporting: true });
    await this.client.request('launch', attributes);
    await prepare();
    await this.client.request('configurationDone');
    return this.stopped();
  }

  async stopped(): Promise<Stopped> {
    const event = await this.client.event('stopped', 'terminated');
    if (event.event === 'terminated') throw new Error('the session ended');
    return event.body as Stopped;
  }

  async go(command: string, more: object = {}, threadId = 1): Promise<Stopped> {
    await this.client.request(command, { threadId, ...more });
    return this.stopped();
  }

  /** A step that may never end: false when a pause had to end it, or the machine did. */
  async step(command: string, more: object, threadId: number): Promise<boolean> {
    await this.client.request(command, { threadId, ...more });
    const timer = setTimeout(() => void this.client.response('pause', { threadId }), 2000);
    const { reason } = await this.stopped();
    clearTimeout(timer);
    return reason === 'step';
  }

  async goTo(where: GoToArguments): Promise<Stopped> {
    await this.client.request('undervisor/goTo', where);
    return this.stopped();
  }

  breakAt(...functions: string[]): Promise<unknown> {
    const breakpoints = functions.map((text) => {
      const [name, hitCondition] = text.split(' % ');
      return { name, ...(hitCondition ? { hitCondition: `% ${hitCondition}` } : {}) };
    });
    return this.client.request('setFunctionBreakpoints', { breakpoints });
  }

  breakOn(...filters: string[]): Promise<unknown> {
    return this.client.request('setExceptionBreakpoints', { filters });
  }

  async frames(threadId = 1): Promise<DebugProtocol.StackFrame[]> {
    const body = await this.client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId });
    return body.stackFrames;
  }

  /** Function, line, address and stack depth: where a thread stands, for people to compare. */
  async place(threadId = 1): Promise<string> {
    const frames = await this.frames(threadId);
    const [top] = frames;
    const rsp = await this.value('$rsp', threadId, top?.id);
    return `${top?.name}:${top?.line} ${top?.instructionPointerReference} sp ${rsp}`;
  }

  async value(expression: string, threadId = 1, frameId?: number): Promise<string> {
    const id = frameId ?? (await this.frames(threadId))[0]?.id;
    const body = await this.client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', {
      expression,
      frameId: id,
    });
    return body.result;
  }

  /** The last 'undervisor/changed' */
  get changed(): ChangedEventBody {
    return this.client.events.findLast(({ event }) => event === 'undervisor/changed')?.body as ChangedEventBody;
  }

  async bookmarks(): Promise<string[]> {
    const { bookmarks } = await this.client.request<BookmarksResponse>('undervisor/bookmarks', {});
    return bookmarks.map(({ name, ahead }) => `${name}${ahead ? ' (ahead)' : ''}`);
  }

  dispose(): void {
    this.client.dispose();
  }
}
