import * as vscode from 'vscode';
import type { TreeNode } from '../views/model/node';
import type { ActiveSession } from './active-session';
import { bookmarkChoice, GO_TO_PROMPT, parseGoTo } from './time-text';

/** Commands that move in time, and bookmarks. */
export function registerTimeCommands(active: ActiveSession): vscode.Disposable {
  const register = <Arguments extends unknown[]>(
    command: string,
    action: (...args: Arguments) => Promise<unknown>,
  ): vscode.Disposable =>
    vscode.commands.registerCommand(`undervisor.${command}`, async (...args: Arguments) => {
      try {
        await action(...args);
      } catch (error) {
        void vscode.window.showErrorMessage(error instanceof Error ? error.message : String(error));
      }
    });
  const back = (request: 'backToExit' | 'backToEntry' | 'stepBackInto' | 'stepBackOut') =>
    register(request, async () => active.request(`undervisor/${request}`, { threadId: await active.threadId() }));
  return vscode.Disposable.from(
    back('backToExit'),
    back('backToEntry'),
    back('stepBackInto'),
    back('stepBackOut'),
    register('goTo', () => goTo(active)),
    register('goToRow', async ({ goTo: where }: TreeNode) => where && active.request('undervisor/goTo', where)),
    register('setBookmark', () => setBookmark(active)),
    register('goToBookmark', async () => {
      const bookmark = await pickBookmark(active, 'Go to Bookmark');
      if (bookmark) await active.request('undervisor/goTo', { bookmark });
    }),
    register('removeBookmark', async () => {
      const name = await pickBookmark(active, 'Remove Bookmark');
      if (name) await active.request('undervisor/removeBookmark', { name });
    }),
  );
}

async function goTo(active: ActiveSession): Promise<void> {
  const typed = await vscode.window.showInputBox({
    title: 'Go to Instruction or Moment',
    prompt: GO_TO_PROMPT,
    value: active.time ? `m${active.time.moment}` : '',
    validateInput: (text) => (parseGoTo(text) ? undefined : GO_TO_PROMPT),
  });
  const where = typed === undefined ? undefined : parseGoTo(typed);
  if (where) await active.request('undervisor/goTo', where);
}

async function setBookmark(active: ActiveSession): Promise<void> {
  const typed = await vscode.window.showInputBox({ title: 'Set Bookmark', prompt: 'A name for this moment, or none' });
  if (typed === undefined) return;
  const name = typed.trim();
  const set = await active.request('undervisor/setBookmark', name === '' ? {} : { name });
  vscode.window.setStatusBarMessage(`Bookmark "${set.name}" set`, 3000);
}

async function pickBookmark(active: ActiveSession, title: string): Promise<string | undefined> {
  const { bookmarks } = await active.request('undervisor/bookmarks', {});
  if (bookmarks.length === 0) throw new Error('No bookmark is set. "Set Bookmark..." marks the present moment.');
  const picked = await vscode.window.showQuickPick(bookmarks.map(bookmarkChoice), { title, matchOnDescription: true });
  return picked?.label;
}
