import assert from 'node:assert/strict';
import type { DebugProtocol } from '@vscode/debugprotocol';
import * as vscode from 'vscode';
import { exceptionFilters } from '../../../debug-adapter/breakpoints/exceptions';
import type { LayersResponse } from '../../../debug-adapter/protocol/requests';
import type { Exports } from '../../../extension/extension';
import type { TreeNode } from '../../../extension/views/model/node';

/** How long VS Code may take to show what the adapter has told it. */
const PATIENCE_MS = 30_000;

export async function until<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A session of the sample in this VS Code, driven by VS Code's own commands and watched through a tracker. */
export class Debuggee {
  readonly stops: DebugProtocol.StoppedEvent['body'][] = [];
  readonly output: string[] = [];
  private readonly subscriptions: vscode.Disposable[] = [];
  private seen = 0;
  private ended = false;
  session!: vscode.DebugSession;

  static async launch(attributes: Record<string, unknown>): Promise<Debuggee> {
    const debuggee = new Debuggee();
    debuggee.subscriptions.push(
      vscode.debug.registerDebugAdapterTrackerFactory('undervisor', {
        createDebugAdapterTracker: () => ({ onDidSendMessage: (message) => debuggee.note(message as never) }),
      }),
      vscode.debug.onDidTerminateDebugSession(() => (debuggee.ended = true)),
    );
    const folder = vscode.workspace.workspaceFolders?.[0];
    const configuration = { type: 'undervisor', request: 'launch', name: 'test', ...attributes };
    assert.ok(await vscode.debug.startDebugging(folder, configuration), 'the session did not start');
    debuggee.session = await until('the session', () => vscode.debug.activeDebugSession);
    return debuggee;
  }

  private note(message: DebugProtocol.Event): void {
    if (message.type !== 'event') return;
    if (message.event === 'stopped') this.stops.push(message.body as DebugProtocol.StoppedEvent['body']);
    if (message.event === 'output') this.output.push((message.body as DebugProtocol.OutputEvent['body']).output);
  }

  /** The next stop that no one has asked for yet, once VS Code has selected its vCPU or a frame of it. */
  async stopped(): Promise<DebugProtocol.StoppedEvent['body']> {
    const stop = await until('a stop', () => {
      assert.ok(!this.ended, `the session ended:\n${this.output.join('')}`);
      return this.stops[this.seen];
    });
    this.seen++;
    await until('the selected vCPU', () => vscode.debug.activeStackItem);
    return stop;
  }

  /** Runs a command of the debug toolbar and waits for the stop. */
  async run(command: string): Promise<DebugProtocol.StoppedEvent['body']> {
    await vscode.commands.executeCommand(command);
    return this.stopped();
  }

  /** Sets exception breakpoints by the words that the Breakpoints view shows. */
  async stopAt(...labels: string[]): Promise<void> {
    const filters = labels.map((label) => {
      const found = exceptionFilters.find((row) => row.label === label);
      assert.ok(found, `no filter "${label}"`);
      return found.filter;
    });
    await this.session.customRequest('setExceptionBreakpoints', { filters });
  }

  async stack(): Promise<DebugProtocol.StackFrame[]> {
    const threadId = vscode.debug.activeStackItem?.threadId;
    const body = (await this.session.customRequest('stackTrace', { threadId })) as {
      stackFrames: DebugProtocol.StackFrame[];
    };
    return body.stackFrames;
  }

  async runningLayer(): Promise<string> {
    const { layers } = (await this.session.customRequest('undervisor/layers')) as LayersResponse;
    return layers.find(({ running }) => running)?.name ?? 'none';
  }

  async end(): Promise<void> {
    await vscode.debug.stopDebugging(this.session);
    await until('the end of the session', () => (this.ended ? true : undefined));
    await until('VS Code to be without a session', () => (vscode.debug.activeDebugSession ? undefined : true));
    vscode.Disposable.from(...this.subscriptions).dispose();
  }
}

export async function viewRows(view: keyof Exports['views']): Promise<TreeNode[]> {
  const extension = vscode.extensions.getExtension<Exports>('undervisor.undervisor');
  assert.ok(extension);
  return extension.exports.views[view].getChildren();
}
