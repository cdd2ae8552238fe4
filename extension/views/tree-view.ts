import * as vscode from 'vscode';
import type { ActiveSession } from '../session/active-session';
import type { TreeNode } from './model/node';

/** Updates closer together than this are shown once: a running machine reports many. */
const SETTLE_MS = 150;

/**
 * Shows the nodes of a model in the tree view `id`. `roots` is asked again whenever the session has moved on; VS Code
 * itself asks only while the view can be seen. `reset` is called when another session, or another run of it, becomes the active one.
 */
export class ModelTree implements vscode.TreeDataProvider<TreeNode>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private timer: ReturnType<typeof setTimeout> | undefined;
  readonly onDidChangeTreeData = this.changed.event;
  readonly view: vscode.TreeView<TreeNode>;

  constructor(
    id: string,
    private readonly active: ActiveSession,
    private readonly roots: () => Promise<readonly TreeNode[]>,
    reset: () => void = () => undefined,
  ) {
    this.view = vscode.window.createTreeView(id, { treeDataProvider: this, showCollapseAll: true });
    this.subscriptions = [
      this.view,
      active.onDidSwitch(() => {
        reset();
        this.refresh();
      }),
      active.onDidUpdate(() => this.refresh()),
    ];
  }

  /** Disposes of these together with the view. */
  own(...disposables: vscode.Disposable[]): void {
    this.subscriptions.push(...disposables);
  }

  refresh(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.changed.fire();
    }, SETTLE_MS);
  }

  /** Says behind the title what part of it all is shown. */
  describe(part: string | undefined): void {
    this.view.description = part ?? '';
  }

  getTreeItem(node: TreeNode): vscode.TreeItem {
    const { None, Collapsed, Expanded } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, !node.children ? None : node.expanded ? Expanded : Collapsed);
    item.id = node.id;
    item.contextValue = node.who ? 'entry' : node.goTo ? 'moment' : 'row';
    if (node.description !== undefined) item.description = node.description;
    if (node.tooltip !== undefined) item.tooltip = node.tooltip;
    if (node.source)
      item.command = { command: 'undervisor.openSource', title: 'Open Source', arguments: [node.source] };
    if (node.icon)
      item.iconPath = new vscode.ThemeIcon(node.icon, node.color ? new vscode.ThemeColor(node.color) : undefined);
    return item;
  }

  async getChildren(node?: TreeNode): Promise<TreeNode[]> {
    if (!this.active.session) return [];
    try {
      return [...(node ? ((await node.children?.()) ?? []) : await this.roots())];
    } catch {
      // The machine runs, has just started or has ended: what can be shown comes with the next stop.
      return [];
    }
  }

  dispose(): void {
    clearTimeout(this.timer);
    vscode.Disposable.from(...this.subscriptions, this.changed).dispose();
  }
}

export function registerCopyCommand(): vscode.Disposable {
  return vscode.commands.registerCommand('undervisor.copyRow', (node: TreeNode) =>
    vscode.env.clipboard.writeText([node.label, node.description].filter(Boolean).join('  ')),
  );
}

/** What activating a row with a source place does. The list keeps the focus, so that the arrow keys go on from there. */
export function registerOpenCommand(): vscode.Disposable {
  return vscode.commands.registerCommand('undervisor.openSource', ({ path, line }: NonNullable<TreeNode['source']>) => {
    const selection = new vscode.Range(line - 1, 0, line - 1, 0);
    return vscode.window.showTextDocument(vscode.Uri.file(path), { selection, preview: true, preserveFocus: true });
  });
}
