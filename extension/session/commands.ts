import * as vscode from 'vscode';
import type { ActiveSession } from './active-session';
import type { Requests } from './requests';

/** "Continue to Next VM Exit" and "... VM Entry". */
export function registerContinueCommands(active: ActiveSession): vscode.Disposable {
  const register = (command: string, request: 'undervisor/continueToExit' | 'undervisor/continueToEntry') =>
    vscode.commands.registerCommand(command, () => continueTo(active, request));
  return vscode.Disposable.from(
    register('undervisor.continueToExit', 'undervisor/continueToExit'),
    register('undervisor.continueToEntry', 'undervisor/continueToEntry'),
  );
}

async function continueTo(
  active: ActiveSession,
  request: keyof Requests & `undervisor/continue${string}`,
): Promise<void> {
  try {
    await active.request(request, { threadId: active.threadId ?? (await firstThread(active)) });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

async function firstThread(active: ActiveSession): Promise<number> {
  const { threads } = await active.send<{ threads: { id: number }[] }>('threads', {});
  const thread = threads[0];
  if (!thread) throw new Error('The machine has no vCPU.');
  return thread.id;
}
