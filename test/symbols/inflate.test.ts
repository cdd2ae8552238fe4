import assert from 'node:assert/strict';
import { constants, deflateSync } from 'node:zlib';
import { inflateZlib } from '../../debug-adapter/symbols/inflate';
import { PATIENCE } from './compiled';

class Malformed extends Error {}
const inflate = (bytes: Uint8Array, size: number) =>
  inflateZlib(bytes, size, (problem, at) => new Malformed(`${problem} at ${at}`));

function generator(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

describe('inflate', function () {
  this.timeout(PATIENCE);
  const seed = Number(process.env['SEED'] ?? 19510523);
  const random = generator(seed);
  /** Data with repeats near and far, of random length and alphabet */
  const sample = () => {
    const bytes = new Uint8Array(random(60_000));
    const alphabet = 1 + random(256);
    for (let i = 0; i < bytes.length;) {
      if (i > 0 && random(3) > 0) {
        const distance = 1 + random(Math.min(i, 32768));
        for (let n = 3 + random(300); n > 0 && i < bytes.length; n--, i++) bytes[i] = bytes[i - distance]!;
      } else bytes[i++] = random(alphabet);
    }
    return bytes;
  };

  it(`gives back what zlib compressed, by every strategy and level, SEED=${seed}`, () => {
    const strategies = [constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY, constants.Z_RLE];
    for (const strategy of strategies) {
      for (let level = 0; level <= 9; level += 3) {
        for (let round = 0; round < 4; round++) {
          const bytes = sample();
          const packed = deflateSync(bytes, { level, strategy });
          assert.deepEqual(
            Buffer.from(inflate(packed, bytes.length)),
            Buffer.from(bytes),
            `level ${level} ${strategy}`,
          );
        }
      }
    }
    assert.equal(inflate(deflateSync(new Uint8Array(0)), 0).length, 0);
  });

  it(`refuses what is damaged, cut or of another size, SEED=${seed}`, () => {
    for (let round = 0; round < 200; round++) {
      const bytes = sample().slice(0, 2000);
      const packed = new Uint8Array(deflateSync(bytes));
      assert.throws(() => inflate(packed, bytes.length + 1), Malformed);
      if (bytes.length > 0) assert.throws(() => inflate(packed, bytes.length - 1), Malformed);
      packed[random(packed.length)]! ^= 1 << random(8);
      const damaged = random(2) ? packed : packed.slice(0, random(packed.length));
      try {
        inflate(damaged, bytes.length);
      } catch (error) {
        assert(error instanceof Malformed, `round ${round}: ${String(error)}`);
      }
    }
  });
});
