import { strict as assert } from 'node:assert';
import { StateReader, StateWriter } from '../../emulator/devices/device';

describe('device state', () => {
  it('reads back what was written, however much it is', () => {
    const out = new StateWriter();
    for (let i = 0; i < 300; i++) {
      out.u8(i & 0xff);
      out.u32(i * 3);
      out.u64(BigInt(i) << 40n);
      out.f64(i / 3);
      out.blob(new Uint8Array(i).fill(i));
    }
    const from = new StateReader(out.finish());
    for (let i = 0; i < 300; i++) {
      assert.equal(from.u8(), i & 0xff);
      assert.equal(from.u32(), i * 3);
      assert.equal(from.u64(), BigInt(i) << 40n);
      assert.equal(from.f64(), i / 3);
      assert.deepEqual(from.blob(), new Uint8Array(i).fill(i));
    }
    assert.throws(() => from.u8(), RangeError);
  });
});
