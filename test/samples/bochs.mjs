// Runs an image under Bochs, an independent emulator with VT-x: the second opinion on the samples and on the emulator.
//   node test/samples/bochs.mjs vmm.elf monitor.elf=monitor guest.elf=guest
// Needs Debian's bochs, bochsbios, vgabios, grub-pc-bin, grub-common, xorriso and mtools.
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The last line of a run of the sample: the exit port is not wired in Bochs, so the text tells the end. */
export const MACHINE_ENDS = /machine ends with status (\d+)/;

/** What is missing on this computer to run Bochs, or undefined. */
export function bochsMissing() {
  const absent = ['bochs', 'grub-mkrescue', 'xorriso', 'mformat'].filter(
    (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore', timeout: 10000 }).error,
  );
  const files = ['/usr/share/bochs/BIOS-bochs-latest', '/usr/share/bochs/VGABIOS-lgpl-latest'];
  absent.push(...files.filter((file) => !existsSync(file)));
  return absent.length > 0 ? `not installed: ${absent.join(', ')}` : undefined;
}

/**
 * Boots `program` with `commandLine` by GRUB with `modules` ({ file, name }) until `until` matches the serial output.
 * `disk` is a raw image for the IDE controller's first disk. `onSerial` is called often with all the text so far.
 * @returns serial text, Bochs's own output, and whether `until` was seen before `seconds` had passed
 */
export async function runBochs({
  program,
  modules = [],
  memory = 64,
  until = MACHINE_ENDS,
  seconds = 120,
  cpu = 'corei7_skylake_x',
  commandLine = '',
  disk = undefined,
  onSerial = undefined,
}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'undervisor-bochs-'));
  try {
    makeIso(folder, program, modules, commandLine);
    if (disk) copyFileSync(disk, path.join(folder, 'disk.img'));
    const drives = disk ? drivesWithDisk(statSync(disk).size) : DRIVES;
    writeFileSync(path.join(folder, 'bochsrc'), configuration(memory, cpu, drives));
    writeFileSync(path.join(folder, 'commands'), 'c\n');
    return await supervise(folder, until, seconds, onSerial);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function makeIso(folder, program, modules, commandLine) {
  const boot = path.join(folder, 'iso/boot');
  mkdirSync(path.join(boot, 'grub'), { recursive: true });
  copyFileSync(program, path.join(boot, 'program.elf'));
  const lines = ['set timeout=0', 'terminal_output console', `multiboot2 /boot/program.elf ${commandLine}`];
  modules.forEach(({ file, name }, index) => {
    copyFileSync(file, path.join(boot, `module${index}.elf`));
    lines.push(`module2 /boot/module${index}.elf ${name}`);
  });
  writeFileSync(path.join(boot, 'grub/grub.cfg'), [...lines, 'boot', ''].join('\n'));
  const made = spawnSync('grub-mkrescue', ['-o', 'boot.iso', 'iso'], { cwd: folder, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`grub-mkrescue failed: ${made.error ?? made.stderr}`);
}

const DRIVES = 'ata0-master: type=cdrom, path=boot.iso, status=inserted';

/** The disk is the first one, so the CD-ROM goes to the other cable. */
const drivesWithDisk = (
  bytes,
) => `ata0-master: type=disk, path=disk.img, mode=flat, cylinders=1, heads=2, spt=${bytes / 1024}
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=cdrom, path=boot.iso, status=inserted`;

/** The display is a VNC server that no one connects to; `supervise` gives it a network of its own. */
const configuration = (
  memory,
  cpu,
  drives,
) => `cpu: model=${cpu}, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=0
memory: guest=${memory}, host=${memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
${drives}
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
sound: driver=dummy
speaker: enabled=0
clock: sync=none, time0=utc
display_library: rfb, options="timeout=0"
log: bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
`;

async function supervise(folder, until, seconds, onSerial) {
  const read = (name) => (existsSync(path.join(folder, name)) ? readFileSync(path.join(folder, name), 'latin1') : '');
  const bochs = ['bochs', '-q', '-f', 'bochsrc', '-rc', 'commands'];
  const isolated = spawnSync('unshare', ['-rn', 'true']).status === 0;
  const [command, ...args] = isolated ? ['unshare', '-rn', ...bochs] : bochs;
  const child = spawn(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'ignore'] });
  // Bochs runs for ever: it must not outlive whoever started it.
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  let running = true;
  const ended = new Promise((resolve) => {
    child.on('close', resolve);
    child.on('error', resolve);
  });
  void ended.then(() => (running = false));
  // Whoever measures times by the text wants to know of it soon.
  const pause = onSerial ? 2 : 100;
  for (let waited = 0; running && waited < (seconds * 1000) / pause; waited++) {
    const text = read('serial.txt');
    onSerial?.(text);
    if (until.test(text)) break;
    await delay(pause);
  }
  process.off('exit', end);
  end();
  await ended;
  const serial = read('serial.txt');
  return { serial, log: read('bochs.log'), finished: until.test(serial) };
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [program, ...rest] = process.argv.slice(2);
  const modules = rest.map((word) => {
    const [file, name] = word.split('=');
    return { file, name: name ?? path.basename(file, '.elf') };
  });
  const missing = bochsMissing();
  if (missing || !program) {
    process.stderr.write(`${missing ?? 'usage: bochs.mjs program.elf [module.elf=name ...]'}\n`);
    process.exit(2);
  }
  const { serial, log, finished } = await runBochs({
    program,
    modules,
    seconds: Number(process.env.BOCHS_SECONDS ?? 120),
  });
  process.stdout.write(serial);
  if (!finished) process.stderr.write(`no end was seen; Bochs says:\n${log.split('\n').slice(-60).join('\n')}\n`);
  process.exitCode = finished && MACHINE_ENDS.exec(serial)?.[1] === '0' ? 0 : 1;
}
