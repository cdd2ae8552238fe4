import assert from 'node:assert/strict';
import * as vscode from 'vscode';

const extension = () => {
  const found = vscode.extensions.getExtension('undervisor.undervisor');
  assert.ok(found, 'the extension is not installed');
  return found;
};

describe('activation', () => {
  it('happens in a folder with an undervisor.json', async () => {
    await extension().activate();
    assert.ok((await vscode.commands.getCommands(true)).includes('undervisor.continueToExit'));
  });
});
