// npm start: builds everything and starts the debugger on samples/cloudvisor, in the VS Code of this machine or else in
// the browser. `npm start -- --headless` runs the sample on the command line instead and ends with its exit code.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { which } from './oracles.mjs';

const root = path.resolve(import.meta.dirname, '..');
const sample = path.join(root, 'samples/cloudvisor');
const args = process.argv.slice(2);

function run(command, ...given) {
  const { status, error } = spawnSync(command, given, { cwd: root, stdio: 'inherit' });
  if (error) console.error(error.message);
  return status ?? 1;
}

function build() {
  for (const script of ['build.mjs', 'samples.mjs']) {
    const status = run(process.execPath, path.join(root, 'scripts', script));
    if (status !== 0) process.exit(status);
  }
}

async function serveToBrowser(port) {
  const { installVsCode } = await import('./vscode-install.mjs');
  const { remoteUri, startServer, workbenchUrl } = await import('./vscode-host.mjs');
  const server = await startServer({ dir: installVsCode().dir, port });
  const payload = [
    ['extensionDevelopmentPath', remoteUri(server, root)],
    ['skipWelcome', 'true'],
  ];
  console.log(
    `\nOpen this address in a browser and press F5 there:\n\n  ${workbenchUrl(server, { folder: sample, payload })}\n\nCtrl+C ends it.`,
  );
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => void server.stop().then(() => process.exit(0)));
}

function portOf(given) {
  const at = given.indexOf('--port');
  return at < 0 ? 0 : Number(given[at + 1]);
}

build();
const code = process.env.UNDERVISOR_VSCODE || which('code');
if (args.includes('--headless')) {
  const rest = args.filter((argument) => argument !== '--headless');
  process.exitCode = run(process.execPath, path.join(root, 'dist/cli.js'), 'run', sample, ...rest);
} else if (code) {
  console.log(`Opening ${code}. Press F5 there.`);
  process.exitCode = run(code, '--new-window', `--extensionDevelopmentPath=${root}`, sample);
} else {
  await serveToBrowser(portOf(args));
}
