import * as vscode from 'vscode';
import { AdapterFactory } from './adapter';
import { registerConfiguration } from './configuration/provider';
import { ActiveSession, debugType } from './session/active-session';
import { registerContinueCommands } from './session/commands';
import { showStatus } from './session/status';
import { createExitsView } from './views/exits/view';
import { createPagesView } from './views/pages/view';
import { createTranslationView } from './views/translation/view';
import { registerCopyCommand } from './views/tree-view';

export function activate(context: vscode.ExtensionContext): void {
  const active = new ActiveSession();
  context.subscriptions.push(
    active,
    vscode.debug.registerDebugAdapterDescriptorFactory(debugType, new AdapterFactory(context.extensionUri)),
    registerConfiguration(),
    registerContinueCommands(active),
    registerCopyCommand(),
    showStatus(active),
    createExitsView(active),
    createTranslationView(active),
    createPagesView(active),
  );
}
