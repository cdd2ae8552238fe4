import { createRequire } from 'node:module';
import * as vscode from 'vscode';
import type * as inline from './inline-adapter';

/**
 * Says where the adapter of a session runs. As a process it is started with the executable that runs the extension
 * host: Node in a server, Electron (which ELECTRON_RUN_AS_NODE makes a Node) on the desktop.
 */
export class AdapterFactory implements vscode.DebugAdapterDescriptorFactory {
  constructor(private readonly extension: vscode.Uri) {}

  createDebugAdapterDescriptor(): vscode.DebugAdapterDescriptor {
    const settings = vscode.workspace.getConfiguration('undervisor.adapter');
    if (settings.get('mode') === 'server')
      return new vscode.DebugAdapterServer(settings.get('port', 4711), '127.0.0.1');
    const built = (file: string) => vscode.Uri.joinPath(this.extension, 'dist', file).fsPath;
    if (settings.get('mode') === 'inline') {
      const { InlineAdapter } = createRequire(__filename)(built('inline-adapter.js')) as typeof inline;
      return new vscode.DebugAdapterInlineImplementation(new InlineAdapter());
    }
    return new vscode.DebugAdapterExecutable(process.execPath, [built('adapter.js')], {
      env: { ELECTRON_RUN_AS_NODE: '1' },
    });
  }
}
