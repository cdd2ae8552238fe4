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
    await active.request(request, { threadId: await active.threadId() });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
