import type { MemoryReader } from '../symbols/api';
import { littleEndian, toBytes } from '../symbols/bytes';
import type { Location } from '../symbols/dwarf-expression';
import { type BareType, type Member, type Type, bare, sizeOf } from '../symbols/types';
import { ExpressionError } from './api';
import { fromFloat, toFloat } from './floating';

/** Where the bytes of a value are. */
export type Storage =
  | { readonly kind: 'memory'; readonly address: bigint }
  /** A machine register; `name` as the machine knows it. `depth` is the physical frame it was read in. */
  | {
      readonly kind: 'register';
      readonly name: string;
      readonly bytes: Uint8Array;
      readonly depth: number;
      readonly shift: number;
    }
  /** Computed, or put together from several places: cannot be assigned */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'absent'; readonly why: string };

/** A typed value. Memory is read when its bytes are asked for, so that a large array costs nothing. */
export class Value {
  constructor(
    readonly type: Type,
    readonly storage: Storage,
    private readonly memory: MemoryReader,
    /** A bit field within the bytes of the storage */
    readonly bits?: { readonly bitOffset: number; readonly bitSize: number },
  ) {}

  static ofInteger(type: Type, value: bigint, memory: MemoryReader): Value {
    return new Value(type, { kind: 'bytes', bytes: toBytes(value, Math.max(1, sizeOf(type))) }, memory);
  }

  static ofFloat(type: Type, value: number, memory: MemoryReader): Value {
    return new Value(type, { kind: 'bytes', bytes: fromFloat(value, sizeOf(type)) }, memory);
  }

  get bare(): BareType {
    return bare(this.type);
  }

  get size(): number {
    return sizeOf(this.type);
  }

  /** Address of a value in memory; a bit field has none */
  get address(): bigint | undefined {
    return this.storage.kind === 'memory' && !this.bits ? this.storage.address : undefined;
  }

  /** `length` bytes from `offset`. Throws ExpressionError when they are not to be had. */
  bytes(offset = 0, length = this.size): Uint8Array {
    const { storage } = this;
    switch (storage.kind) {
      case 'absent':
        throw new ExpressionError(`<${storage.why}>`);
      case 'memory': {
        const address = BigInt.asUintN(64, storage.address + BigInt(offset));
        const bytes = this.memory(address, length);
        if (bytes.length < length) {
          const missing = BigInt.asUintN(64, address + BigInt(bytes.length));
          throw new ExpressionError(`Cannot access memory at address 0x${missing.toString(16)}`);
        }
        return bytes.subarray(0, length);
      }
      default:
        if (storage.bytes.length < offset + length) throw new ExpressionError('<optimized out>');
        return storage.bytes.subarray(offset, offset + length);
    }
  }

  /** An integer, enumerator, pointer or bit field as a number with its sign */
  integer(): bigint {
    const type = this.bare;
    const signed = (type.kind === 'integer' || type.kind === 'enumeration') && type.signed;
    if (this.bits) {
      const { bitOffset, bitSize } = this.bits;
      const first = Math.floor(bitOffset / 8);
      const raw = littleEndian(this.bytes(first, Math.ceil((bitOffset + bitSize) / 8) - first));
      const shifted = raw >> BigInt(bitOffset - first * 8);
      return signed ? BigInt.asIntN(bitSize, shifted) : BigInt.asUintN(bitSize, shifted);
    }
    const raw = littleEndian(this.bytes());
    return signed ? BigInt.asIntN(this.size * 8, raw) : raw;
  }

  float(): number {
    return toFloat(this.bytes());
  }

  member(member: Member): Value {
    const type = member.type();
    if (member.bits) return new Value(type, this.storage, this.memory, member.bits);
    return new Value(type, part(this.storage, member.offset, sizeOf(type)), this.memory);
  }

  /** Element `index` of an array, also beyond its end when it lies in memory */
  element(type: Type, index: number | bigint): Value {
    const size = sizeOf(type);
    if (this.storage.kind === 'memory') {
      const address = BigInt.asUintN(64, this.storage.address + BigInt(index) * BigInt(size));
      return new Value(type, { kind: 'memory', address }, this.memory);
    }
    return new Value(type, part(this.storage, Number(index) * size, size), this.memory);
  }

  /** The same bytes seen as another type */
  as(type: Type): Value {
    return new Value(type, this.storage, this.memory);
  }
}

function part(storage: Storage, offset: number, size: number): Storage {
  switch (storage.kind) {
    case 'memory':
      return { kind: 'memory', address: BigInt.asUintN(64, storage.address + BigInt(offset)) };
    case 'register':
      return { ...storage, bytes: storage.bytes.subarray(offset, offset + size), shift: storage.shift + offset * 8 };
    case 'bytes':
      return { kind: 'bytes', bytes: storage.bytes.subarray(offset, offset + size) };
    case 'absent':
      return storage;
  }
}

/** What a location expression found, as storage of `size` bytes */
export function storageOf(
  location: Location,
  size: number,
  register: (number: number) => { name: string; value: bigint } | undefined,
  memory: MemoryReader,
  depth: number,
): Storage {
  switch (location.kind) {
    case 'memory':
    case 'absent':
      return location;
    case 'register': {
      const found = register(location.register);
      if (!found) return { kind: 'absent', why: 'its register is not known in this frame' };
      return { kind: 'register', name: found.name, bytes: toBytes(found.value, 8), depth, shift: 0 };
    }
    case 'value':
      return { kind: 'bytes', bytes: toBytes(location.value, Math.max(size, 8)) };
    case 'bytes':
      return { kind: 'bytes', bytes: location.bytes };
    case 'implicitPointer':
      return { kind: 'absent', why: 'optimized out: what it points to has no address' };
    case 'pieces': {
      let value = 0n;
      let at = 0;
      for (const piece of location.pieces) {
        const bytes = Math.ceil((piece.bitOffset + piece.bits) / 8);
        const storage = storageOf(piece.location, bytes, register, memory, depth);
        if (storage.kind === 'absent') return { kind: 'absent', why: 'partly optimized out' };
        const raw = storage.kind === 'memory' ? memory(storage.address, bytes) : storage.bytes.subarray(0, bytes);
        if (raw.length < bytes) return { kind: 'absent', why: 'partly not in readable memory' };
        const bits = BigInt.asUintN(piece.bits, littleEndian(raw) >> BigInt(piece.bitOffset));
        value |= bits << BigInt(at);
        at += piece.bits;
        if (at > 8 * 65536) return { kind: 'absent', why: 'it is in too many pieces' };
      }
      return { kind: 'bytes', bytes: toBytes(value, Math.ceil(at / 8)) };
    }
  }
}
