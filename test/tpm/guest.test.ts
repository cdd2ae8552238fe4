import { strict as assert } from 'node:assert';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { buildGuest } from './guest-image';
import { appears } from './swtpm';

const LIMIT = 50_000_000;
const QEMU_SUCCESS = 1;

function runHere(elf: string, tpm: 'tis' | 'crb'): string {
  const kernel = { name: path.basename(elf), bytes: new Uint8Array(readFileSync(elf)) };
  const machine = createMachine({ memory: 64, kernel, modules: [], commandLine: '', translator: false, tpm });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(LIMIT);
  const text = Buffer.from(bytes).toString('latin1');
  assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, text);
  return text;
}

/** QEMU with its emulation of the interface in front of a fresh swtpm */
async function runOnQemu(elf: string, tpm: 'tis' | 'crb'): Promise<string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'undervisor-swtpm-'));
  const socket = path.join(folder, 'socket');
  let swtpm: ChildProcess | undefined;
  try {
    const state = ['--tpm2', '--tpmstate', `dir=${folder}`, '--ctrl', `type=unixio,path=${socket}`];
    swtpm = spawn('swtpm', ['socket', ...state, '--terminate'], { stdio: 'ignore' });
    await appears(socket);
    const serial = path.join(folder, 'serial.txt');
    const board = ['-accel', 'tcg', '-cpu', 'qemu64', '-m', '64', '-display', 'none', '-nodefaults', '-no-reboot'];
    const chip = ['-chardev', `socket,id=c,path=${socket}`, '-tpmdev', 'emulator,id=t,chardev=c'];
    const ends = ['-serial', `file:${serial}`, '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', elf];
    const run = spawnSync('qemu-system-x86_64', [...board, ...chip, '-device', `tpm-${tpm},tpmdev=t`, ...ends], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(run.status, QEMU_SUCCESS, `${run.stderr}${existsSync(serial) ? readFileSync(serial, 'latin1') : ''}`);
    return readFileSync(serial, 'latin1');
  } finally {
    swtpm?.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The BIOS there has measured itself: pcrUpdateCounter, in the second quadword of PCR_Read's response, counts that. */
const withoutCounter = (text: string): string => text.replace(/(case PCR_Read[^]*?rax=\w{16} rax=)\w{16}/, '$1counter');

describe('a guest that talks to the TPM', () => {
  for (const tpm of ['tis', 'crb'] as const) {
    it(`sees through ${tpm} what it sees on QEMU with swtpm`, async () => {
      const elf = await buildGuest('guest');
      assert.equal(withoutCounter(runHere(elf, tpm)), withoutCounter(await runOnQemu(elf, tpm)));
    });
  }
});
