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

const ownViews = ['VM Exits', 'Address Translation', 'Pages'];

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

  /** Scrolls a pane's list from its top until a row with the text is there; waits for one that is still to come. */
  async find(name, text) {
    const row = this.rows(name).filter({ hasText: text }).first();
    await this.pane(name).locator('.monaco-list').first().hover();
    await this.page.mouse.wheel(0, -100_000);
    for (let turn = 1; turn <= 200 && !(await row.isVisible()); turn++) {
      await this.page.waitForTimeout(50);
      await this.page.mouse.wheel(0, turn % 50 === 0 ? -100_000 : 80);
    }
    await row.waitFor();
    // A row that the list's edge cuts would move away under the mouse.
    const list = await this.pane(name).locator('.monaco-list').first().boundingBox();
    const box = await row.boundingBox();
    if (list && box && box.y + box.height > list.y + list.height) {
      await this.page.mouse.wheel(0, 60);
      await this.page.waitForTimeout(300);
    }
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

  /** The newest row of VM Exits; rows lie in the document in any order. */
  get newestRow() {
    return this.pane('VM Exits').locator('.monaco-list-row[data-index="0"]');
  }

  async newestExit() {
    return Number.parseInt(await this.newestRow.innerText(), 10);
  }

  /** Waits for the stop at a later exit than number `n`, until the call stack too is that of the newest exit. */
  async afterExit(n) {
    const stopped = ([pane, before]) => {
      const newest = pane.querySelector('.monaco-list-row[data-index="0"]')?.innerText ?? '';
      const [, symbol = ''] = newest.split('\u00b7');
      const stack = [...document.querySelectorAll('.debug-call-stack .monaco-list-row')].map((row) => row.innerText);
      const border = stack.find((text) => text.startsWith('VM exit:'));
      return Number.parseInt(newest, 10) > before && border?.includes(` ${symbol.trim()}`);
    };
    await this.page.waitForFunction(stopped, [await this.pane('VM Exits').elementHandle(), n]);
    await this.stopped();
  }

  /** Drags the border at one place of the window to another. */
  async drag(from, to) {
    await this.page.mouse.move(from.x, from.y);
    await this.page.mouse.down();
    await this.page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 5 });
    await this.page.mouse.move(to.x, to.y, { steps: 5 });
    await this.page.mouse.up();
  }

  /** Opens just these panes of the side bar and gives the first of them the height `first`. */
  async layout(panes, first) {
    for (const name of ['Variables', 'Watch', 'Loaded Scripts', 'Call Stack', 'Breakpoints', ...ownViews]) {
      if (!panes.includes(name) && (await this.pane(name).count())) await this.close(name);
    }
    for (const name of panes) await this.open(name);
    // Panes slide to their places.
    await this.page.waitForTimeout(500);
    const top = await this.pane(panes[0]).boundingBox();
    const border = { x: top.x + 100, y: top.y + top.height };
    await this.drag(border, { x: border.x, y: top.y + first });
  }

  async shot(name) {
    // A tooltip under the mouse would cover what the picture is about.
    await this.page.mouse.move(1000, 900);
    // Lets hovers, progress bars and the views' refresh settle: a picture is for people.
    await this.page.waitForTimeout(1200);
    await this.page.screenshot({ path: path.join(this.shots, `${name}.png`) });
  }
}

const stations = [
  {
    title: 'F5 without a launch.json starts the stack and stops at its first VM exit',
    async run({ bench, page }) {
      await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'undervisor.json' }).waitFor();
      await page.locator('.activitybar a.action-label[aria-label^="Run and Debug"]').click();
      // The extension is there once it offers the folder's stack.
      await page.locator('.welcome-view-content', { hasText: 'Debug Hypervisor Stack' }).waitFor();
      await page.keyboard.press('F5');
      await bench.stopped();
      await bench.callStack.filter({ hasText: 'VM exit: ' }).first().waitFor();
      await bench.shot('1-first-exit');
    },
  },
  {
    title: 'an exception filter stops at the EPT violation, with the stack of all three layers',
    async run({ bench, page }) {
      const sideBar = await page.locator('.part.sidebar').boundingBox();
      const border = { x: sideBar.x + sideBar.width, y: sideBar.y + sideBar.height / 2 };
      await bench.drag(border, { ...border, x: 520 });
      await bench.layout(['Call Stack', 'Breakpoints'], 150);
      const row = await bench.find('Breakpoints', 'VM exit: EPT violation');
      await row.locator('input[type=checkbox]').check();
      await bench.layout(['Call Stack', 'VM Exits', 'Pages'], 480);
      await page.keyboard.press('F5');
      await bench.callStack.filter({ hasText: 'VM exit: EPT violation' }).first().waitFor();
      const stack = (await bench.stack()).join('\n');
      for (const layer of ['monitor!', 'vmm!', 'guest!'])
        assert.ok(stack.includes(layer), `no frame of ${layer} in\n${stack}`);
    },
  },
  {
    title: 'the guest reads a page that the monitor has sealed: the stack says who, Pages says why',
    async run({ bench, page }) {
      const reader = bench.callStack.filter({ hasText: 'guest!secret_digest' });
      for (let stops = 0; stops < 60 && !(await reader.count()); stops++) {
        const newest = await bench.newestExit();
        await page.keyboard.press('F5');
        await bench.afterExit(newest);
      }
      await reader.click();
      await page.locator('.editor-group-container .tab.active', { hasText: 'secret.c' }).waitFor();
      await bench.rows('Pages').filter({ hasText: 'encrypted' }).first().waitFor();
      await bench.shot('2-three-layers');
    },
  },
  {
    title: 'a row of VM Exits opens into its details, a page into its decisions',
    async run({ bench }) {
      await bench.layout(['VM Exits', 'Pages'], 400);
      await bench.newestRow.locator('.monaco-tl-twistie').click();
      await bench.rows('VM Exits').filter({ hasText: 'Qualification' }).waitFor();
      const sealed = bench.rows('Pages').filter({ hasText: 'encrypted' }).first();
      await sealed.click();
      await bench.rows('Pages').filter({ hasText: 'new owner' }).first().waitFor();
      await bench.shot('3-details');
    },
  },
  {
    title: 'the selected frame of the guest is translated through both table levels',
    async run({ bench }) {
      await bench.layout(['Call Stack', 'Address Translation'], 450);
      await bench.find('Address Translation', 'in guest');
      for (const text of ['PTE', 'Guest-physical 0x', 'EPT', 'Host-physical 0x']) {
        await bench.find('Address Translation', text);
      }
      await bench.shot('4-guest-translation');
    },
  },
  {
    title: 'an address that is asked for shows the entry at which its translation ends',
    async run({ bench, page }) {
      await bench.pane('Address Translation').locator('.pane-header').hover();
      await bench.pane('Address Translation').locator('a.action-label[aria-label^="Translate Address"]').click();
      const input = page.locator('.quick-input-widget input[type=text]');
      await input.fill('&secret_pages');
      await page.keyboard.press('Enter');
      await bench.find('Address Translation', '&secret_pages in guest');
      await bench.find('Address Translation', 'not present');
      await bench.shot('5-failed-translation');
    },
  },
  {
    title: 'the toolbar continues to the next VM exit',
    async run({ bench }) {
      await bench.layout(['Call Stack', 'VM Exits', 'Pages'], 480);
      const before = await bench.newestExit();
      await bench.toolbar.locator('a.action-label[aria-label^="Continue to Next VM Exit"]').click();
      await bench.afterExit(before);
      assert.equal(await bench.newestExit(), before + 1);
      await bench.shot('6-next-exit');
    },
  },
  {
    title: 'VM Exits is narrowed to a layer and a reason, also after a restart; Enter on a row opens its source',
    async run({ bench, page }) {
      const exits = bench.pane('VM Exits');
      const description = exits.locator('.pane-header .description');
      await bench.command('View: Close All Editors');
      await page.locator('.editor-group-container .tab').first().waitFor({ state: 'detached' });
      await exits.locator('.pane-header').hover();
      await exits.locator('a.action-label[aria-label^="Filter VM Exits"]').click();
      for (const choice of ['guest', 'EPT violation']) {
        await page.locator('.quick-input-list .monaco-list-row', { hasText: choice }).first().click();
      }
      await page.keyboard.press('Enter');
      await description.filter({ hasText: /^EPT violation \u00b7 guest, [\d,]+ of [\d,]+$/ }).waitFor();
      await bench.command('Debug: Focus on VM Exits View');
      await page.keyboard.press('Home');
      await page.keyboard.press('Enter');
      await page.locator('.editor-group-container .tab.active', { hasText: 'secret.c' }).waitFor();
      const rows = (await bench.rows('VM Exits').allInnerTexts()).filter((row) => /^\d/.test(row));
      assert.ok(rows.length > 0 && rows.every((row) => /EPT violation\s*guest/.test(row)), rows.join('\n'));
      await bench.shot('7-filtered-exits');
      const matches = async () => Number.parseInt((await description.innerText()).split(', ').at(-1), 10);
      const before = await matches();
      await page.keyboard.press('Control+Shift+F5');
      await description.filter({ hasText: /^EPT violation \u00b7 guest, [01] of / }).waitFor();
      await bench.stopped();
      assert.ok((await matches()) < before);
      await exits.locator('.pane-header').hover();
      await exits.locator('a.action-label[aria-label^="Clear Filter"]').click();
      await description.filter({ hasText: 'of' }).waitFor({ state: 'detached' });
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
