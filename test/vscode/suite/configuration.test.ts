import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { Debuggee } from './debuggee';

const sample = () => vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? '';

describe('configurations', () => {
  let folder: string;
  let debuggee: Debuggee | undefined;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'undervisor-test-'));
    copyFileSync(path.join(sample(), 'build/vmm.elf'), path.join(folder, 'made.elf'));
  });
  afterEach(async () => {
    await debuggee?.end();
    debuggee = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  const describeStack = (description: object) =>
    writeFileSync(path.join(folder, 'undervisor.json'), JSON.stringify(description));
  const start = (attributes: object) =>
    vscode.debug.startDebugging(vscode.workspace.workspaceFolders?.[0], {
      type: 'undervisor',
      request: 'launch',
      name: 'test',
      ...attributes,
    });

  it('builds a missing image by the command of undervisor.json, then starts', async () => {
    describeStack({ program: 'kernel.elf', build: "node -e \"fs.copyFileSync('made.elf', 'kernel.elf')\"" });
    debuggee = await Debuggee.launch({ program: folder, stopOnEntry: true });
    assert.ok(existsSync(path.join(folder, 'kernel.elf')));
    assert.equal((await debuggee.stopped()).reason, 'entry');
  });

  it('does not start when the build fails, or leaves an image missing', async () => {
    for (const build of ['node -e "process.exit(3)"', 'node -e 0']) {
      describeStack({ program: 'kernel.elf', build });
      assert.equal(await start({ program: folder }), false);
      assert.equal(vscode.debug.activeDebugSession, undefined);
    }
  });

  it('does not build what is there', async () => {
    describeStack({ program: 'made.elf', build: "node -e \"fs.writeFileSync('built', '')\"" });
    debuggee = await Debuggee.launch({ program: folder, stopOnEntry: true });
    await debuggee.stopped();
    assert.ok(!existsSync(path.join(folder, 'built')));
  });

  it('takes paths relative to the workspace folder', async () => {
    debuggee = await Debuggee.launch({
      program: 'build/vmm.elf',
      modules: [{ file: 'build/guest.elf', layer: 'guest' }],
      stopOnEntry: 'vmm_main',
    });
    await debuggee.stopped();
    assert.equal((await debuggee.stack())[0]?.name, 'vmm!vmm_main');
  });

  it('runs the adapter inside the extension host when the setting says so', async () => {
    const settings = vscode.workspace.getConfiguration('undervisor.adapter');
    await settings.update('mode', 'inline', vscode.ConfigurationTarget.Global);
    try {
      debuggee = await Debuggee.launch({ stopOnEntry: 'vmm_main' });
      await debuggee.stopped();
      assert.equal((await debuggee.stack())[0]?.name, 'vmm!vmm_main');
    } finally {
      await settings.update('mode', undefined, vscode.ConfigurationTarget.Global);
    }
  });
});
