import { strict as assert } from 'node:assert';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import { Serial16550 } from '../../emulator/devices/serial-16550';

const BASE = 0x3f8;

function port() {
  const sent: number[] = [];
  const line = { asserted: false, set: (asserted: boolean) => void (line.asserted = asserted) };
  const serial = new Serial16550('COM1', BASE, line, (byte) => sent.push(byte));
  const read = (register: number) => serial.read(BASE + register, 1);
  const write = (register: number, value: number) => serial.write(BASE + register, 1, value);
  return { serial, sent, line, read, write };
}

describe('16550 serial port', () => {
  it('transmits at once and says that it is empty', () => {
    const { sent, read, write } = port();
    for (const char of 'ok') write(0, char.charCodeAt(0));
    assert.deepEqual(sent, [0x6f, 0x6b]);
    assert.equal(read(5), 0x60);
  });

  it('hides data and interrupt enable behind the divisor latch', () => {
    const { sent, read, write } = port();
    write(3, 0x83);
    write(0, 0x0c);
    write(1, 0x01);
    assert.deepEqual([read(0), read(1)], [0x0c, 0x01]);
    write(3, 0x03);
    assert.equal(read(1), 0);
    assert.deepEqual(sent, []);
  });

  it('keeps what does not fit in the FIFO until it is read', () => {
    const { serial, read, write } = port();
    write(2, 0x01);
    serial.receive(Uint8Array.from({ length: 40 }, (_, i) => i));
    const got: number[] = [];
    while (read(5) & 1) got.push(read(0));
    assert.deepEqual(
      got,
      Array.from({ length: 40 }, (_, i) => i),
    );
  });

  it('interrupts for received data at the trigger level, by timeout below it, and only with OUT2', () => {
    const { serial, line, read, write } = port();
    write(2, 0x41); // FIFO on, trigger 4
    write(1, 0x01);
    serial.receive(Uint8Array.of(1));
    assert.equal(line.asserted, false);
    write(4, 0x08);
    assert.equal(line.asserted, true);
    assert.equal(read(2), 0xcc);
    serial.receive(Uint8Array.of(2, 3, 4));
    assert.equal(read(2), 0xc4);
    for (let i = 0; i < 4; i++) read(0);
    assert.equal(read(2), 0xc1);
    assert.equal(line.asserted, false);
  });

  it('drops the transmitter interrupt when it is identified, and raises it with the next byte', () => {
    const { line, read, write } = port();
    write(4, 0x08);
    write(1, 0x02);
    assert.equal(line.asserted, true);
    assert.equal(read(2), 0x02);
    assert.equal(line.asserted, false);
    write(0, 0x41);
    assert.equal(line.asserted, true);
  });

  it('loops data and modem lines back', () => {
    const { sent, read, write } = port();
    write(4, 0x1a);
    write(0, 0x5a);
    assert.deepEqual(sent, []);
    assert.equal(read(0), 0x5a);
    assert.equal(read(6) & 0xf0, 0x90);
  });

  it('takes a word access as two byte accesses', () => {
    const { serial } = port();
    serial.write(BASE + 6, 2, 0xa5ff);
    assert.equal(serial.read(BASE + 7, 1), 0xa5);
  });

  it('comes back from its saved state', () => {
    const a = port();
    a.write(2, 0x01);
    a.write(1, 0x05);
    a.write(7, 0x77);
    a.serial.receive(Uint8Array.from({ length: 20 }, (_, i) => i));
    const writer = new StateWriter();
    a.serial.save(writer);
    const b = port();
    b.serial.restore(new StateReader(writer.finish()));
    for (const register of [7, 1, 2, 5]) assert.equal(b.read(register), a.read(register));
    for (let i = 0; i < 20; i++) assert.equal(b.read(0), i);
  });
});
