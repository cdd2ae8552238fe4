import * as vscode from 'vscode';
import type { ActiveSession } from '../../session/active-session';
import { ModelTree } from '../tree-view';
import { choices, filterArguments, filterOf, type ExitFilter } from './filter';
import { ExitsModel } from './model';

/** The VM Exits view. Its filter stays for as long as VS Code is open, whatever sessions begin and end. */
export function createExitsView(active: ActiveSession): ModelTree {
  let filter: ExitFilter | undefined;
  const fetch = (start: number, count: number, by?: ExitFilter) =>
    active.request('undervisor/exits', { start, count, ...(by && filterArguments(by)) });
  const create = () => new ExitsModel(fetch, filter, () => active.time?.moment ?? Infinity);
  let model = create();
  const roots = async () => {
    const asked = model;
    const nodes = await asked.nodes();
    const description = await asked.description();
    if (asked === model) tree.describe(description);
    return nodes;
  };
  const tree = new ModelTree('undervisor.exits', active, roots, () => (model = create()));
  const show = async (by: ExitFilter | undefined) => {
    filter = by;
    model = create();
    if (!by) tree.describe(undefined);
    tree.refresh();
    await vscode.commands.executeCommand('setContext', 'undervisor.exitsFiltered', by !== undefined);
  };
  tree.own(
    vscode.commands.registerCommand('undervisor.filterExits', async () => {
      const chosen = await choose(active, filter);
      if (chosen) await show(filterOf(chosen));
    }),
    vscode.commands.registerCommand('undervisor.clearExitFilter', () => show(undefined)),
  );
  return tree;
}

/** Asks for layers and reasons; undefined when the user leaves it as it is. */
async function choose(active: ActiveSession, filter: ExitFilter | undefined) {
  const { kinds } = await active.request('undervisor/exitKinds', {});
  const { layers, reasons } = choices(kinds, filter);
  const heading = (label: string) => ({
    label,
    kind: vscode.QuickPickItemKind.Separator,
    description: '',
    picked: false,
  });
  return vscode.window.showQuickPick([heading('Layers'), ...layers, heading('Exit reasons'), ...reasons], {
    canPickMany: true,
    title: 'Show VM Exits of',
    placeHolder: 'Layers and exit reasons; nothing chosen shows all',
  });
}
