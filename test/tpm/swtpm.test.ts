import { strict as assert } from 'node:assert';
import { Tpm } from '../../emulator/devices/tpm/tpm';
import { command, DETERMINED, STAGE, SUBJECTS, u16 } from './commands';
import { SwTpm } from './swtpm';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const show = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const codeOf = (response: Uint8Array): number => Buffer.from(response).readUInt32BE(6);
const newTpm = (): Tpm => new Tpm({ seed: 'swtpm', milliseconds: () => 0 });
const STARTUP = command(0x144, u16(0));
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};

/** The size in the header, once the command is `length` bytes long */
function resized(data: Uint8Array): Uint8Array {
  const copy = data.slice();
  if (copy.length >= 6) new DataView(copy.buffer).setUint32(2, copy.length);
  return copy;
}

/** Every truncation and an extra byte, with the size in the header right; then random changes of one byte */
function* malformed(subject: string, draw: () => number): Generator<Uint8Array> {
  const whole = bytes(subject);
  for (let length = 10; length < whole.length; length++) yield resized(whole.slice(0, length));
  yield resized(Uint8Array.of(...whole, 0));
  for (let n = 0; n < Number(process.env.FLIPS ?? 12); n++) {
    const copy = whole.slice();
    const at = 6 + Math.floor(draw() * (copy.length - 6));
    copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(draw() * 8));
    yield copy;
  }
}

/** What swtpm has and this TPM does not, and says so: commands, curves, modes of ciphers */
const NOT_HERE: readonly number[] = [0x143, 0xa6, 0x89];
/** Without the number of the parameter */
const explained = (ours: number): boolean => NOT_HERE.includes(ours & 0x80 ? ours & 0xbf : ours);

describe('TPM 2.0 beside swtpm', () => {
  let peer: SwTpm;
  beforeEach(async () => {
    peer = await new SwTpm().start();
  });
  afterEach(() => peer.stop());

  it('answers with the same bytes where the answer is determined', async () => {
    const tpm = newTpm();
    for (const each of DETERMINED) {
      const theirs = await peer.execute(bytes(each));
      assert.equal(show(tpm.execute(bytes(each), 0)), show(theirs), each);
    }
    assert.equal(tpm.failureCause, undefined);
  });

  it('refuses malformed commands with the same response code', async () => {
    const tpm = newTpm();
    const draw = random(Number(process.env.FUZZ_SEED ?? 20));
    for (const each of [STARTUP, ...STAGE]) {
      assert.equal(codeOf(await peer.execute(bytes(each))), 0, each);
      assert.equal(codeOf(tpm.execute(bytes(each), 0)), 0, each);
    }
    let compared = 0;
    const differences: string[] = [];
    for (const subject of SUBJECTS) {
      for (const each of malformed(subject, draw)) {
        const theirs = codeOf(await peer.execute(each));
        const ours = codeOf(tpm.execute(each, 0));
        compared++;
        if (ours !== theirs && !explained(ours))
          differences.push(`${show(each)}: 0x${ours.toString(16)}, swtpm 0x${theirs.toString(16)}`);
      }
    }
    assert.equal(tpm.failureCause, undefined);
    assert.equal(differences.join('\n'), '');
    assert.ok(compared > 500, `${compared}`);
  });
});

describe('TPM 2.0 with random bytes', () => {
  it('always answers, and never fails inside', () => {
    const seed = Number(process.env.FUZZ_SEED ?? 1);
    console.log(`      seed ${seed}`);
    const draw = random(seed);
    const tpm = newTpm();
    for (const each of [STARTUP, ...STAGE]) tpm.execute(bytes(each), 0);
    for (let n = 0; n < 20_000; n++) {
      const subject = bytes(SUBJECTS[Math.floor(draw() * SUBJECTS.length)] ?? '');
      for (let changes = 1 + Math.floor(draw() * 4); changes > 0; changes--)
        subject[Math.floor(draw() * subject.length)] = Math.floor(draw() * 256);
      const length = draw() < 0.3 ? Math.floor(draw() * subject.length) : subject.length;
      const sent = draw() < 0.8 ? resized(subject.slice(0, length)) : subject.slice(0, length);
      const response = tpm.execute(sent, Math.floor(draw() * 4));
      assert.equal(new DataView(response.buffer).getUint32(2), response.length);
      if (tpm.failureCause) throw new Error(`seed ${seed}, ${show(sent)}`, { cause: tpm.failureCause });
    }
  });
});
