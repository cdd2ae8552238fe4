import * as vscode from 'vscode';
import type { ActiveSession } from './active-session';
import { statusOf } from './status-text';

/** Says in the status bar which layer runs, and where. */
export function showStatus(active: ActiveSession): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('undervisor.layer', vscode.StatusBarAlignment.Left, 10);
  item.name = 'Undervisor: Running Layer';
  let latest = 0;
  const update = async () => {
    const turn = ++latest;
    if (!active.session) return item.hide();
    try {
      const { text, tooltip } = statusOf((await active.request('undervisor/layers', {})).layers);
      if (turn !== latest) return;
      item.text = text;
      item.tooltip = tooltip;
      item.show();
    } catch {
      // Before the launch is answered and after the end there are no layers to name.
      if (turn === latest) item.hide();
    }
  };
  return vscode.Disposable.from(
    item,
    active.onDidSwitch(() => void update()),
    active.onDidUpdate(() => void update()),
  );
}
