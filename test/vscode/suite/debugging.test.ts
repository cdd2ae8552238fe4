import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { Debuggee, until, viewRows } from './debuggee';

const labels = (rows: readonly { label: string }[]) => rows.map(({ label }) => label);
const names = (stack: readonly { name: string }[]) => stack.map(({ name }) => name).join(', ');

describe('debugging samples/cloudvisor', () => {
  let debuggee: Debuggee;
  before(async () => {
    debuggee = await Debuggee.launch({ stopOnEntry: true });
  });
  after(() => debuggee.end());

  it('starts without a program in the configuration and stops at the first instruction of the VMM', async () => {
    assert.equal((await debuggee.stopped()).reason, 'entry');
    assert.match((await debuggee.stack())[0]?.name ?? '', /^vmm!/);
  });

  it('stops at an EPT violation by its exception filter, in the monitor, above the guest and the VMM', async () => {
    await debuggee.stopAt('VM exit: EPT violation');
    const stop = await debuggee.run('workbench.action.debug.continue');
    assert.equal(stop.reason, 'exception');
    assert.match(stop.description ?? '', /EPT violation/);
    const stack = await debuggee.stack();
    assert.match(stack[0]?.name ?? '', /^monitor!/);
    for (const layer of ['monitor', 'vmm', 'guest']) {
      assert.ok(
        stack.some(({ name }) => name.startsWith(`${layer}!`)),
        `no frame of ${layer} in ${names(stack)}`,
      );
    }
    const border = stack.find(({ presentationHint }) => presentationHint === 'label');
    assert.match(border?.name ?? '', /^VM exit: EPT violation \(48\) at /);
  });

  it('fills the three views', async () => {
    const exits = await viewRows('exits');
    assert.match(exits[0]?.label ?? '', /EPT violation/);
    const translation = labels(await viewRows('translation'));
    assert.match(translation[0] ?? '', /^Linear 0x/);
    assert.match(translation.at(-1) ?? '', /^Host-physical 0x/);
    const pages = await viewRows('pages');
    assert.ok(pages.length > 0);
    for (const page of pages) assert.ok((await page.children?.())?.length, `${page.label} has no decision`);
  });

  it('counts one more exit after "Continue to Next VM Exit"', async () => {
    await debuggee.stopAt();
    const before = Number.parseInt((await viewRows('exits'))[0]?.label ?? '', 10);
    await debuggee.run('undervisor.continueToExit');
    assert.equal(Number.parseInt((await viewRows('exits'))[0]?.label ?? '', 10), before + 1);
    assert.equal(await debuggee.runningLayer(), 'monitor');
  });

  it('steps from the guest into the monitor, on to the VMM, and back to the guest', async () => {
    // A function of the guest that executes CPUID, which always exits.
    const breakpoint = new vscode.FunctionBreakpoint('guest!report_processor');
    vscode.debug.addBreakpoints([breakpoint]);
    await debuggee.run('workbench.action.debug.continue');
    vscode.debug.removeBreakpoints([breakpoint]);
    assert.equal((await debuggee.stack())[0]?.name, 'guest!report_processor');
    const path = [await debuggee.runningLayer()];
    for (let steps = 0; steps < 10 && path.at(-1) === 'guest'; steps++) {
      await debuggee.run('workbench.action.debug.stepInto');
      path.push(await debuggee.runningLayer());
    }
    path.splice(0, path.length - 2);
    for (let borders = 0; borders < 40 && path.at(-1) !== 'guest'; borders++) {
      await debuggee.run(path.at(-1) === 'monitor' ? 'undervisor.continueToEntry' : 'undervisor.continueToExit');
      path.push(await debuggee.runningLayer());
    }
    assert.deepEqual(path.slice(0, 3), ['guest', 'monitor', 'vmm']);
    assert.deepEqual(path.slice(-2), ['monitor', 'guest']);
  });

  it('steps by line within a layer', async () => {
    const before = (await debuggee.stack())[0];
    const stop = await debuggee.run('workbench.action.debug.stepOver');
    assert.equal(stop.reason, 'step');
    const after = (await debuggee.stack())[0];
    assert.notDeepEqual([after?.name, after?.line], [before?.name, before?.line]);
    assert.ok(after?.source?.path, 'no source');
    // VS Code makes a URI of the path on its way here.
    const document = await vscode.workspace.openTextDocument(vscode.Uri.parse(after.source.path));
    assert.ok(document.lineCount >= after.line);
  });

  it('goes back, shows variables there, and comes forward again', async () => {
    const line = async () => {
      const [top] = await debuggee.stack();
      return `${top?.name}:${top?.line}`;
    };
    const local = async () => {
      const [top] = await debuggee.stack();
      const { scopes } = (await debuggee.session.customRequest('scopes', { frameId: top?.id })) as {
        scopes: { name: string; variablesReference: number }[];
      };
      const { variablesReference } = scopes.find(({ name }) => name === 'Registers') ?? {};
      const { variables } = (await debuggee.session.customRequest('variables', { variablesReference })) as {
        variables: { name: string; value: string }[];
      };
      return variables.map(({ name, value }) => `${name}=${value}`).join(' ');
    };
    const before = [await line(), await local()];
    await debuggee.run('workbench.action.debug.stepOver');
    const after = [await line(), await local()];
    assert.notDeepEqual(after, before);
    assert.equal((await debuggee.run('workbench.action.debug.stepBack')).reason, 'step');
    assert.deepEqual([await line(), await local()], before);
    await debuggee.run('workbench.action.debug.stepOver');
    assert.deepEqual([await line(), await local()], after);
    // Back to an exit, by its row in the view, and to the end of what has run.
    const exits = await viewRows('exits');
    const row = exits[1];
    assert.ok(row?.goTo);
    const stop = async (go: () => Thenable<unknown>) => {
      await go();
      return debuggee.stopped();
    };
    assert.equal((await stop(() => vscode.commands.executeCommand('undervisor.goToRow', row))).reason, 'goto');
    assert.equal(await debuggee.runningLayer(), 'monitor');
    await until('rows that are ahead', async () =>
      (await viewRows('exits'))[0]?.description?.startsWith('ahead') ? true : undefined,
    );
    assert.equal((await debuggee.run('undervisor.backToExit')).description, 'VM exit');
    assert.equal((await debuggee.run('workbench.action.debug.reverseContinue')).description, 'Start of history');
    await debuggee.session.customRequest('undervisor/setBookmark', { name: 'power-on' });
  });

  it('begins again on restart, the views with it', async () => {
    assert.equal((await debuggee.run('workbench.action.debug.restart')).reason, 'entry');
    await until('empty views', async () => {
      const rows = [...(await viewRows('exits')), ...(await viewRows('pages'))];
      return rows.length === 0 ? true : undefined;
    });
    await debuggee.run('undervisor.continueToExit');
    assert.match((await viewRows('exits'))[0]?.label ?? '', /^1 /);
  });
});
