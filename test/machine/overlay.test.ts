import { strict as assert } from 'node:assert';
import { StateReader, StateWriter, type SharedState } from '../../emulator/devices/device';
import { memorySource } from '../../emulator/devices/storage/block-source';
import { Overlay, type KeptOverlay } from '../../emulator/devices/storage/overlay';
import { SECTOR, Volume } from '../../emulator/devices/storage/volume';

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

function randomOf(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

describe('overlay of a disk', () => {
  it('keeps what it held, whatever is written afterwards, and brings it back', () => {
    const random = randomOf(SEED);
    const overlay = new Overlay();
    let model = new Map<number, number>();
    const kept: { state: KeptOverlay; model: Map<number, number> }[] = [{ state: overlay.keep(), model: new Map() }];
    for (let i = 0; i < 5000; i++) {
      const block = random(4) * 250 + random(20);
      const what = random(10);
      if (what < 7) {
        const value = random(256);
        overlay.change(block, () => new Uint8Array(4096))[0] = value;
        model.set(block, value);
      } else if (what < 9) kept.push({ state: overlay.keep(), model: new Map(model) });
      else {
        const back = kept[random(kept.length)] ?? assert.fail();
        overlay.takeBack(back.state);
        model = new Map(back.model);
      }
      assert.equal(overlay.size, model.size);
      assert.equal(overlay.get(block)?.[0], model.get(block), `seed ${SEED}`);
    }
    for (const back of kept) {
      overlay.takeBack(back.state);
      assert.deepEqual(
        overlay.blocks(),
        [...back.model.keys()].sort((a, b) => a - b),
      );
      for (const [block, value] of back.model) assert.equal(overlay.get(block)?.[0], value, `seed ${SEED}`);
    }
  });

  it('takes memory for what changed only', () => {
    const overlay = new Overlay();
    for (let block = 0; block < 10_000; block++) overlay.change(block, () => new Uint8Array(4096));
    assert.ok(overlay.keep().bytes > 10_000 * 4096);
    assert.equal(overlay.keep().bytes, 0);
    overlay.change(77, () => assert.fail('it has this block'));
    const { bytes } = overlay.keep();
    assert.ok(bytes >= 4096 && bytes < 16384, `${bytes}`);
  });

  it('is unchanged when the image cannot be read', () => {
    const overlay = new Overlay();
    assert.throws(() => overlay.change(3, () => assert.fail('unreadable')), /unreadable/);
    assert.equal(overlay.size, 0);
    assert.deepEqual(overlay.blocks(), []);
  });
});

describe('volume: state that stays in memory', () => {
  for (const through of [false, true]) {
    it(`is the same as state in bytes${through ? ', writing through' : ''}`, () => {
      const image = new Uint8Array(64 * SECTOR).fill(7);
      const volume = new Volume('disk', memorySource(image), false, through);
      const random = randomOf(SEED);
      const states: { bytes: Uint8Array; shared: SharedState[]; rest: Uint8Array }[] = [];
      const contents = (): Uint8Array => {
        const all = new Uint8Array(64 * SECTOR);
        assert.equal(volume.read(0, all), true);
        return all;
      };
      for (let i = 0; i < 200; i++) {
        volume.write(random(64), new Uint8Array(SECTOR).fill(random(256)));
        if (random(4) === 0) {
          const shared: SharedState[] = [];
          const [out, all] = [new StateWriter(shared), new StateWriter()];
          volume.save(out);
          volume.save(all);
          states.push({ bytes: all.finish(), shared, rest: out.finish() });
        }
      }
      for (const { bytes, shared, rest } of states.reverse()) {
        assert.equal(shared.length, 1);
        volume.restore(new StateReader(rest, shared));
        const one = contents();
        if (through) assert.deepEqual(image, one);
        volume.write(3, new Uint8Array(SECTOR).fill(1));
        volume.restore(new StateReader(bytes));
        assert.deepEqual(contents(), one, `seed ${SEED}`);
      }
    });
  }
});
