// Debugs samples/cloudvisor in a real VS Code as a user does, by keys and mouse, and takes a screenshot at each station
// (artifacts/screenshots). What the pages show is asserted here; how they look is for people: look at the pictures.
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { openBrowser, remoteUri, startServer, workbenchUrl } from './vscode-host.mjs';
import { installVsCode } from './vscode-install.mjs';

const root = path.resolve(import.meta.dirname, '..');
const sample = path.join(root, 'samples/cloudvisor');

/** The parts of the workbench that the run uses, named as a user sees them. */
class Workbench {
  constructor(page, shots) {
    this.page = page;
    this.shots = shots;
    this.toolbar = page.locator('.debug-toolbar');
    this.callStack = page.locator('.debug-call-stack .monaco-list-row');
  }

  pane(name) {
    return this.page.locator('.pane', { has: this.page.locator(`.pane-header[aria-label^="${name}"]`) });
  }

  rows(name) {
    return this.pane(name).locator('.monaco-list-row');
  }

  async open(name) {
    const header = this.pane(name).locator('.pane-header').first();
    if ((await header.getAttribute('aria-expanded')) === 'false') await header.click();
  }

  async close(name) {
    const header = this.pane(name).locator('.pane-header').first();
    if ((await header.getAttribute('aria-expanded')) === 'true') await header.click();
  }

  /** Scrolls a pane's list until a row with the text is there. */
  async find(name, text) {
    const row = this.rows(name).filter({ hasText: text }).first();
    await this.pane(name).locator('.monaco-list').first().hover();
    for (let turn = 0; turn < 60 && !(await row.isVisible()); turn++) {
      await this.page.mouse.wheel(0, 80);
      await this.page.waitForTimeout(50);
    }
    await row.waitFor();
    return row;
  }

  async command(title) {
    await this.page.keyboard.press('F1');
    const input = this.page.locator('.quick-input-widget input[type=text]');
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
    await this.page.keyboard.press('Enter');
  }

  async stopped() {
    await this.toolbar.locator('.codicon-debug-continue').waitFor();
    await this.callStack.filter({ hasText: '!' }).first().waitFor();
  }

  async stack() {
    return (await this.callStack.allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));
  }

  async shot(name) {
    // Lets hovers, progress bars and the views' refresh settle: a picture is for people.
    await this.page.waitForTimeout(700);
    await this.page.screenshot({ path: path.join(this.shots, `${name}.png`) });
  }
}

const stations = [
  {
    title: 'F5 without a launch.json starts the stack and stops at its first instruction',
    async run({ bench, page }) {
      await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'undervisor.json' }).waitFor();
      await page.locator('.activitybar a.action-label[aria-label^="Run and Debug"]').click();
      // The extension is there once it offers the folder's stack.
      await page.locator('.welcome-view-content', { hasText: 'Debug Hypervisor Stack' }).waitFor();
      await page.keyboard.press('F5');
      await bench.stopped();
      await bench.shot('1-entry');
    },
  },
  {
    title: 'an exception filter stops at the EPT violation, with the stack of all three layers',
    async run({ bench, page }) {
      for (const pane of ['Watch', 'Loaded Scripts']) if (await bench.pane(pane).count()) await bench.close(pane);
      await bench.open('Breakpoints');
      const row = await bench.find('Breakpoints', 'VM exit: EPT violation');
      await row.locator('input[type=checkbox]').check();
      await page.keyboard.press('F5');
      await bench.callStack.filter({ hasText: 'VM exit: EPT violation' }).first().waitFor();
      const stack = (await bench.stack()).join('\n');
      for (const layer of ['monitor!', 'vmm!', 'guest!'])
        assert.ok(stack.includes(layer), `no frame of ${layer} in\n${stack}`);
      await bench.close('Breakpoints');
    },
  },
  {
    title: 'the three views are filled',
    async run({ bench }) {
      for (const pane of ['VM Exits', 'Address Translation', 'Pages']) await bench.open(pane);
      await bench.rows('VM Exits').filter({ hasText: 'EPT violation' }).first().waitFor();
      await bench.rows('Address Translation').filter({ hasText: 'Linear 0x' }).waitFor();
      await bench.rows('Address Translation').filter({ hasText: 'Host-physical 0x' }).waitFor();
      await bench.rows('Pages').filter({ hasText: '0x' }).first().waitFor();
      await bench.shot('2-three-layers');
    },
  },
  {
    title: 'a row of VM Exits opens into its details',
    async run({ bench }) {
      await bench.rows('VM Exits').first().click();
      await bench.rows('VM Exits').filter({ hasText: 'Reason' }).waitFor();
      await bench.shot('3-exit-details');
    },
  },
  {
    title: 'the toolbar continues to the next VM exit',
    async run({ bench }) {
      const newest = async () => Number.parseInt(await bench.rows('VM Exits').first().innerText(), 10);
      const before = await newest();
      await bench.toolbar.locator('a.action-label[aria-label^="Continue to Next VM Exit"]').click();
      await bench
        .rows('VM Exits')
        .first()
        .filter({ hasText: new RegExp(`^${before + 1} `) })
        .waitFor();
      await bench.stopped();
      assert.equal(await newest(), before + 1);
    },
  },
  {
    title: 'a selected frame of the guest is translated through both table levels',
    async run({ bench }) {
      await bench.callStack.filter({ hasText: 'guest!' }).first().click();
      await bench.rows('Address Translation').filter({ hasText: 'in guest' }).waitFor();
      for (const text of ['PTE', 'Guest-physical 0x', 'EPT', 'Host-physical 0x']) {
        await bench.find('Address Translation', text);
      }
      await bench.shot('4-guest-translation');
    },
  },
  {
    title: 'Shift+F5 ends the session and takes the views away',
    async run({ bench, page }) {
      await page.keyboard.press('Shift+F5');
      await bench.toolbar.waitFor({ state: 'hidden' });
      await bench.pane('VM Exits').waitFor({ state: 'detached' });
    },
  },
];

/** Runs the stations in order and stops at the first that fails. Returns `{ passed, failures }`. */
export async function runUi({ artifacts = path.join(root, 'artifacts'), log = () => {} } = {}) {
  const shots = path.join(artifacts, 'screenshots');
  rmSync(shots, { recursive: true, force: true });
  mkdirSync(shots, { recursive: true });
  const server = await startServer({ dir: installVsCode().dir, logFile: path.join(artifacts, 'vscode-ui-server.log') });
  const { browser, page, external } = await openBrowser({ width: 1440, height: 1000 });
  const bench = new Workbench(page, shots);
  page.setDefaultTimeout(60_000);
  let passed = 0;
  const failures = [];
  try {
    const payload = [
      ['extensionDevelopmentPath', remoteUri(server, root)],
      ['skipWelcome', 'true'],
    ];
    await page.goto(workbenchUrl(server, { folder: sample, payload }));
    for (const { title, run } of stations) {
      try {
        await run({ bench, page });
        passed++;
        log(`ok ${title}`);
      } catch (error) {
        failures.push({ title, message: error.stack ?? String(error) });
        await bench.shot('failure').catch(() => {});
        break;
      }
    }
    if (external.length > 0)
      failures.push({ title: 'nothing but the loopback interface is used', message: external.join('\n') });
  } finally {
    await browser.close();
    await server.stop();
  }
  return { passed, failures };
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { passed, failures } = await runUi({ log: console.log });
  for (const { title, message } of failures) console.log(`not ok ${title}\n${message}`);
  console.log(`${passed} passed, ${failures.length} failed`);
  process.exit(failures.length > 0 ? 1 : 0);
}
