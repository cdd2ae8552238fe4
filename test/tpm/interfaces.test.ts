import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import { CrbInterface } from '../../emulator/devices/tpm/crb-interface';
import { FifoInterface } from '../../emulator/devices/tpm/fifo-interface';
import type { MemoryInterface } from '../../emulator/devices/tpm/memory-interface';
import { Tpm } from '../../emulator/devices/tpm/tpm';

const SHA256 = 0x000b;
const STARTUP = '80010000000c000001440000';
/** TPM2_PCR_Read of PCR 17 in the SHA-256 bank */
const READ_17 = '800100000014' + '0000017e' + '00000001' + '000b' + '03' + '000002';
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const newTpm = (): Tpm => new Tpm({ seed: 'interfaces', milliseconds: () => 0 });

/** What a driver sees: 8- and 32-bit accesses to a locality's page */
class Page {
  constructor(
    readonly device: MemoryInterface,
    readonly locality = 0,
  ) {}

  at(locality: number): Page {
    return new Page(this.device, locality);
  }

  read8(at: number): number {
    return Number(this.device.read(BigInt(this.locality * 0x1000 + at), 1));
  }

  read32(at: number): number {
    return Number(this.device.read(BigInt(this.locality * 0x1000 + at), 4));
  }

  write8(at: number, value: number): void {
    this.device.write(BigInt(this.locality * 0x1000 + at), 1, BigInt(value));
  }

  write32(at: number, value: number): void {
    this.device.write(BigInt(this.locality * 0x1000 + at), 4, BigInt(value >>> 0));
  }
}

const fifo = (): Page => new Page(new FifoInterface(newTpm()));
const crb = (): Page => new Page(new CrbInterface(newTpm()));

function fifoCommand(page: Page, command: string): string {
  page.write8(0x18, 0x40);
  for (const byte of bytes(command)) page.write8(0x24, byte);
  assert.equal(page.read8(0x18) & 0x08, 0, 'Expect is clear after the last byte');
  page.write8(0x18, 0x20);
  const response: number[] = [];
  while (page.read8(0x18) & 0x10) response.push(page.read8(0x24));
  return hex(Uint8Array.from(response));
}

function crbCommand(page: Page, command: string): string {
  page.write32(0x40, 1);
  assert.equal(page.read32(0x44) & 2, 0, 'not idle after cmdReady');
  bytes(command).forEach((byte, i) => page.write8(0x80 + i, byte));
  page.write32(0x4c, 1);
  assert.equal(page.read32(0x4c), 0, 'START clears when the command is done');
  const size = bytes(page.read32(0x82).toString(16).padStart(8, '0')).reverse();
  const length = new DataView(size.buffer).getUint32(0);
  const response = Uint8Array.from({ length }, (_, i) => page.read8(0x80 + i));
  page.write32(0x40, 2);
  return hex(response);
}

describe('TPM registers in memory', () => {
  it('tell what they are', () => {
    const tis = fifo();
    assert.equal(tis.read32(0x30) & 0xf, 0, 'FIFO');
    assert.equal(tis.read32(0x14) >>> 28, 3, 'interface 1.3 for TPM 2.0');
    assert.equal(tis.read8(0x00), 0x81, 'valid, no locality, no dynamic launch');
    const buffer = crb();
    assert.equal(buffer.read32(0x30) & 0xff, 0x11, 'CRB, version 1');
    assert.equal(buffer.read32(0x00) & 0x83, 0x81);
    buffer.write32(0x08, 1);
    assert.equal(buffer.read32(0x0c), 1, 'granted');
    assert.equal(buffer.read32(0x00), 0x83);
    assert.equal(buffer.read32(0x5c), 0xfed40080);
    assert.equal(buffer.read32(0x58), 0xf80);
  });

  it('carry commands through the FIFO', () => {
    const page = fifo();
    page.write8(0x24, 0x80);
    assert.equal(page.read8(0x18), 0xff, 'no locality, no status');
    page.write8(0x00, 2);
    assert.equal(page.read8(0x00), 0xa1);
    assert.equal(page.read32(0x18), 0x04000084, 'idle: valid, self-tested, TPM 2.0');
    page.write8(0x18, 0x40);
    assert.equal(page.read32(0x18) & 0xff, 0xc4, 'ready');
    for (const byte of bytes('80010000')) page.write8(0x24, byte);
    assert.equal(page.read8(0x18) & 0x08, 0x08, 'expects more');
    page.write8(0x18, 0x20);
    assert.equal(page.read8(0x18) & 0x10, 0, 'no execution while more is expected');
    assert.equal(fifoCommand(page, STARTUP), '80010000000a00000000');
    page.write8(0x18, 0x02);
    assert.equal(page.read8(0x24), 0x80, 'the response is read again');
    assert.equal((page.read32(0x18) >>> 8) & 0xffff, 9, 'nine bytes are left');
    assert.equal(page.read32(0x24).toString(16), '1', 'four at once');
    assert.match(fifoCommand(page, READ_17), /(ff){32}$/);
    // What announces less than a header is answered, not waited for.
    assert.equal(fifoCommand(page, '800100000006'), '80010000000a0000009a');
  });

  it('carry commands through the buffer', () => {
    const page = crb();
    page.write8(0x80, 1);
    assert.equal(page.read8(0x80), 0xff, 'no locality, no buffer');
    page.write32(0x08, 1);
    assert.equal(page.read32(0x44), 2, 'idle');
    assert.equal(crbCommand(page, STARTUP), '80010000000a00000000');
    assert.match(crbCommand(page, READ_17), /(ff){32}$/);
    page.write32(0x40, 1);
    bytes('8001ffffffff').forEach((byte, i) => page.write8(0x80 + i, byte));
    page.write32(0x4c, 1);
    assert.equal(page.read32(0x86), 0x42010000, 'TPM_RC_COMMAND_SIZE');
  });

  for (const [name, make] of [
    ['FIFO', fifo],
    ['CRB', crb],
  ] as const) {
    it(`give the TPM to one locality at a time (${name})`, () => {
      const page = make();
      const isCrb = name === 'CRB';
      const request = (l: number): void => (isCrb ? page.at(l).write32(8, 1) : page.at(l).write8(0, 2));
      const seize = (l: number): void => (isCrb ? page.at(l).write32(8, 4) : page.at(l).write8(0, 8));
      const relinquish = (l: number): void => (isCrb ? page.at(l).write32(8, 2) : page.at(l).write8(0, 0x20));
      const active = (l: number): boolean =>
        isCrb ? (page.at(l).read32(0xc) & 1) !== 0 : (page.at(l).read8(0) & 0x20) !== 0;
      const seized = (l: number): boolean =>
        isCrb ? (page.at(l).read32(0xc) & 2) !== 0 : (page.at(l).read8(0) & 0x10) !== 0;
      request(0);
      request(2);
      assert.deepEqual([active(0), active(2)], [true, false]);
      relinquish(0);
      assert.deepEqual([active(0), active(2)], [false, true]);
      seize(1);
      assert.deepEqual([active(1), active(2), seized(2)], [false, true, false]);
      seize(3);
      assert.deepEqual([active(3), active(2), seized(2)], [true, false, true]);
      request(4);
      seize(4);
      assert.equal(active(3), true, 'software has no locality 4');
    });
  }

  it('measure a dynamic launch from locality 4', () => {
    const page = fifo();
    const { device } = page;
    page.write8(0x00, 2);
    fifoCommand(page, STARTUP);
    device.hashStart();
    assert.equal(page.read8(0x00) & 0x10, 0x10, 'locality 0 lost the TPM');
    device.hashData(bytes('616263'));
    device.hashData(bytes('646566'));
    device.hashEnd();
    assert.equal(page.read8(0x00) & 1, 0, 'establishment is set');
    const digest = createHash('sha256').update('abcdef').digest();
    const expected = createHash('sha256').update(Buffer.alloc(32)).update(digest).digest('hex');
    assert.equal(hex(device.tpm.pcr(SHA256, 17) ?? new Uint8Array()), expected);
    for (const pcr of [18, 19, 20, 21, 22])
      assert.equal(hex(device.tpm.pcr(SHA256, pcr) ?? bytes('')), '00'.repeat(32));
    // Software at locality 0 can neither extend PCR 17 nor reset it; at locality 2 it may extend it.
    const extend = `80020000004100000182000000110000000940000009000000000000000001000b${'11'.repeat(32)}`;
    page.write8(0x00, 2);
    assert.match(fifoCommand(page, extend), /00000907$/);
    page.at(2).write8(0x00, 8);
    assert.match(fifoCommand(page.at(2), extend), /^8002.{8}00000000/);
  });

  it('measure a static root before Startup into PCR 0', () => {
    const page = fifo();
    page.device.hashStart();
    page.device.hashData(bytes('616263'));
    page.device.hashEnd();
    page.write8(0x00, 2);
    fifoCommand(page, STARTUP);
    const start = Buffer.alloc(32);
    start[31] = 4;
    const digest = createHash('sha256').update('abc').digest();
    assert.equal(
      hex(page.device.tpm.pcr(SHA256, 0) ?? bytes('')),
      createHash('sha256').update(start).update(digest).digest('hex'),
    );
  });

  for (const [name, make, send] of [
    ['FIFO', fifo, fifoCommand],
    ['CRB', crb, crbCommand],
  ] as const) {
    it(`come back as they were saved, at any moment (${name})`, () => {
      // Hash sequence, PCR event, HMAC session, primary key: then random numbers tell whether anything was lost.
      const commands = [
        STARTUP,
        '80010000000e00000186' + '0000' + '000b',
        '80020000002100000' +
          '15c' +
          '80000000' +
          '00000009' +
          '40000009' +
          '0000' +
          '01' +
          '0000' +
          '0004' +
          '61626364',
        '80010000002b00000176' + '40000007' + '40000007' + '0010' + '11'.repeat(16) + '0000' + '00' + '0010' + '000b',
        '80010000000c0000017b0010',
        '80020000002500000' +
          '13e' +
          '80000000' +
          '00000009' +
          '40000009' +
          '0000' +
          '01' +
          '0000' +
          '0004' +
          '65666768' +
          '40000001',
        '80010000000c0000017b0020',
      ];
      const [reference, ...copies] = Array.from({ length: commands.length + 1 }, make);
      assert.ok(reference);
      const start = (page: Page): void => (name === 'CRB' ? page.write32(8, 1) : page.write8(0, 2));
      start(reference);
      const expected = commands.map((command) => send(reference, command));
      assert.ok(
        expected.every((response) => /^800[12].{8}00000000/.test(response)),
        expected.join('\n'),
      );
      copies.forEach((copy, cut) => {
        start(copy);
        for (const command of commands.slice(0, cut)) send(copy, command);
        // Cut in the middle of the next command, too
        if (name === 'FIFO') {
          copy.write8(0x18, 0x40);
          for (const byte of bytes(commands[cut]?.slice(0, 14) ?? '')) copy.write8(0x24, byte);
        }
        const out = new StateWriter();
        copy.device.save(out);
        const saved = out.finish();
        const other = make();
        other.device.restore(new StateReader(saved));
        const again = new StateWriter();
        other.device.save(again);
        assert.deepEqual(again.finish(), saved);
        const rest = commands.slice(cut).map((command) => send(other, command));
        assert.deepEqual(rest, expected.slice(cut), `cut before command ${cut}`);
      });
    });
  }
});
