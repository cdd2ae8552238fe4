import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseElf } from '../../emulator/machine/elf';
import { createMachine } from '../../emulator/machine/machine';
import { buildGuest } from './guest-image';

const LIMIT = 50_000_000;
const HEADER_BEFORE_KEY = 128;
const DATE = 20;
const HEADER_AND_SCRATCH = (161 + 143) * 4;

interface Options {
  readonly tpm?: 'tis';
  readonly processors?: number;
}

function run(
  elf: string,
  options: Options,
  change: (module: Uint8Array) => void = () => undefined,
): { text: string; end: unknown } {
  const bytesOf = readFileSync(elf);
  change(between(bytesOf, elf, 'module', 'module_end'));
  const kernel = { name: path.basename(elf), bytes: new Uint8Array(bytesOf) };
  const machine = createMachine({ memory: 64, kernel, modules: [], commandLine: '', translator: true, ...options });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  const end = machine.run(LIMIT);
  return { text: Buffer.from(bytes).toString('latin1'), end };
}

/** The bytes between two symbols as the image has them: a view of it */
function between(bytes: Buffer, elf: string, from: string, to: string): Buffer {
  const file = parseElf(new Uint8Array(bytes), elf);
  const address = (name: string): bigint => {
    const symbol = file.symbols().find((one) => one.name === name);
    assert.ok(symbol, name);
    return symbol.value;
  };
  const [start, end] = [address(from), address(to)];
  const segment = file.segments.find(({ vaddr, filesz }) => start >= vaddr && end <= vaddr + BigInt(filesz));
  assert.ok(segment, `${from} lies in no segment`);
  const at = segment.offset + Number(start - segment.vaddr);
  return bytes.subarray(at, at + Number(end - start));
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const extended = (digest: Buffer): string => sha256(Buffer.alloc(32), digest).toString('hex');

/** The lines of one CASE */
function section(text: string, heading: string): string {
  const [, rest = ''] = text.split(`case ${heading}\n`);
  return rest.split('\ncase ')[0] ?? '';
}

const values = (lines: string): number[] => [...lines.matchAll(/rax=(\w{16})/g)].map(([, word]) => Number(`0x${word}`));
const OPEN = 0xffffffff;
/**
 * EBP at the module; ESI and EDI as they were; CS of the module's GDT; CR0 with PE, MP, ET, NE alone; CR4 with SMXE alone;
 * TXT.STS with SENTER done, private space and locality 2 open, in both spaces; locality 3 closed
 */
const STATUS = (1 << 0) | (1 << 7) | (1 << 16);
const ENVIRONMENT = [0, 0, 0x55667788, 8, 0x33, 0x4000, STATUS, STATUS, OPEN];

describe('a measured launch', () => {
  let elf = '';
  before(async () => {
    elf = await buildGuest('launch');
  });

  it('does not exist without a TPM: GETSEC and CR4.SMXE fault', () => {
    const { text, end } = run(elf, {});
    assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } });
    assert.match(text, /vector 06 .* vector 0d error=0{16} [^]*end/);
    assert.doesNotMatch(text, /CAPABILITIES/);
  });

  for (const processors of [1, 2]) {
    it(`measures module and environment into PCR 17 and 18 (${processors} processor${processors > 1 ? 's' : ''})`, () => {
      const { text, end } = run(elf, { tpm: 'tis', processors });
      assert.deepEqual(end, { why: 'ended', outcome: { kind: 'exit-port', code: 0 } }, text);
      const image = readFileSync(elf);
      const module = between(image, elf, 'module', 'module_end');
      const control = Buffer.alloc(4);
      const parts = [module.subarray(0, HEADER_BEFORE_KEY), module.subarray(HEADER_AND_SCRATCH), control];
      const words = section(text, 'PCR 17 and 18, read through locality 2').matchAll(/rax=(\w{16})/g);
      const read = [...words].map(([, word]) => word).join('');
      // Count of digests 2, then each with its size
      const expected = `000000020020${extended(sha256(...parts))}0020${extended(sha256(between(image, elf, 'mle', 'mle_end')))}`;
      assert.ok(read.startsWith(expected), `${read}\n${expected}`);
      assert.deepEqual(values(section(text, 'in the environment')), ENVIRONMENT);
      assert.equal(text.includes('case the other processor'), processors > 1);
    });
  }

  it('is the same on every run; PCR 17 depends on the module, PCR 18 does not', () => {
    const once = run(elf, { tpm: 'tis' }).text;
    assert.equal(run(elf, { tpm: 'tis' }).text, once);
    const other = run(elf, { tpm: 'tis' }, (module) => module.set([0x31], DATE)).text;
    const digests = (text: string): string[] => {
      const words = section(text, 'PCR 17 and 18, read through locality 2').matchAll(/rax=(\w{16})/g);
      const read = [...words].map(([, word]) => word).join('');
      return [read.slice(12, 76), read.slice(80, 144)];
    };
    const [[before17, before18], [after17, after18]] = [digests(once), digests(other)];
    assert.notEqual(before17, after17);
    assert.equal(before18, after18);
    assert.match(before18 ?? '', /^[0-9a-f]{64}$/);
  });

  it('ends in a TXT reset when the module has no right format', () => {
    const { end } = run(elf, { tpm: 'tis' }, (module) => module.set([1], 0));
    assert.match(JSON.stringify(end), /"reset".*TXT reset \(TXT.ERRORCODE 8\): no authenticated code module at 0x/);
  });

  it('knows its leaves, and refuses what is out of place', () => {
    const { text } = run(elf, { tpm: 'tis' });
    assert.match(section(text, 'GETSEC before CR4.SMXE'), /^ *vector 06 rip=0{15}5 *completed$/m);
    // Chipset, EXITAC, SENTER, SEXIT, PARAMETERS, SMCTRL, WAKEUP; versions, largest module, no functions, the end
    assert.deepEqual(values(section(text, 'CAPABILITIES, PARAMETERS')), [0x1f9, 1, 0x40002, 4, 0]);
    const faults = (heading: string): string[] =>
      [...section(text, heading).matchAll(/vector (\w\w)|completed/g)].map(([all, vector]) => vector ?? all);
    assert.deepEqual(faults('leaves that are out of place'), ['06', '0d', '0d', '0d', '0d']);
    assert.deepEqual(faults('SENTER with wrong arguments'), ['0d', '0d']);
    assert.deepEqual(faults('SENTER again, SMCTRL, SEXIT'), ['0d', 'completed', 'completed']);
    // TXT.STS, private space, localities 2 and 3: all closed; after SEXIT closed again
    assert.deepEqual(values(section(text, 'TXT and localities before the launch')), [0, OPEN, OPEN, OPEN]);
    assert.deepEqual(values(section(text, 'SENTER again, SMCTRL, SEXIT')), [2, OPEN]);
  });
});
