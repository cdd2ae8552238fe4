import { strict as assert } from 'node:assert';
import { IoApic } from '../../emulator/devices/io-apic';
import { copyState, saved } from './saved';

const LEVEL = 0x8000;
const MASKED = 0x10000;
const REMOTE_IRR = 0x4000;

function ioApic() {
  const sent: { source: number; address: bigint; data: number }[] = [];
  const apic = new IoApic({ send: (source, address, data) => void sent.push({ source, address, data }) }, 0x1234);
  const read = (register: number) => {
    apic.write(0n, 4, BigInt(register));
    return Number(apic.read(0x10n, 4));
  };
  const write = (register: number, value: number) => {
    apic.write(0n, 4, BigInt(register));
    apic.write(0x10n, 4, BigInt(value >>> 0));
  };
  const program = (pin: number, low: number, high = 0) => {
    write(0x11 + pin * 2, high);
    write(0x10 + pin * 2, low);
  };
  return { apic, sent, read, write, program };
}

describe('I/O APIC', () => {
  it('shows its registers; reserved and read-only bits stay', () => {
    const { read, write } = ioApic();
    assert.equal(read(1), 0x00170020);
    write(0, 0xffffffff);
    assert.equal(read(0), 0x0f000000);
    assert.equal(read(0x10), MASKED);
    write(0x10, 0xffffffff);
    write(0x11, 0xffffffff);
    assert.equal(read(0x10), 0x1afff);
    assert.equal(read(0x11), 0xffff0000);
    assert.equal(read(0x50), 0);
  });

  it('sends an edge as a message, and loses it on a masked pin', () => {
    const { apic, sent, program } = ioApic();
    apic.input(4).set(true);
    apic.input(4).set(false);
    program(4, 0x931, 0x0300_0000 | 0);
    assert.equal(sent.length, 0);
    apic.input(4).set(true);
    apic.input(4).set(true);
    assert.deepEqual(sent, [{ source: 0x1234, address: 0xfee03004n, data: 0x131 }]);
  });

  it('puts format and index of a remapped interrupt where the IOMMU looks', () => {
    const { apic, sent, program } = ioApic();
    // Index 0x8123: bits 14:0 above the format bit, bit 15 in bit 11
    program(7, 0x0800 | 0x55, ((0x0123 << 17) | 0x10000) >>> 0);
    apic.input(7).set(true);
    assert.equal(sent[0]?.address, 0xfee00000n | (0x123n << 5n) | (1n << 4n) | (1n << 2n));
  });

  it('repeats a level after each EOI while the line is high', () => {
    const { apic, sent, program, read } = ioApic();
    program(10, LEVEL | 0x40);
    apic.input(10).set(true);
    assert.equal(sent.length, 1);
    assert.equal(sent[0]?.data, 0xc040);
    assert.ok(read(0x10 + 20) & REMOTE_IRR);
    apic.end(0x41);
    assert.equal(sent.length, 1, 'another vector ends nothing');
    apic.end(0x40);
    assert.equal(sent.length, 2);
    apic.input(10).set(false);
    apic.write(0x40n, 4, 0x40n);
    assert.equal(sent.length, 2);
    assert.equal(read(0x10 + 20) & REMOTE_IRR, 0);
  });

  it('delivers a waiting level when it is unmasked; edge mode clears remote IRR', () => {
    const { apic, sent, program, read } = ioApic();
    apic.input(3).set(true);
    program(3, LEVEL | MASKED | 0x50);
    assert.equal(sent.length, 0);
    program(3, LEVEL | 0x50);
    assert.equal(sent.length, 1);
    program(3, MASKED | 0x50);
    assert.equal(read(0x16) & REMOTE_IRR, 0);
  });

  it('is the same after save and restore', () => {
    const one = ioApic();
    one.program(10, LEVEL | 0x40, 0x05000000);
    one.apic.input(10).set(true);
    const other = ioApic();
    copyState(one.apic, other.apic);
    assert.deepEqual(saved(other.apic), saved(one.apic));
    other.apic.end(0x40);
    assert.equal(other.sent[0]?.address, 0xfee05000n);
  });
});
