import * as vscode from 'vscode';
import { debugType } from '../session/active-session';
import { runBuild } from './build';
import { descriptionFile, descriptionOf, readDescription, type Description } from './images';

type Configuration = vscode.DebugConfiguration;

/**
 * Debugs the stack that an undervisor.json describes: the adapter takes its folder as the program. Without a breakpoint
 * there would be nothing to see but the end of the run, so it stops at the first VM exit then.
 */
function configurationFor(folder: vscode.Uri): Configuration {
  const name = folder.path.slice(folder.path.lastIndexOf('/') + 1);
  const stopOnEntry = vscode.debug.breakpoints.some(({ enabled }) => enabled) ? false : 'exit:any';
  return { type: debugType, request: 'launch', name: `Debug ${name}`, program: folder.fsPath, stopOnEntry };
}

async function findDescription(folder?: vscode.WorkspaceFolder): Promise<vscode.Uri | undefined> {
  for (const { uri } of folder ? [folder] : (vscode.workspace.workspaceFolders ?? [])) {
    if (await exists(vscode.Uri.joinPath(uri, descriptionFile))) return uri;
  }
  const found = await vscode.workspace.findFiles(`**/${descriptionFile}`, '**/node_modules/**', 20);
  const folders = found.map((file) => vscode.Uri.joinPath(file, '..'));
  if (folders.length < 2) return folders[0];
  const picks = folders.map((uri) => ({ label: vscode.workspace.asRelativePath(uri), uri }));
  return (await vscode.window.showQuickPick(picks, { placeHolder: 'Which hypervisor stack?' }))?.uri;
}

async function exists(uri: vscode.Uri): Promise<boolean> {
  return vscode.workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
}

class ConfigurationProvider implements vscode.DebugConfigurationProvider {
  async provideDebugConfigurations(folder?: vscode.WorkspaceFolder): Promise<Configuration[]> {
    const described = await findDescription(folder);
    return described ? [configurationFor(described)] : [];
  }

  /** F5 without a launch.json comes here with nothing in the configuration, a configuration may lack only its program. */
  async resolveDebugConfiguration(
    folder: vscode.WorkspaceFolder | undefined,
    given: Configuration,
  ): Promise<Configuration | undefined | null> {
    if (given.program !== undefined || given.recording !== undefined) return given;
    const described = await findDescription(folder);
    if (described) return { ...configurationFor(described), ...given };
    return refuse(`Nothing to debug: this workspace has no ${descriptionFile} and no launch configuration.`, {
      title: 'Create launch.json',
      // Null makes VS Code open a new launch.json, with the debugger's initial configuration.
      value: null,
    });
  }

  /** Makes paths absolute, and builds the images of a described stack when some of them are missing. */
  async resolveDebugConfigurationWithSubstitutedVariables(
    folder: vscode.WorkspaceFolder | undefined,
    given: Configuration,
  ): Promise<Configuration | undefined | null> {
    const base = (folder ?? vscode.workspace.workspaceFolders?.[0])?.uri;
    if (!base) return given;
    const recordings: Partial<Configuration> = {};
    for (const name of ['record', 'recording']) {
      const file: unknown = given[name];
      if (typeof file === 'string') recordings[name] = absolute(base, file).fsPath;
    }
    if (typeof given.program !== 'string') return { ...given, ...recordings };
    const program = absolute(base, given.program);
    const configuration: Configuration = { ...given, ...recordings, program: program.fsPath };
    for (const list of ['modules', 'symbols', 'disks']) {
      const entries: unknown = given[list];
      if (Array.isArray(entries)) configuration[list] = entries.map((entry: unknown) => absoluteFile(base, entry));
    }
    const file = program.path.endsWith('.json') ? program : vscode.Uri.joinPath(program, descriptionFile);
    const complete = (await exists(file))
      ? await buildMissing(vscode.Uri.joinPath(file, '..'), file, await readText(file))
      : await buildMissing(base, undefined, descriptionOf(configuration));
    return complete ? configuration : undefined;
  }
}

async function readText(file: vscode.Uri): Promise<Description> {
  return readDescription(new TextDecoder().decode(await vscode.workspace.fs.readFile(file)));
}

function absolute(base: vscode.Uri, file: string): vscode.Uri {
  return /^([\\/]|[a-z]:)/i.test(file) ? vscode.Uri.file(file) : vscode.Uri.joinPath(base, file);
}

function absoluteFile(base: vscode.Uri, entry: unknown): unknown {
  const file = (entry as { file?: unknown } | null)?.file;
  return typeof file === 'string' ? { ...(entry as object), file: absolute(base, file).fsPath } : entry;
}

/**
 * Builds the images in `folder` when some are missing and there is a command for it. False when the session cannot
 * start; the user has been told. `file` is the description that names them.
 */
async function buildMissing(
  folder: vscode.Uri,
  file: vscode.Uri | undefined,
  { images, build }: Description,
): Promise<boolean> {
  const missing = await missingOf(folder, images);
  if (missing.length === 0) return true;
  // Without a command the adapter says which file is missing; it is the one that knows where it looked.
  if (build === undefined && !file) return true;
  if (build !== undefined && !(await runBuild(build, folder.fsPath))) return false;
  const still = build === undefined ? missing : await missingOf(folder, images);
  if (still.length === 0) return true;
  const why = build === undefined ? 'No "build" command is given that would make it.' : `"${build}" did not make it.`;
  const title = file ? `Open ${descriptionFile}` : 'Open launch.json';
  const action = () =>
    file ? vscode.window.showTextDocument(file) : vscode.commands.executeCommand('workbench.action.debug.configure');
  void refuse(`Image ${still.join(', ')} is missing. ${why}`, { title, action, value: undefined });
  return false;
}

async function missingOf(folder: vscode.Uri, images: readonly string[]): Promise<string[]> {
  const there = await Promise.all(images.map((image) => exists(absolute(folder, image))));
  return images.filter((_, index) => !there[index]);
}

/** Shows an error with one button; resolves to the button's value when it was pressed, else to undefined. */
async function refuse<T>(
  message: string,
  button: { title: string; value: T; action?: () => unknown },
): Promise<T | undefined> {
  if ((await vscode.window.showErrorMessage(message, button.title)) !== button.title) return undefined;
  await button.action?.();
  return button.value;
}

/** Context keys for the F5 key: whether the folder is described, and whether its user has launch configurations. */
async function setContextKeys(): Promise<void> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  const described = await Promise.all(folders.map(({ uri }) => exists(vscode.Uri.joinPath(uri, descriptionFile))));
  const configured = folders.some(({ uri }) => {
    const configurations: unknown = vscode.workspace.getConfiguration('launch', uri).get('configurations');
    return Array.isArray(configurations) && configurations.length > 0;
  });
  await vscode.commands.executeCommand('setContext', 'undervisor.folder', described.includes(true));
  await vscode.commands.executeCommand('setContext', 'undervisor.launchConfigurations', configured);
}

async function debugFolder(): Promise<void> {
  const described = await findDescription();
  if (described) {
    await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(described), configurationFor(described));
  } else {
    void vscode.window.showErrorMessage(`No ${descriptionFile} in this workspace.`);
  }
}

export function registerConfiguration(): vscode.Disposable {
  const provider = new ConfigurationProvider();
  const { Initial, Dynamic } = vscode.DebugConfigurationProviderTriggerKind;
  const watcher = vscode.workspace.createFileSystemWatcher(`**/${descriptionFile}`);
  const update = () => void setContextKeys();
  update();
  return vscode.Disposable.from(
    vscode.debug.registerDebugConfigurationProvider(debugType, provider, Initial),
    vscode.debug.registerDebugConfigurationProvider(
      debugType,
      { provideDebugConfigurations: (folder) => provider.provideDebugConfigurations(folder) },
      Dynamic,
    ),
    vscode.commands.registerCommand('undervisor.debugFolder', debugFolder),
    watcher,
    watcher.onDidCreate(update),
    watcher.onDidDelete(update),
    vscode.workspace.onDidChangeWorkspaceFolders(update),
    vscode.workspace.onDidChangeConfiguration((event) => event.affectsConfiguration('launch') && update()),
  );
}
