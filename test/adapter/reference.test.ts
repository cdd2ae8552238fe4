import assert from 'node:assert/strict';
import { formatReference, parseReference } from '../../debug-adapter/memory/reference';
import { fromBase64, toBase64 } from '../../debug-adapter/memory/access';
import { parseValue } from '../../debug-adapter/scopes/registers';

describe('memory references', () => {
  it('name their space and lose no bit', () => {
    for (const address of [0n, 1n, 0x7fff_ffff_ffffn, 0xffff_8000_0000_1000n, 0xffff_ffff_ffff_ffffn]) {
      for (const kind of ['linear', 'guest-physical'] as const) {
        assert.deepEqual(parseReference(formatReference(kind, 3, address)), { kind, context: 3, address });
      }
      const host = parseReference(formatReference('host-physical', 3, address));
      assert.deepEqual(host, { kind: 'host-physical', context: undefined, address });
    }
  });

  it('may be a bare address, in any notation', () => {
    assert.deepEqual(parseReference('0xFFFFffff80000000'), {
      kind: 'linear',
      context: undefined,
      address: 0xffff_ffff_8000_0000n,
    });
    assert.equal(parseReference('18446744073709551615').address, 0xffff_ffff_ffff_ffffn);
  });

  it('are refused when they are something else', () => {
    for (const text of [
      '',
      'main',
      '0x',
      '0x10000000000000000',
      'linear@x:0x1',
      'virtual@1:0x1',
      '-1',
      '18446744073709551616',
    ]) {
      assert.throws(() => parseReference(text), /no memory reference|more than 64 bits/);
    }
  });
});

describe('base64', () => {
  it('carries any bytes both ways', () => {
    const bytes = Uint8Array.from({ length: 100_001 }, (_, index) => (index * 7) & 0xff);
    assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
    assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'));
    assert.throws(() => fromBase64('*'), /not base64/);
  });
});

describe('values typed by the user', () => {
  it('are 64-bit numbers in several notations', () => {
    assert.equal(parseValue('0xffffffffffffffff'), 0xffff_ffff_ffff_ffffn);
    assert.equal(parseValue('-1'), 0xffff_ffff_ffff_ffffn);
    assert.equal(parseValue(' 0b101 '), 5n);
    assert.equal(parseValue('0x202 (IF)'), 0x202n);
    assert.throws(() => parseValue('0x10000000000000000'), /more than 64 bits/);
    assert.throws(() => parseValue('rax'), /no number/);
  });
});
