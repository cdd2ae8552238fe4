import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { elfImage } from '../machine/elf-image';

const AT = 0x10_0000;
const CLI = path.join(__dirname, '../../debug-adapter/edge/cli.js');

/** 32-bit: mov eax, code; mov dx, 0f4h; out dx, eax; hlt */
const endWith = (code: number) => [0xb8, code, 0, 0, 0, 0x66, 0xba, 0xf4, 0, 0xef, 0xf4];

function run(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}

describe('command line', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-cli-'));
  const children: ChildProcess[] = [];
  after(() => {
    for (const child of children) child.kill();
    rmSync(folder, { recursive: true });
  });
  const image = (name: string, code: readonly number[]) => {
    const file = path.join(folder, name);
    writeFileSync(file, elfImage({ entry: AT, pvh: AT, bits: 32, segments: [{ vaddr: AT, paddr: AT, bytes: code }] }));
    return file;
  };

  const empty = path.join(folder, 'empty.img');
  writeFileSync(empty, '');

  it('explains itself', async () => {
    for (const args of [['--help'], ['help'], ['run', '--help']]) {
      const { code, out, err } = await run(...args);
      assert.equal(code, 0);
      assert.match(out, /undervisor <command>[^]*run PROGRAM[^]*dap/);
      assert.equal(err, '');
    }
  });

  it('is built as a program that npx can run', () => {
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: { undervisor: string } };
    const { status, stdout } = spawnSync(path.resolve(bin.undervisor), ['--help'], { encoding: 'utf8' });
    assert.equal(status, 0);
    assert.match(stdout, /undervisor <command>/);
  });

  it('says what is wrong with its use, and ends with 2', async () => {
    for (const [args, message] of [
      [[], /no command/],
      [['walk'], /unknown command "walk"/],
      [['run'], /no program/],
      [['run', 'a', 'b'], /"b"/],
      [['run', 'a', '--fast'], /unknown option "--fast"/],
      [['run', 'a', '--max-instructions', 'many'], /--max-instructions needs a whole number.*"many"/],
      [['run', 'a', '--append'], /--append needs a value/],
      [['run', 'a', '--module', '=b'], /--module needs FILE/],
      [['run', 'a', '--json', '--serial'], /exclude each other/],
      [['run', 'a', '--disk', ',write'], /--disk needs FILE/],
      [['run', 'a', '--disk', 'b,interface=scsi'], /--disk: unknown option "interface=scsi".*interface=virtio/],
      [
        ['run', image('good.elf', endWith(0)), '--disk', path.join(folder, 'no.img')],
        /disk image .*no\.img: there is no/,
      ],
      [['run', image('good.elf', endWith(0)), '--disk', folder], /disk image .*: it is a folder/],
      [['run', image('good.elf', endWith(0)), '--disk', `${empty},write,readonly`], /both "readOnly" and written/],
      [['run', image('good.elf', endWith(0)), '--disk', empty], /disks: empty\.img is empty/],
      [['run', image('good.elf', endWith(0)), '--boot', 'pxe'], /boot must be one of/],
      [['run', image('good.elf', endWith(0)), '--memory', '0'], /memory must be/],
      [['run', path.join(folder, 'none.elf')], /none\.elf: there is no such file/],
      [['run', folder], /has no undervisor\.json/],
      [['dap', '--port'], /--port needs/],
      [['dap', '--port', '70000'], /70000/],
    ] as const) {
      const { code, out, err } = await run(...args);
      assert.equal(code, 2, args.join(' '));
      assert.match(err, message);
      assert.equal(out, '');
    }
  }).timeout(60_000);

  it("tells the guest's verdict by its exit code", async () => {
    const good = await run('run', image('good.elf', endWith(0)));
    assert.equal(good.code, 0);
    assert.match(good.out, /^end {2}success/m);
    const bad = await run('run', image('bad.elf', endWith(3)));
    assert.equal(bad.code, 3);
    assert.match(bad.out, /^end {2}failure.*code 3/m);
  }).timeout(60_000);

  it('prints one object a line with --json', async () => {
    const { out } = await run('run', image('good.elf', endWith(0)), '--json');
    const rows = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      rows.map(({ kind }) => kind),
      ['boot', 'end'],
    );
    assert.equal(rows[0]?.protocol, 'pvh');
    assert.equal(rows[1]?.outcome, 'success');
    assert.equal(rows[1]?.qemuStatus, 1);
    assert.equal(typeof rows[1]?.instructions, 'number');
  }).timeout(60_000);

  it('prints only the serial port with --serial, and ends as QEMU with --exit-status', async () => {
    // mov dx, 3f8h; mov al, 'A'; out dx, al; mov al, 0ah; out dx, al; out 0e9h, al
    const print = [0x66, 0xba, 0xf8, 3, 0xb0, 0x41, 0xee, 0xb0, 10, 0xee, 0xe6, 0xe9];
    const program = image('serial.elf', [...print, ...endWith(3)]);
    assert.deepEqual(await run('run', program, '--serial', '--exit-status'), { code: 7, out: 'A\n', err: '' });
    const halted = await run('run', image('halt.elf', [0xfa, 0xf4]), '--serial', '--exit-status');
    assert.equal(halted.code, 4);
    assert.match(halted.err, /Halted for ever/);
  }).timeout(60_000);

  it('gives the machine processors, whose number and turns are checked', async () => {
    // cpuid(1); shr ebx, 16; movzx eax, bl; mov dx, 0f4h; out dx, eax
    const count = [
      0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xc1, 0xeb, 16, 0x0f, 0xb6, 0xc3, 0x66, 0xba, 0xf4, 0, 0xef, 0xf4,
    ]; // prettier-ignore
    const program = image('count.elf', count);
    assert.equal((await run('run', program, '--processors', '6', '--quantum', '7')).code, 6);
    assert.equal((await run('run', program)).code, 1);
    for (const [option, value] of [
      ['--processors', '9'],
      ['--quantum', '0'],
      ['--processors', 'x'],
    ] as const) {
      const { code, err } = await run('run', program, option, value);
      assert.equal(code, 2);
      assert.match(err, new RegExp(`${option.slice(2)} (must be|needs) a whole number`));
    }
  });

  it('gives the machine disks, and keeps or passes on what it writes', async () => {
    const file = path.join(folder, 'disk.img');
    const before = Buffer.alloc(4 * 512);
    before[2 * 512] = 0x2a;
    writeFileSync(file, before);
    // mov dx, port; mov al, value; out dx, al
    const out = (port: number, value: number) => [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee];
    const task = (command: number, lba: number) =>
      [
        [0x1f6, 0xe0],
        [0x1f2, 1],
        [0x1f3, lba],
        [0x1f4, 0],
        [0x1f5, 0],
        [0x1f7, command],
      ].flatMap(([port = 0, value = 0]) => out(port, value));
    const ready = [0xec, 0xa8, 0x80, 0x75, 0xfb]; // 1: in al, dx; test al, 80h; jnz 1b
    const write = [
      ...task(0x30, 1),
      ...ready,
      ...[0x66, 0xba, 0xf0, 1, 0xb9, 0, 1, 0, 0, 0xb8, 0x11, 0x11, 0, 0], // mov dx, 1f0h; mov ecx, 256; mov eax, 1111h
      ...[0x66, 0xef, 0xe2, 0xfc], // 1: out dx, ax; loop 1b
      ...[0x66, 0xba, 0xf7, 1],
      ...ready,
    ];
    // mov dx, 1f0h; in ax, dx; movzx eax, al; mov dx, 0f4h; out dx, eax
    const read = [
      ...task(0x20, 2),
      ...ready,
      0x66,
      0xba,
      0xf0,
      1,
      0x66,
      0xed,
      0x0f,
      0xb6,
      0xc0,
      0x66,
      0xba,
      0xf4,
      0,
      0xef,
    ];
    const program = image('disk.elf', [...write, ...read]);
    assert.equal((await run('run', program, '--disk', file)).code, 0x2a);
    assert.deepEqual(readFileSync(file), before);
    assert.equal((await run('run', program, '--disk', `${file},write`)).code, 0x2a);
    assert.deepEqual(readFileSync(file).subarray(512, 1024), Buffer.alloc(512, 0x11));
    assert.deepEqual(readFileSync(file).subarray(1024), before.subarray(1024));
    const virtio = await run('run', program, '--disk', `${file},interface=virtio`, '--iommu');
    assert.notEqual(virtio.code, 0x2a, 'no IDE disk there');
  }).timeout(60_000);

  it('starts the clock where --start-time says', async () => {
    // CMOS year to COM1: mov al, 9; out 70h, al; in al, 71h; mov dx, 3f8h; out dx, al
    const program = image('clock.elf', [0xb0, 9, 0xe6, 0x70, 0xe4, 0x71, 0x66, 0xba, 0xf8, 3, 0xee, ...endWith(0)]);
    const { out, code } = await run('run', program, '--serial', '--start-time', '1949-10-01T00:00:00Z');
    assert.deepEqual([out, code], ['I', 0]);
  }).timeout(60_000);

  it('ends quietly when its reader goes away', async () => {
    const child = spawn(process.execPath, [CLI, 'run', image('good.elf', endWith(0))], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    child.stdout.destroy();
    await new Promise((resolve) => child.on('close', resolve));
    assert.equal(err, '');
  }).timeout(60_000);

  it('serves DAP on the port that it prints', async () => {
    const child = spawn(process.execPath, [CLI, 'dap', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const line = await new Promise<string>((resolve) => child.stdout.once('data', (chunk) => resolve(String(chunk))));
    const port = Number(/^127\.0\.0\.1:(\d+)\n$/.exec(line)?.[1]);
    const socket = connect(port, '127.0.0.1');
    const body = JSON.stringify({ seq: 1, type: 'request', command: 'initialize', arguments: {} });
    socket.write(`Content-Length: ${body.length}\r\n\r\n${body}`);
    const answer = await new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk))));
    assert.match(answer, /"command":"initialize"/);
    socket.destroy();
  }).timeout(60_000);
});
