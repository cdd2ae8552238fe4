import * as vscode from 'vscode';
import type { ChangedEventBody } from '../../debug-adapter/protocol/requests';
import { changedEvent, type Request, type Requests } from './requests';

export const debugType = 'undervisor';

/** The Undervisor session that the user looks at, and when what the views show of it may have changed. */
export class ActiveSession implements vscode.Disposable {
  private readonly switched = new vscode.EventEmitter<void>();
  private readonly updated = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private latest: ChangedEventBody | undefined;

  /** Another session, or none, has become the active one, or this one has begun again. */
  readonly onDidSwitch = this.switched.event;
  /** The machine stopped or went on, another frame was selected, or more was recorded. */
  readonly onDidUpdate = this.updated.event;

  constructor() {
    this.subscriptions = [
      vscode.debug.onDidChangeActiveDebugSession(() => {
        this.latest = undefined;
        this.switched.fire();
      }),
      vscode.debug.onDidTerminateDebugSession((session) => {
        if (session.type !== debugType) return;
        this.latest = undefined;
        this.switched.fire();
      }),
      vscode.debug.onDidChangeActiveStackItem(() => this.updated.fire()),
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
        if (session === this.session && event === changedEvent) this.noteProgress(body as ChangedEventBody);
      }),
    ];
  }

  /** A shorter run than before, or another branch of it: what was recorded is void, whatever the numbers of its rows. */
  private noteProgress(body: ChangedEventBody): void {
    const { latest } = this;
    this.latest = body;
    const begunAgain = latest !== undefined && (body.end < latest.end || body.branch !== latest.branch);
    (begunAgain ? this.switched : this.updated).fire();
  }

  /** Where in its history the machine of the active session stands; undefined when it has none or nothing is known yet. */
  get time(): ChangedEventBody | undefined {
    return this.session && this.latest?.recording ? this.latest : undefined;
  }

  get session(): vscode.DebugSession | undefined {
    const active = vscode.debug.activeDebugSession;
    return active?.type === debugType ? active : undefined;
  }

  /**
   * The selected frame. VS Code selects none where no source is known: then the innermost one of the selected thread.
   * Rejects while the machine runs.
   */
  async frameId(): Promise<number> {
    const item = this.stackItem;
    if (item instanceof vscode.DebugStackFrame) return item.frameId;
    const threadId = await this.threadId();
    const { stackFrames } = await this.send<{ stackFrames: { id: number }[] }>('stackTrace', { threadId, levels: 1 });
    return first(stackFrames, 'the vCPU has no frame').id;
  }

  /** The selected thread, else the first. */
  async threadId(): Promise<number> {
    if (this.stackItem) return this.stackItem.threadId;
    const { threads } = await this.send<{ threads: { id: number }[] }>('threads', {});
    return first(threads, 'the machine has no vCPU').id;
  }

  private get stackItem(): vscode.DebugStackFrame | vscode.DebugThread | undefined {
    const item = vscode.debug.activeStackItem;
    return item?.session === this.session ? item : undefined;
  }

  readonly request: Request = <Name extends keyof Requests>(name: Name, args: Requests[Name][0]) =>
    this.send<Requests[Name][1]>(name, args);

  /** A request of DAP itself; rejects when there is no session or the adapter refuses. */
  async send<Response>(name: string, args: object): Promise<Response> {
    if (!this.session) throw new Error('No Undervisor session is active.');
    return (await this.session.customRequest(name, args)) as Response;
  }

  dispose(): void {
    vscode.Disposable.from(...this.subscriptions, this.switched, this.updated).dispose();
  }
}

function first<T>(items: readonly T[], otherwise: string): T {
  const [item] = items;
  if (!item) throw new Error(otherwise);
  return item;
}
