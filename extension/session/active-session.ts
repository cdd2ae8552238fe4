import * as vscode from 'vscode';
import { changedEvent, type Request, type Requests } from './requests';

export const debugType = 'undervisor';

/** The Undervisor session that the user looks at, and when what the views show of it may have changed. */
export class ActiveSession implements vscode.Disposable {
  private readonly switched = new vscode.EventEmitter<void>();
  private readonly updated = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];

  /** Another session, or none, has become the active one. */
  readonly onDidSwitch = this.switched.event;
  /** The machine stopped or went on, another frame was selected, or more was recorded. */
  readonly onDidUpdate = this.updated.event;

  constructor() {
    this.subscriptions = [
      vscode.debug.onDidChangeActiveDebugSession(() => this.switched.fire()),
      vscode.debug.onDidTerminateDebugSession((session) => session.type === debugType && this.switched.fire()),
      vscode.debug.onDidChangeActiveStackItem(() => this.updated.fire()),
      vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event }) => {
        if (session === this.session && event === changedEvent) this.updated.fire();
      }),
    ];
  }

  get session(): vscode.DebugSession | undefined {
    const active = vscode.debug.activeDebugSession;
    return active?.type === debugType ? active : undefined;
  }

  /** The selected frame, undefined while the machine runs. */
  get frameId(): number | undefined {
    const item = vscode.debug.activeStackItem;
    return item instanceof vscode.DebugStackFrame && item.session === this.session ? item.frameId : undefined;
  }

  get threadId(): number | undefined {
    const item = vscode.debug.activeStackItem;
    return item && item.session === this.session ? item.threadId : undefined;
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
