// The programs that the tests need beside npm's packages. On Debian, as root, missing ones are installed; elsewhere
// the error says which are missing and how to get them.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Debian package -> what shows that it is there: executables (any one of them) or files. */
const evidence = {
  chromium: { commands: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'] },
  bochs: { commands: ['bochs'] },
  // Debian's bochs is content with another BIOS; its configuration in the tests names these two.
  bochsbios: { files: ['/usr/share/bochs/BIOS-bochs-latest'] },
  vgabios: { files: ['/usr/share/bochs/VGABIOS-lgpl-latest'] },
  'qemu-system-x86': { commands: ['qemu-system-x86_64'] },
  'grub-pc-bin': { files: ['/usr/lib/grub/i386-pc/boot.img'] },
  'grub-common': { commands: ['grub-mkrescue'] },
  xorriso: { commands: ['xorriso'] },
  mtools: { commands: ['mformat'] },
  gdb: { commands: ['gdb'] },
  binutils: { commands: ['objdump'] },
  'acpica-tools': { commands: ['iasl'] },
  swtpm: { commands: ['swtpm'] },
  'tpm2-tools': { commands: ['tpm2_startup'] },
};

export function which(command) {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, command);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** Chromium's executable, or the one that CHROMIUM_PATH names; undefined when there is none. */
export function findChromium() {
  return process.env.CHROMIUM_PATH || evidence.chromium.commands.map(which).find(Boolean);
}

function present(name) {
  if (name === 'chromium') return findChromium() !== undefined;
  const { commands = [], files = [] } = evidence[name] ?? { commands: [name] };
  return commands.some(which) || files.some((file) => existsSync(file));
}

const canInstall = () =>
  process.getuid?.() === 0 && existsSync('/etc/debian_version') && which('apt-get') !== undefined;

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const result = spawnSync('apt-get', ['-qq', '-o', 'Dpkg::Use-Pty=0', ...args], {
    env,
    encoding: 'utf8',
    timeout: 900_000,
  });
  if (result.status !== 0)
    throw new Error(`apt-get ${args.join(' ')} ended with ${result.status ?? result.signal}\n${result.stderr}`);
}

/** Makes sure that the named Debian packages' programs are there; throws a message for people when they cannot be. */
export function ensure(names, log = console.error) {
  let missing = names.filter((name) => !present(name));
  if (missing.length === 0) return;
  if (canInstall()) {
    log(`Installing ${missing.join(', ')} from Debian`);
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', ...missing);
    missing = missing.filter((name) => !present(name));
  }
  if (missing.length > 0) {
    throw new Error(
      `Missing: ${missing.join(', ')}. On Debian or Ubuntu: sudo apt-get install ${missing.join(' ')}. ` +
        'Elsewhere install the programs of the same names and put them on PATH (for Chromium, CHROMIUM_PATH may name the executable).',
    );
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) ensure(process.argv.slice(2));
