import * as vscode from 'vscode';
import type { ExportedEventBody } from '../../debug-adapter/protocol/requests';
import { debugType, type ActiveSession } from './active-session';

/** "Export Run as Trace...": asks where to, lets the adapter write, and says when it is done. */
export function registerExportCommand(active: ActiveSession): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand('undervisor.exportTrace', () => exportTrace(active)),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type === debugType && event === 'undervisor/exported') void tell(body as ExportedEventBody);
    }),
  );
}

async function exportTrace(active: ActiveSession): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const file = await vscode.window.showSaveDialog({
    title: 'Export Run as Trace',
    filters: { 'Trace for Perfetto and Chrome': ['json'], 'JSON Lines': ['jsonl'] },
    ...(folder && { defaultUri: vscode.Uri.joinPath(folder, 'trace.json') }),
  });
  if (!file) return;
  try {
    const format = file.path.endsWith('.jsonl') ? 'jsonl' : 'perfetto';
    await active.request('undervisor/export', { path: file.fsPath, format });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}

async function tell({ path, error }: ExportedEventBody): Promise<void> {
  if (error === 'cancelled') return;
  if (error !== undefined) {
    void vscode.window.showErrorMessage(`The export to ${path} is not whole: ${error}`);
    return;
  }
  const trace = path.endsWith('.json');
  const hint = trace ? ' Open it at ui.perfetto.dev.' : '';
  const open = trace ? [] : ['Open'];
  const pressed = await vscode.window.showInformationMessage(`The run was exported to ${path}.${hint}`, ...open);
  if (pressed === 'Open') await vscode.window.showTextDocument(vscode.Uri.file(path));
}
