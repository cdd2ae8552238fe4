import * as vscode from 'vscode';
import type { ActiveSession } from '../../session/active-session';
import type { TranslateArguments } from '../../../debug-adapter/protocol/requests';
import type { TreeNode } from '../model/node';
import { ModelTree } from '../tree-view';
import { addressOf, literalAddress, type Evaluation } from './address';
import { failureNode, translationNodes } from './model';

/** Shown until the user asks for something else: where the selected frame executes. */
const initial = { expression: '$rip', space: 'linear' as const };

/** The Address Translation view. What was asked is evaluated again in the selected frame at each stop, in any session. */
export function createTranslationView(active: ActiveSession): ModelTree {
  let asked: { expression: string; space: NonNullable<TranslateArguments['space']> } = initial;
  const tree = new ModelTree('undervisor.translation', active, () => translate(active, asked));
  const ask = async (space: typeof asked.space, prompt: string) => {
    const value = asked.space === space ? asked.expression : '';
    const expression = await vscode.window.showInputBox({
      prompt,
      value,
      placeHolder: '0x201000, $rsp, &secret, vcpu->stack + 8',
    });
    if (!expression?.trim()) return;
    asked = { expression: expression.trim(), space };
    tree.refresh();
    await vscode.commands.executeCommand('undervisor.translation.focus');
  };
  tree.own(
    vscode.commands.registerCommand('undervisor.translate', () =>
      ask('linear', 'Linear address or expression, in the selected frame'),
    ),
    vscode.commands.registerCommand('undervisor.translateGuestPhysical', () =>
      ask('guest-physical', 'Guest-physical address or expression, in the selected frame'),
    ),
  );
  return tree;
}

async function translate(
  active: ActiveSession,
  { expression, space }: { expression: string; space: NonNullable<TranslateArguments['space']> },
): Promise<readonly TreeNode[]> {
  // Rejects while the machine runs: the view is empty then.
  const frameId = await active.frameId();
  try {
    const address = literalAddress(expression) ?? (await evaluate(active, expression, frameId));
    if (!address) return [failureNode(`${expression} is not an address`)];
    return translationNodes(expression, await active.request('undervisor/translate', { address, frameId, space }));
  } catch (error) {
    return [failureNode(error instanceof Error ? error.message : String(error))];
  }
}

async function evaluate(active: ActiveSession, expression: string, frameId: number): Promise<string | undefined> {
  return addressOf(await active.send<Evaluation>('evaluate', { expression, frameId, context: 'watch' }));
}
