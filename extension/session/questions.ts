import * as vscode from 'vscode';
import type { LastWriteArguments, QuestionAnswer } from '../../debug-adapter/protocol/requests';
import type { TreeNode } from '../views/model/node';
import { debugType, type ActiveSession } from './active-session';

/** What VS Code gives to a command in the context menu of a variable */
interface VariableContext {
  readonly container?: { readonly variablesReference?: number };
  readonly variable?: { readonly name: string };
}

/** "Who Last Wrote This?" on variables, VMCS fields and table entries, and questions that are typed. */
export function registerQuestionCommands(active: ActiveSession): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.commands.registerCommand('undervisor.whoWroteVariable', (context?: VariableContext) => {
      const variablesReference = context?.container?.variablesReference;
      const name = context?.variable?.name;
      if (variablesReference === undefined || name === undefined) return undefined;
      return ask(active, `Who last wrote ${name}?`, () => lastWrite(active, { name, variablesReference }));
    }),
    vscode.commands.registerCommand('undervisor.whoWroteEntry', (node?: TreeNode) => {
      const { who } = node ?? {};
      if (!who) return undefined;
      return ask(active, `Who last wrote this ${node?.label}?`, () =>
        lastWrite(active, { name: who.address, asAddress: true, bytes: who.bytes }),
      );
    }),
    vscode.commands.registerCommand('undervisor.whoWrote', async () => {
      const name = await vscode.window.showInputBox({
        prompt: 'Who last wrote what? An expression or a register',
        placeHolder: 'timer_ticks, $rax, vm->pages[3]',
      });
      if (name?.trim()) await ask(active, `Who last wrote ${name}?`, () => lastWrite(active, { name, ...frame() }));
    }),
    vscode.commands.registerCommand('undervisor.lastTrue', async () => {
      const condition = await vscode.window.showInputBox({
        prompt: 'When was which condition last true?',
        placeHolder: 'timer_ticks > 3',
      });
      if (!condition?.trim()) return;
      await ask(active, `When was ${condition} last true?`, () =>
        active.request('undervisor/lastTrue', { condition, ...frame() }),
      );
    }),
  );
}

const lastWrite = (active: ActiveSession, args: LastWriteArguments): Promise<QuestionAnswer> =>
  active.request('undervisor/lastWrite', args);

/** The frame that is selected, when it is one of ours */
function frame(): { frameId?: number } {
  const item = vscode.debug.activeStackItem;
  return item instanceof vscode.DebugStackFrame && item.session.type === debugType ? { frameId: item.frameId } : {};
}

/** The adapter shows progress and takes the cancel; the answer leads to its moment. */
async function ask(active: ActiveSession, question: string, request: () => Promise<QuestionAnswer>): Promise<void> {
  try {
    const { text, moment } = await request();
    const actions = moment === undefined ? [] : ['Go There'];
    const pressed = await vscode.window.showInformationMessage(`${question} ${text}`, ...actions);
    if (pressed === 'Go There' && moment !== undefined) await active.request('undervisor/goTo', { moment });
  } catch (error) {
    void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
  }
}
