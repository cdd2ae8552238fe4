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
