import type { WriteRequest } from '../symbols/api';
import { littleEndian, toBytes } from '../symbols/bytes';
import { ExpressionError } from './api';
import type { Context } from './context';
import { Value } from './value';

/** What must be written so that `target` holds `value`, which has its type already. Throws for what has no place. */
export function writeRequest(target: Value, value: Value, context: Context, at: number): WriteRequest {
  const { storage } = target;
  switch (storage.kind) {
    case 'memory':
      if (target.bits) return bitFieldRequest(target, storage.address, value);
      return { kind: 'memory', address: storage.address, bytes: value.bytes().slice() };
    case 'register': {
      if (storage.depth > 0) {
        throw new ExpressionError(
          `The value was in register ${storage.name}, which the called functions have used since. Change it in the innermost frame.`,
          at,
        );
      }
      const whole = context.register(storage.name);
      if (whole === undefined) throw new ExpressionError(`Register ${storage.name} is not known.`, at);
      return { kind: 'register', name: storage.name, value: replaced(storage, target, whole, value) };
    }
    case 'absent':
      throw new ExpressionError(`It cannot be changed: ${storage.why}.`, at);
    case 'bytes':
      throw new ExpressionError('It is computed, not stored, and cannot be changed.', at);
  }
}

/** The whole register with the part that the target occupies exchanged */
function replaced(storage: { readonly shift: number }, target: Value, whole: bigint, value: Value): bigint {
  const bits = target.bits;
  const shift = BigInt(storage.shift + (bits?.bitOffset ?? 0));
  const size = bits?.bitSize ?? Math.min(target.size * 8, 64);
  const mask = ((1n << BigInt(size)) - 1n) << shift;
  return BigInt.asUintN(64, (whole & ~mask) | ((littleEndian(value.bytes()) << shift) & mask));
}

function bitFieldRequest(target: Value, address: bigint, value: Value): WriteRequest {
  const { bitOffset, bitSize } = target.bits!;
  const first = Math.floor(bitOffset / 8);
  const length = Math.ceil((bitOffset + bitSize) / 8) - first;
  const shift = BigInt(bitOffset - first * 8);
  const mask = ((1n << BigInt(bitSize)) - 1n) << shift;
  const old = littleEndian(target.bytes(first, length));
  const bytes = toBytes((old & ~mask) | ((littleEndian(value.bytes()) << shift) & mask), length);
  return { kind: 'memory', address: BigInt.asUintN(64, address + BigInt(first)), bytes };
}
