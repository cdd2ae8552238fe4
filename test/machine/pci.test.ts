import { strict as assert } from 'node:assert';
import { PciHarness } from './pci-harness';

describe('PCI configuration', () => {
  it('finds the functions by mechanism 1, and nothing elsewhere', () => {
    const h = new PciHarness();
    assert.equal(h.config(0, 0, 0), 0x12378086);
    assert.equal(h.config(1, 0, 0), 0x70008086);
    assert.equal(h.config(1, 1, 0), 0x70108086);
    assert.equal(h.config(2, 0, 0), 0xffffffff);
    assert.equal(h.config(1, 0, 0x0e, 1), 0x80, 'multifunction');
    assert.equal(h.config(1, 1, 0x08), 0x01018000, 'IDE, bus master');
  });

  it('answers bytes and words at their place', () => {
    const h = new PciHarness();
    assert.equal(h.config(1, 0, 0, 2), 0x8086);
    assert.equal(h.config(1, 0, 2, 2), 0x7000);
    assert.equal(h.config(1, 0, 1, 1), 0x80);
    assert.equal(h.config(1, 0, 0x0b, 1), 0x06);
  });

  it('takes CONFIG_ADDRESS only as a doubleword, and only with the enable bit', () => {
    const h = new PciHarness();
    h.out(0xcf8, 0x80000803, 4);
    assert.equal(h.in(0xcf8, 4), 0x80000800, 'bits 1:0 are not there');
    h.out(0xcf8, 0, 1);
    assert.equal(h.in(0xcf8, 4), 0x80000800);
    assert.equal(h.in(0xcf8, 1), 0xff);
    h.out(0xcf8, 0x00000800, 4);
    assert.equal(h.in(0xcfc, 4), 0xffffffff);
  });

  it('does not let software change what is fixed', () => {
    const h = new PciHarness();
    h.setConfig(1, 1, 0, 0);
    h.setConfig(1, 1, 8, 0xffffffff);
    assert.equal(h.config(1, 1, 0), 0x70108086);
    assert.equal(h.config(1, 1, 8), 0x01018000);
  });

  it('sizes and moves an I/O BAR', () => {
    const h = new PciHarness();
    assert.equal(h.config(1, 1, 0x20), 0xc001, 'as firmware placed it');
    h.setConfig(1, 1, 0x20, 0xffffffff);
    assert.equal(h.config(1, 1, 0x20) | 0, -16 | 1, '16 ports');
    h.out(0xc004, 0x12345678, 4);
    h.setConfig(1, 1, 0x20, 0xd000);
    assert.equal(h.in(0xc004, 4), 0xffffffff);
    h.out(0xd004, 0x12345678, 4);
    assert.equal(h.in(0xd004, 4), 0x12345678);
    h.setConfig(1, 1, 4, 0, 2);
    assert.equal(h.in(0xd004, 4), 0xffffffff, 'I/O space off');
  });

  it('shows the same registers through ECAM', () => {
    const h = new PciHarness();
    const at = (device: number, number: number, offset: number) =>
      (0xe0000000n + BigInt((device << 15) | (number << 12) | offset)) as never;
    assert.equal(h.physical.read(at(1, 1, 0), 4), 0x70108086n);
    assert.equal(h.physical.read(at(1, 1, 2), 2), 0x7010n);
    assert.equal(h.physical.read(at(1, 1, 0), 8), 0x0000000170108086n);
    assert.equal(h.physical.read(at(9, 0, 0), 4), 0xffffffffn);
    assert.equal(h.physical.read(at(1, 1, 0x100), 4), 0xffffffffn);
    h.physical.write(at(1, 1, 4), 2, 5n);
    assert.equal(h.config(1, 1, 4, 2), 5);
  });

  it('comes back from saved state', () => {
    const h = new PciHarness();
    h.setConfig(1, 1, 0x20, 0xd000);
    h.setConfig(1, 0, 0x60, 0x0b, 1);
    const saved = h.save();
    const other = new PciHarness();
    other.restore(saved);
    assert.deepEqual(other.save(), saved);
    assert.equal(other.config(1, 1, 0x20), 0xd001);
    assert.equal(other.config(1, 0, 0x60, 1), 0x0b);
  });
});
