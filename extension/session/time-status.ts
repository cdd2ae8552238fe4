import * as vscode from 'vscode';
import type { ActiveSession } from './active-session';
import { momentText } from './time-text';

/** Says in the status bar at which moment of its history the machine stands. */
export function showMoment(active: ActiveSession): vscode.Disposable {
  const item = vscode.window.createStatusBarItem('undervisor.moment', vscode.StatusBarAlignment.Left, 9);
  item.name = 'Undervisor: Moment';
  item.command = 'undervisor.goTo';
  const update = () => {
    const { time } = active;
    if (!time) return item.hide();
    const { text, tooltip, past } = momentText(time);
    item.text = text;
    item.tooltip = tooltip;
    item.backgroundColor = past ? new vscode.ThemeColor('statusBarItem.warningBackground') : undefined;
    item.show();
  };
  return vscode.Disposable.from(item, active.onDidSwitch(update), active.onDidUpdate(update));
}
