import * as vscode from 'vscode';
import { AdapterFactory } from './adapter';
import { registerConfiguration } from './configuration/provider';
import { ActiveSession, debugType } from './session/active-session';
import { registerContinueCommands } from './session/commands';
import { registerExportCommand } from './session/export';
import { registerQuestionCommands } from './session/questions';
import { showStatus } from './session/status';
import { registerTimeCommands } from './session/time-commands';
import { showMoment } from './session/time-status';
import { createExitsView } from './views/exits/view';
import { createPagesView } from './views/pages/view';
import { createTranslationView } from './views/translation/view';
import { registerCopyCommand, registerOpenCommand, type ModelTree } from './views/tree-view';

/** What other extensions, and our tests, get: the views' contents as VS Code gets them. */
export interface Exports {
  readonly views: { readonly exits: ModelTree; readonly translation: ModelTree; readonly pages: ModelTree };
}

export function activate(context: vscode.ExtensionContext): Exports {
  const active = new ActiveSession();
  const views = {
    exits: createExitsView(active),
    translation: createTranslationView(active),
    pages: createPagesView(active),
  };
  context.subscriptions.push(
    active,
    vscode.debug.registerDebugAdapterDescriptorFactory(debugType, new AdapterFactory(context.extensionUri)),
    registerConfiguration(),
    registerContinueCommands(active),
    registerExportCommand(active),
    registerQuestionCommands(active),
    registerCopyCommand(),
    registerOpenCommand(),
    showStatus(active),
    registerTimeCommands(active),
    showMoment(active),
    ...Object.values(views),
  );
  return { views };
}
