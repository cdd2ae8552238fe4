import type { MemoryReader } from './api';
import { littleEndian } from './bytes';
import { Cursor } from './cursor';
import { At, Encoding } from './dwarf-constants';
import type { Unit } from './unit';

/** Where an object is, or its value when it is nowhere (DWARF 5, 2.6). */
export type Location =
  | { readonly kind: 'memory'; readonly address: bigint }
  | { readonly kind: 'register'; readonly register: number }
  | { readonly kind: 'value'; readonly value: bigint }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'pieces'; readonly pieces: readonly Piece[] }
  /** The pointer is gone, but what it points to is known: the object of the entry, plus bytes */
  | { readonly kind: 'implicitPointer'; readonly entry: number; readonly offset: bigint }
  | { readonly kind: 'absent'; readonly why: string };

export interface Piece {
  readonly location: Location;
  readonly bits: number;
  /** Within the location */
  readonly bitOffset: number;
}

/** What an expression may ask for. Each returns undefined when it is not known. */
export interface ExpressionContext {
  readonly addressSize: 4 | 8;
  /** Added to link addresses */
  readonly bias: bigint;
  /** For addresses and types by index */
  readonly unit?: Unit;
  register(number: number): bigint | undefined;
  readonly memory: MemoryReader;
  cfa?(): bigint | undefined;
  frameBase?(): bigint | undefined;
  /** The value that the expression had when the function was entered */
  entryValue?(expression: Uint8Array): bigint | undefined;
}

/** Ends the evaluation: something that the expression needs is not there. */
class Absent extends Error {}

const MAX_STEPS = 10_000;

/** Evaluates a location expression. `initial` is on the stack at the start. Throws DwarfError for malformed bytes. */
export function evaluateLocation(
  bytes: Uint8Array,
  context: ExpressionContext,
  initial: readonly bigint[] = [],
): Location {
  if (bytes.length === 0) return { kind: 'absent', why: 'optimized out' };
  try {
    return new Machine(bytes, context, initial).run();
  } catch (error) {
    if (error instanceof Absent) return { kind: 'absent', why: error.message };
    throw error;
  }
}

/** Evaluates an expression that computes a number: a CFA, a frame base, an array bound */
export function evaluateNumber(
  bytes: Uint8Array,
  context: ExpressionContext,
  initial?: readonly bigint[],
): bigint | undefined {
  const location = evaluateLocation(bytes, context, initial);
  if (location.kind === 'memory') return location.address;
  if (location.kind === 'value') return location.value;
  return location.kind === 'register' ? context.register(location.register) : undefined;
}

class Machine {
  private readonly stack: bigint[];
  private readonly cursor: Cursor;
  private readonly bits: number;

  constructor(
    bytes: Uint8Array,
    private readonly context: ExpressionContext,
    initial: readonly bigint[],
  ) {
    this.cursor = new Cursor(bytes, 'location expression');
    this.stack = [...initial];
    this.bits = context.addressSize * 8;
  }

  run(): Location {
    const { cursor } = this;
    const pieces: Piece[] = [];
    let simple: Location | undefined;
    for (let steps = 0; !cursor.done; steps++) {
      if (steps > MAX_STEPS) throw cursor.error('location expression does not end');
      const opcode = cursor.u8();
      if (opcode === 0x93 || opcode === 0x9d) {
        // DW_OP_piece (bytes), DW_OP_bit_piece (bits and offset)
        const bits = opcode === 0x93 ? cursor.uleb() * 8 : cursor.uleb();
        const bitOffset = opcode === 0x93 ? 0 : cursor.uleb();
        const top = this.stack.pop();
        const location: Location =
          simple ?? (top === undefined ? { kind: 'absent', why: 'optimized out' } : { kind: 'memory', address: top });
        pieces.push({ location, bits, bitOffset });
        simple = undefined;
      } else {
        simple = this.step(opcode) ?? simple;
      }
    }
    if (pieces.length > 0) return { kind: 'pieces', pieces };
    return simple ?? { kind: 'memory', address: this.pop() };
  }

  private push(value: bigint): void {
    this.stack.push(BigInt.asUintN(64, value));
  }

  private pop(): bigint {
    const value = this.stack.pop();
    if (value === undefined) throw this.cursor.error('location expression takes from an empty stack');
    return value;
  }

  private signed(value: bigint): bigint {
    return BigInt.asIntN(this.bits, value);
  }

  private address(value: bigint): bigint {
    return BigInt.asUintN(this.bits, value);
  }

  private register(number: number): bigint {
    const value = this.context.register(number);
    if (value === undefined) throw new Absent(`register ${number} is not known in this frame`);
    return value;
  }

  private dereference(address: bigint, size: number): bigint {
    const bytes = this.context.memory(this.address(address), size);
    if (bytes.length < size) throw new Absent(`cannot read memory at 0x${this.address(address).toString(16)}`);
    return littleEndian(bytes);
  }

  /** One operation; a result when it names a place that is not memory */
  private step(op: number): Location | undefined {
    const c = this.cursor;
    if (op >= 0x30 && op <= 0x4f) return void this.push(BigInt(op - 0x30)); // DW_OP_lit0..31
    if (op >= 0x50 && op <= 0x6f) return { kind: 'register', register: op - 0x50 };
    if (op >= 0x70 && op <= 0x8f) return void this.push(this.register(op - 0x70) + c.slebWide());
    switch (op) {
      case 0x03: // addr
        return void this.push(c.unsigned(this.context.addressSize) + this.context.bias);
      case 0x06: // deref
        return void this.push(this.dereference(this.pop(), this.context.addressSize));
      case 0x94: // deref_size
        return void this.push(this.dereference(this.pop(), c.u8()));
      case 0xa6: // deref_type
      case 0xf6: {
        const size = c.u8();
        c.uleb();
        return void this.push(this.dereference(this.pop(), size));
      }
      case 0x08:
        return void this.push(c.unsigned(1));
      case 0x09:
        return void this.push(c.signed(1));
      case 0x0a:
        return void this.push(c.unsigned(2));
      case 0x0b:
        return void this.push(c.signed(2));
      case 0x0c:
        return void this.push(c.unsigned(4));
      case 0x0d:
        return void this.push(c.signed(4));
      case 0x0e:
        return void this.push(c.unsigned(8));
      case 0x0f:
        return void this.push(c.signed(8));
      case 0x10: // constu
        return void this.push(c.ulebWide());
      case 0x11: // consts
        return void this.push(c.slebWide());
      case 0x12:
        return this.pick(0);
      case 0x13: // drop
        this.pop();
        return undefined;
      case 0x14: // over
        return this.pick(1);
      case 0x15:
        return this.pick(c.u8());
      case 0x16: {
        const [a, b] = [this.pop(), this.pop()];
        this.push(a);
        this.push(b);
        return undefined;
      }
      case 0x17: {
        // rot: the top goes to the third place
        const [a, b, d] = [this.pop(), this.pop(), this.pop()];
        this.push(a);
        this.push(d);
        this.push(b);
        return undefined;
      }
      case 0x19: {
        const value = this.signed(this.pop());
        return void this.push(value < 0n ? -value : value);
      }
      case 0x1f:
        return void this.push(-this.pop());
      case 0x20:
        return void this.push(~this.pop());
      case 0x23: // plus_uconst
        return void this.push(this.pop() + c.ulebWide());
      case 0x2f: // skip
        return this.jump(c.signed(2));
      case 0x28: {
        const distance = c.signed(2);
        if (this.pop() !== 0n) this.jump(distance);
        return undefined;
      }
      case 0x90: // regx
        return { kind: 'register', register: c.uleb() };
      case 0x91: {
        const base = this.context.frameBase?.();
        if (base === undefined) throw new Absent('the frame base is not known');
        return void this.push(base + c.slebWide());
      }
      case 0x92: // bregx
        return void this.push(this.register(c.uleb()) + c.slebWide());
      case 0x96: // nop
        return undefined;
      case 0x9c: {
        const cfa = this.context.cfa?.();
        if (cfa === undefined) throw new Absent('the canonical frame address is not known');
        return void this.push(cfa);
      }
      case 0x9e: // implicit_value
        return { kind: 'bytes', bytes: c.bytesOf(c.uleb()) };
      case 0x9f: // stack_value
        return { kind: 'value', value: this.address(this.pop()) };
      case 0xa0: // implicit_pointer
      case 0xf2: {
        const unit = this.context.unit;
        const entry = c.offset(unit?.wide ?? false);
        return { kind: 'implicitPointer', entry, offset: c.slebWide() };
      }
      case 0xa1: // addrx
      case 0xfb:
        return void this.push(this.unit().addressByIndex(c.uleb()) + this.context.bias);
      case 0xa2: // constx
      case 0xfc:
        return void this.push(this.unit().addressByIndex(c.uleb()));
      case 0xa3: // entry_value
      case 0xf3: {
        const value = this.context.entryValue?.(c.bytesOf(c.uleb()));
        if (value === undefined) throw new Absent('optimized out: its value at function entry is not known');
        return void this.push(value);
      }
      case 0xa4: // const_type
      case 0xf4: {
        c.uleb();
        const bytes = c.bytesOf(c.u8());
        if (bytes.length > 8) throw new Absent('a constant of more than 8 bytes is not supported');
        return void this.push(littleEndian(bytes));
      }
      case 0xa5: // regval_type
      case 0xf5: {
        const value = this.register(c.uleb());
        return void this.push(this.convert(value, c.uleb()));
      }
      case 0xa8: // convert
      case 0xf7:
        return void this.push(this.convert(this.pop(), c.uleb()));
      case 0xa9: // reinterpret
      case 0xf9:
        c.uleb();
        return undefined;
      case 0xe0: // GNU_push_tls_address
      case 0x9b:
        throw new Absent('thread-local storage is not supported');
      case 0xf0: // GNU_uninit
        return undefined;
      default:
        return this.binary(op);
    }
  }

  private binary(op: number): undefined {
    const compute = BINARY[op];
    if (!compute)
      throw this.cursor.error(`location operation 0x${op.toString(16)} is not supported`, this.cursor.at - 1);
    const right = this.pop();
    const result = compute(this.address(this.pop()), this.address(right), this.bits);
    if (result === undefined) throw new Absent('its expression divides by zero');
    this.push(result);
    return undefined;
  }

  private pick(index: number): undefined {
    const value = this.stack.at(-1 - index);
    if (value === undefined) throw this.cursor.error('location expression picks outside its stack');
    this.push(value);
    return undefined;
  }

  private jump(distance: bigint): undefined {
    this.cursor.seek(this.cursor.at + Number(distance));
    return undefined;
  }

  private unit(): Unit {
    if (!this.context.unit) throw this.cursor.error('location expression needs a unit');
    return this.context.unit;
  }

  /** To the base type at an offset of the unit; 0 means the generic type (an address) */
  private convert(value: bigint, typeOffset: number): bigint {
    if (typeOffset === 0) return this.address(value);
    const unit = this.unit();
    const type = unit.units.entryAt(unit.section, unit.offset + typeOffset, unit);
    const bits = (type.number(At.ByteSize) ?? this.context.addressSize) * 8;
    const encoding = type.number(At.Encoding);
    if (encoding === Encoding.Float || bits > 64)
      throw new Absent('it is computed in floating point or more than 64 bits');
    return encoding === Encoding.Signed || encoding === Encoding.SignedChar
      ? BigInt.asIntN(bits, value)
      : BigInt.asUintN(bits, value);
  }
}

type Binary = (a: bigint, b: bigint, bits: number) => bigint | undefined;

const compare =
  (test: (a: bigint, b: bigint) => boolean): Binary =>
  (a, b, bits) =>
    test(BigInt.asIntN(bits, a), BigInt.asIntN(bits, b)) ? 1n : 0n;

const BINARY: Record<number, Binary> = {
  0x1a: (a, b) => a & b,
  0x1b: (a, b, bits) => (b === 0n ? undefined : BigInt.asIntN(bits, a) / BigInt.asIntN(bits, b)),
  0x1c: (a, b) => a - b,
  0x1d: (a, b) => (b === 0n ? undefined : a % b),
  0x1e: (a, b) => a * b,
  0x21: (a, b) => a | b,
  0x22: (a, b) => a + b,
  0x24: (a, b, bits) => (b >= BigInt(bits) ? 0n : a << b),
  0x25: (a, b, bits) => (b >= BigInt(bits) ? 0n : a >> b),
  0x26: (a, b, bits) => BigInt.asIntN(bits, a) >> (b >= BigInt(bits) ? BigInt(bits - 1) : b),
  0x27: (a, b) => a ^ b,
  0x29: compare((a, b) => a === b),
  0x2a: compare((a, b) => a >= b),
  0x2b: compare((a, b) => a > b),
  0x2c: compare((a, b) => a <= b),
  0x2d: compare((a, b) => a < b),
  0x2e: compare((a, b) => a !== b),
};
