#!/usr/bin/env node
// Stands in for the desktop `code` executable that @vscode/test-electron starts: same arguments, same exit code, but
// the tests run in the extension host of a VS Code server, with a headless Chromium as the window.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { format } from 'node:util';
import { openBrowser, remoteUri, startServer, workbenchUrl } from './vscode-host.mjs';
import { installVsCode } from './vscode-install.mjs';

const timeout = Number(process.env.UNDERVISOR_VSCODE_TIMEOUT ?? 600_000);
/** Lines of VS Code's own that tell nothing about the tests. */
const noise = /^(Resolv|Creating a socket|Ignoring fetching|Updating additional|ChatSessionStore|\[Service Worker)/;

function parseArguments(args) {
  const parsed = { extensions: [] };
  for (const argument of args) {
    const [, name, value] = /^--(extensionDevelopmentPath|extensionTestsPath)=(.*)$/.exec(argument) ?? [];
    if (name === 'extensionDevelopmentPath') parsed.extensions.push(path.resolve(value));
    else if (name === 'extensionTestsPath') parsed.tests = path.resolve(value);
    else if (!argument.startsWith('-')) parsed.folder ??= path.resolve(argument);
  }
  return parsed;
}

const { extensions, tests, folder } = parseArguments(process.argv.slice(2));
if (extensions.length === 0 || !tests) {
  console.error('usage: vscode-code.mjs --extensionDevelopmentPath=DIR --extensionTestsPath=FILE [FOLDER]');
  process.exit(2);
}

const logs = process.env.UNDERVISOR_ARTIFACTS;
if (logs) mkdirSync(logs, { recursive: true });
const { dir } = installVsCode();
const server = await startServer({
  dir,
  smokeTest: true,
  ...(logs && { logFile: path.join(logs, 'vscode-server.log') }),
});
const { browser, page } = await openBrowser();

let finish;
const finished = new Promise((resolve) => (finish = resolve));
await page.exposeFunction('codeAutomationLog', (_type, args) => {
  const text = format(...args);
  if (!noise.test(text)) console.log(text);
});
await page.exposeFunction('codeAutomationExit', (code) => finish({ code }));
page.on('crash', () => finish({ code: 101, why: 'the page crashed' }));
page.on('close', () => finish({ code: 102, why: 'the page closed' }));
server.child.once('exit', (code, signal) => finish({ code: 103, why: `the VS Code server ended (${code ?? signal})` }));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => finish({ code: 130, why: signal }));
setTimeout(() => finish({ code: 104, why: `the tests did not end in ${timeout / 1000} s` }), timeout).unref();

const payload = extensions.map((extension) => ['extensionDevelopmentPath', remoteUri(server, extension)]);
payload.push(['extensionTestsPath', remoteUri(server, tests)], ['skipWelcome', 'true']);
await page.goto(workbenchUrl(server, { folder, payload }));

const { code, why } = await finished;
if (why) console.error(`vscode-code: ${why}`);
if (code !== 0 && logs) await page.screenshot({ path: path.join(logs, 'vscode-suite-failure.png') }).catch(() => {});
await browser.close().catch(() => {});
await server.stop();
process.exit(code);
