import { strict as assert } from 'node:assert';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import type { DmaPort } from '../../emulator/devices/dma-port';
import { FwCfg } from '../../emulator/devices/fw-cfg';

const SELECTOR = 0x510;
const DATA = 0x511;
const DMA = 0x514;

class Memory implements DmaPort {
  readonly bytes = new Uint8Array(0x200000);
  read(address: bigint, target: Uint8Array): boolean {
    target.set(this.bytes.subarray(Number(address), Number(address) + target.length));
    return Number(address) + target.length <= this.bytes.length;
  }
  write(address: bigint, bytes: Uint8Array): boolean {
    if (address + BigInt(bytes.length) > BigInt(this.bytes.length)) return false;
    this.bytes.set(bytes, Number(address));
    return true;
  }
}

describe('fw-cfg', () => {
  const files = new Map([
    ['opt/b', Uint8Array.of(4, 5)],
    ['etc/a', Uint8Array.of(1, 2, 3)],
  ]);
  const make = () => {
    const memory = new Memory();
    const device = new FwCfg(new Map([[5, Uint8Array.of(2, 0)]]), files, memory);
    const read = (count: number) => Array.from({ length: count }, () => device.read(DATA, 1));
    const select = (item: number) => device.write(SELECTOR, 2, item);
    const view = new DataView(memory.bytes.buffer);
    const dma = (control: number, length: number, address: number, at = 0x100) => {
      view.setUint32(at, control);
      view.setUint32(at + 4, length);
      view.setBigUint64(at + 8, BigInt(address));
      device.write(DMA, 4, 0);
      device.write(DMA + 4, 4, ((at & 0xff) << 24) | ((at & 0xff00) << 8));
      return view.getUint32(at);
    };
    return { device, memory, read, select, dma };
  };

  it('has a signature, items, and zeros behind them', () => {
    const { read, select } = make();
    select(0);
    assert.equal(String.fromCharCode(...read(4)), 'QEMU');
    select(5);
    assert.deepEqual(read(4), [2, 0, 0, 0]);
    select(0x7777);
    assert.deepEqual(read(2), [0, 0]);
  });

  it('lists its files, sorted, and gives them by number', () => {
    const { read, select } = make();
    select(0x19);
    assert.deepEqual(read(4), [0, 0, 0, 2]);
    const first = read(64);
    assert.deepEqual(first.slice(0, 8), [0, 0, 0, 3, 0, 0x20, 0, 0]);
    assert.equal(String.fromCharCode(...first.slice(8, 14)), 'etc/a\0');
    select(0x21);
    assert.deepEqual(read(3), [4, 5, 0]);
  });

  it('transfers by DMA: select and read, skip, zeros behind the end', () => {
    const { memory, dma } = make();
    memory.bytes.fill(0xff, 0x1000, 0x1010);
    assert.equal(dma((0x20 << 16) | 8 | 2, 5, 0x1000), 0);
    assert.deepEqual([...memory.bytes.subarray(0x1000, 0x1006)], [1, 2, 3, 0, 0, 0xff]);
    assert.equal(dma((0x20 << 16) | 8 | 4, 2, 0), 0);
    assert.equal(dma(2, 1, 0x1000), 0);
    assert.equal(memory.bytes[0x1000], 3);
  });

  it('fails a write, and a transfer to where no memory is; a large one ends', () => {
    const { dma } = make();
    assert.equal(dma((5 << 16) | 8 | 0x10, 1, 0x1000), 1);
    assert.equal(dma((5 << 16) | 8 | 2, 16, 0x1ffff8), 1);
    assert.equal(dma((5 << 16) | 8 | 2, 0xffffffff, 0x1000), 1);
  });

  it('shows its DMA signature, and ignores what has no meaning', () => {
    const { device, select, read } = make();
    assert.deepEqual([device.read(DMA, 4), device.read(DMA + 4, 4)], [0x554d4551, 0x47464320]);
    select(0);
    device.write(DATA, 1, 7);
    device.write(SELECTOR, 1, 5);
    assert.equal(read(1)[0], 0x51);
  });

  it('keeps its place over save and restore', () => {
    const one = make();
    one.select(0);
    one.read(2);
    const out = new StateWriter();
    one.device.save(out);
    const other = make();
    other.device.restore(new StateReader(out.finish()));
    assert.equal(String.fromCharCode(...other.read(2)), 'MU');
  });
});
