import { strict as assert } from 'node:assert';
import { PicPair } from '../../emulator/devices/pic-8259';

function pics() {
  const intr = { asserted: false, set: (asserted: boolean) => void (intr.asserted = asserted) };
  const pair = new PicPair(intr);
  const write = (port: number, value: number) => (port < 0xa0 ? pair.primary : pair.secondary).write(port, 1, value);
  const read = (port: number) => (port < 0xa0 ? pair.primary : pair.secondary).read(port, 1);
  const initialise = () => {
    for (const [port, base, cascade] of [
      [0x20, 0x20, 4],
      [0xa0, 0x28, 2],
    ] as const) {
      for (const [offset, value] of [
        [0, 0x11],
        [1, base],
        [1, cascade],
        [1, 0x01],
      ] as const)
        write(port + offset, value);
    }
  };
  return { pair, intr, read, write, initialise };
}

describe('8259 interrupt controllers', () => {
  it('are masked until they are initialised, and keep their masks', () => {
    const { pair, intr, read, write, initialise } = pics();
    pair.line(4).set(true);
    assert.equal(intr.asserted, false);
    initialise();
    write(0x21, 0xfb);
    assert.equal(read(0x21), 0xfb);
  });

  it('deliver the vector of the highest unmasked input', () => {
    const { pair, intr, write, initialise } = pics();
    initialise();
    pair.line(7).set(true);
    pair.line(4).set(true);
    assert.equal(pair.acknowledge(), 0x24);
    assert.equal(intr.asserted, false, 'input 7 waits behind input 4 in service');
    write(0x20, 0x20);
    assert.equal(pair.acknowledge(), 0x27);
  });

  it('cascade', () => {
    const { pair, write, initialise } = pics();
    initialise();
    pair.line(12).set(true);
    assert.equal(pair.acknowledge(), 0x2c);
    write(0xa0, 0x20);
    write(0x20, 0x20);
  });

  it('do not repeat an edge while the line stays high', () => {
    const { pair, intr, write, initialise } = pics();
    initialise();
    pair.line(4).set(true);
    pair.acknowledge();
    write(0x20, 0x20);
    assert.equal(intr.asserted, false);
    pair.line(4).set(false);
    pair.line(4).set(true);
    assert.equal(intr.asserted, true);
  });

  it('show requests and what is in service', () => {
    const { pair, read, write, initialise } = pics();
    initialise();
    pair.line(3).set(true);
    pair.line(5).set(true);
    pair.acknowledge();
    write(0x20, 0x0b);
    assert.equal(read(0x20), 1 << 3);
    write(0x20, 0x0a);
    assert.equal(read(0x20), 1 << 5);
  });
});
