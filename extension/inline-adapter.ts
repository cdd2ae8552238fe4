import * as vscode from 'vscode';
import { nodeEnvironment } from '../debug-adapter/edge/environment';
import { DebugSession } from '../debug-adapter/session/debug-session';

/** The adapter inside the extension host. A bundle of its own, so that the extension starts without it. */
export class InlineAdapter implements vscode.DebugAdapter {
  private readonly sent = new vscode.EventEmitter<vscode.DebugProtocolMessage>();
  private readonly session = new DebugSession(nodeEnvironment, (message) => this.sent.fire(message));
  readonly onDidSendMessage = this.sent.event;

  handleMessage(message: vscode.DebugProtocolMessage): void {
    this.session.receive(message);
  }

  dispose(): void {
    this.session.dispose();
    this.sent.dispose();
  }
}
