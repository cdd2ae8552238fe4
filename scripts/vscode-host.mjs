// A VS Code server on the loopback interface, and a headless Chromium as its window.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findChromium } from './oracles.mjs';

const quietSettings = {
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'workbench.enableExperiments': false,
  'workbench.tips.enabled': false,
  'workbench.settings.enableNaturalLanguageSearch': false,
  'security.workspace.trust.enabled': false,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'update.mode': 'none',
  'git.enabled': false,
  'json.schemaDownload.enable': false,
  'npm.fetchOnlinePackageInfo': false,
  'typescript.disableAutomaticTypeAcquisition': true,
  'files.simpleDialog.enable': true,
  'chat.commandCenter.enabled': false,
};

/** The environment without what an enclosing VS Code put there, and with the extension gallery unreachable. */
function serverEnvironment(scratch) {
  const env = { ...process.env };
  for (const key of Object.keys(env)) if (/^(VSCODE_|CODE_SERVER_|ELECTRON_)/.test(key)) delete env[key];
  return { ...env, EXTENSIONS_GALLERY: '{}', TMPDIR: scratch, XDG_RUNTIME_DIR: scratch };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function groupAlive(pid) {
  try {
    process.kill(-pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends the server and what it started (extension host, adapters) and waits until all of it is gone. */
async function stopGroup(child) {
  const signal = (name) => groupAlive(child.pid) && process.kill(-child.pid, name);
  signal('SIGTERM');
  for (let waited = 0; groupAlive(child.pid); waited += 25) {
    if (waited === 5000) signal('SIGKILL');
    await sleep(25);
  }
}

function whenListening(child, log) {
  let output = '';
  return new Promise((resolve, reject) => {
    const read = (data) => {
      log?.write(data);
      output += data;
      const match = /Extension host agent listening on (\d+)/.exec(output);
      if (match) resolve(Number(match[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('exit', (code) => reject(new Error(`The VS Code server ended (${code}):\n${output.slice(-3000)}`)));
    setTimeout(
      () => reject(new Error(`The VS Code server did not start in 60 s:\n${output.slice(-3000)}`)),
      60_000,
    ).unref();
  });
}

/**
 * Starts the server in `dir`. `port` 0 takes a free one. `smokeTest` exposes the workbench's test driver (tests need
 * it, but it hides notifications). Settings, state and extensions live in a folder that `stop()` removes.
 */
export async function startServer({ dir, port = 0, smokeTest = false, settings = {}, logFile }) {
  const data = mkdtempSync(path.join(tmpdir(), 'uv-'));
  const scratch = path.join(data, 'tmp');
  for (const folder of ['data/User', 'data/Machine', 'extensions', 'tmp'])
    mkdirSync(path.join(data, folder), { recursive: true });
  for (const level of ['User', 'Machine']) {
    writeFileSync(
      path.join(data, 'data', level, 'settings.json'),
      JSON.stringify({ ...quietSettings, ...settings }, null, 1),
    );
  }
  const options = {
    host: '127.0.0.1',
    port: String(port),
    'server-data-dir': data,
    'extensions-dir': path.join(data, 'extensions'),
    'telemetry-level': 'off',
  };
  const flags = [
    'without-connection-token',
    'accept-server-license-terms',
    'disable-workspace-trust',
    'disable-update-check',
  ];
  if (smokeTest) flags.push('enable-smoke-test-driver');
  const args = [
    path.join(dir, 'out/server-main.js'),
    ...Object.entries(options).flatMap(([k, v]) => [`--${k}`, v]),
    ...flags.map((f) => `--${f}`),
  ];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: serverEnvironment(scratch),
    detached: true,
  });
  const stop = async () => {
    await stopGroup(child);
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  };
  const log = logFile ? createWriteStream(logFile) : undefined;
  try {
    const listening = await whenListening(child, log);
    return { authority: `127.0.0.1:${listening}`, origin: `http://127.0.0.1:${listening}`, child, data, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Opens a page that can reach nothing but the loopback interface: the product must not need the network. */
export async function openBrowser({ width = 1280, height = 800 } = {}) {
  const { chromium } = await import('playwright-core');
  const args = [
    '--disable-gpu',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
  ];
  // Chromium's sandbox refuses to run as root.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  const browser = await chromium.launch({ executablePath: findChromium(), headless: true, args });
  const context = await browser.newContext({
    viewport: { width, height },
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const external = [];
  const offLoopback = (url) => url.protocol.startsWith('http') && !['127.0.0.1', 'localhost'].includes(url.hostname);
  await context.route(offLoopback, (route) => {
    external.push(route.request().url());
    return route.abort();
  });
  return { browser, page: await context.newPage(), external };
}

/** `payload` is the web workbench's replacement for command line options, as [name, value] pairs. */
export function workbenchUrl({ origin }, { folder, payload = [] }) {
  const query = new URLSearchParams();
  if (folder) query.set('folder', path.resolve(folder));
  if (payload.length > 0) query.set('payload', JSON.stringify(payload));
  return `${origin}/?${query}`;
}

/** A path of this machine as the workbench in the browser addresses it. */
export const remoteUri = ({ authority }, file) => `vscode-remote://${authority}${path.resolve(file)}`;
