// QEMU's record and replay beside ours: the same ELF, recorded with `-icount ...,rr=record`, replayed to its end under gdb, and
// there stepped back by one instruction. gdb is given no breakpoint while it steps: with one QEMU takes much longer. One step a
// replay: at a second or third one QEMU 7.2 stands still, or for ever.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

const REPLAYS = 2;
const PATIENCE = 600_000;

/** An empty disk of 1 GiB, in which QEMU keeps the snapshot that a replay begins with: QEMU, docs/interop/qcow2.txt. */
function emptyDisk(file) {
  const CLUSTER = 0x10000;
  const disk = Buffer.alloc(4 * CLUSTER);
  disk.write('QFI\xfb', 'latin1');
  disk.writeUInt32BE(2, 4); // version
  disk.writeUInt32BE(16, 20); // cluster bits
  disk.writeBigUInt64BE(1n << 30n, 24);
  disk.writeUInt32BE(2, 36); // entries of the L1 table, which lies in cluster 3
  disk.writeBigUInt64BE(BigInt(3 * CLUSTER), 40);
  disk.writeBigUInt64BE(BigInt(CLUSTER), 48); // the table of reference counts
  disk.writeUInt32BE(1, 56);
  disk.writeBigUInt64BE(BigInt(2 * CLUSTER), CLUSTER);
  for (let cluster = 0; cluster < 4; cluster++) disk.writeUInt16BE(1, 2 * CLUSTER + cluster * 2);
  writeFileSync(file, disk);
}

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** The address of the instruction by which the program ends: `out %eax, $0xf4` */
function exitAddress(elf) {
  const { stdout } = spawnSync('objdump', ['-d', elf], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const found = /^\s*([0-9a-f]+):\s+e7 f4\s/m.exec(stdout ?? '');
  if (!found) throw new Error(`${elf}: no instruction writes the exit port`);
  return `0x${found[1]}`;
}

const GDB = (port, address) => `
import gdb, time
for command in ("set pagination off", "set confirm off", "target remote 127.0.0.1:${port}", "hbreak *${address}", "continue", "delete"):
    gdb.execute(command)
began, pc = time.time(), int(gdb.parse_and_eval("$pc"))
gdb.execute("reverse-stepi")
print("back", time.time() - began, int(gdb.parse_and_eval("$pc")) != pc, flush=True)
gdb.execute("kill")
`;

/** @returns milliseconds: `plain` and `recorded` runs of the program, and each step back at its end */
export async function qemuReplay(elf, commandLine, folder) {
  mkdirSync(folder, { recursive: true });
  const [disk, log] = [path.join(folder, 'snapshots.qcow2'), path.join(folder, 'replay.bin')];
  const serial = path.join(folder, 'serial.txt');
  const args = ['-accel', 'tcg', '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot'];
  args.push('-serial', `file:${serial}`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4');
  args.push('-kernel', elf, '-append', commandLine, '-drive', `file=${disk},if=none,id=rr`);
  const icount = (mode) => ['-icount', `shift=auto,rr=${mode},rrfile=${log},rrsnapshot=init`];

  const run = (more) => {
    emptyDisk(disk);
    const began = performance.now();
    const { status, stderr } = spawnSync('qemu-system-x86_64', [...args, ...more], {
      encoding: 'utf8',
      timeout: PATIENCE,
    });
    if (status !== 1) throw new Error(`QEMU ended with ${status}, and not by the exit port: ${stderr}`);
    return performance.now() - began;
  };
  const plain = [1, 2, 3].map(() => run([]));
  const recorded = [1, 2, 3].map(() => run(icount('record')));

  const steps = [];
  for (let i = 0; i < REPLAYS; i++) steps.push(await replayed([...args, ...icount('replay')], elf, folder));
  return { plain, recorded, steps };
}

/** Replays to the end, and there steps back. @returns milliseconds of the step */
async function replayed(args, elf, folder) {
  const port = await freePort();
  const qemu = spawn('qemu-system-x86_64', [...args, '-S', '-gdb', `tcp:127.0.0.1:${port}`], { stdio: 'ignore' });
  const end = () => qemu.kill('SIGKILL');
  process.once('exit', end);
  const ended = new Promise((resolve) => qemu.on('close', resolve));
  try {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const script = path.join(folder, 'steps.py');
    writeFileSync(script, GDB(port, exitAddress(elf)));
    const gdb = spawn('gdb', ['-batch', '-nx', '-x', script, elf], { stdio: ['ignore', 'pipe', 'pipe'] });
    const killer = setTimeout(() => gdb.kill('SIGKILL'), PATIENCE);
    let output = '';
    for (const stream of [gdb.stdout, gdb.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    await new Promise((resolve) => gdb.on('close', resolve));
    clearTimeout(killer);
    const [, seconds] = /^back ([\d.]+) True$/m.exec(output) ?? [];
    if (seconds === undefined) throw new Error(`gdb did not step back:\n${output.slice(-3000)}`);
    return Number(seconds) * 1000;
  } finally {
    end();
    await ended;
    process.off('exit', end);
  }
}
