import { BINARY, binary, COMPARE, constant, select, unary, type Value } from '../../wasm/expression';
import { FunctionBuilder, type Label } from '../../wasm/function-builder';
import { I32, Op, type ValueType } from '../../wasm/opcodes';

/**
 * Builds, beside a function, what it does to secrets: each local has a shadow, whose set bits are the bits of the local
 * that depend on a secret. Where a meaning computes `a + b`, the shadow of the result is computed from those of a and b;
 * so every instruction that has a meaning is tracked by that meaning. Too many bits may be set, never too few: two runs
 * that differ in secret bits only differ in bits whose shadow is set.
 *
 * Moves, shifts, masks and logic are exact for each bit; sums smear upwards; products, quotients and comparisons smear.
 * Which way a branch goes counts for the locals that are assigned on it. Addresses of loads count only as far as the
 * context says so (`setShadow`).
 */
export class ShadowBuilder extends FunctionBuilder {
  private readonly shadows = new Map<number, Value>();
  private readonly shadowLocals = new Map<number, number>();
  private readonly loads = new WeakMap<Value, Value>();
  /** Where a value was read from, for values that were only moved since */
  private readonly places = new WeakMap<Value, Value>();
  private readonly localPlaces = new Map<number, Value>();
  private readonly frames: { readonly taint: Value | undefined; readonly assigned: Set<number> }[] = [];
  private taint: Value | undefined;
  private untracked = 0;

  /** What is emitted inside concerns no secrets. */
  plain<Result>(emit: () => Result): Result {
    this.untracked++;
    try {
      return emit();
    } finally {
      this.untracked--;
    }
  }

  get tracks(): boolean {
    return this.untracked === 0;
  }

  /** The value, a load or a local, has this shadow from now on. */
  setShadow(value: Value, shadow: Value, place?: Value): void {
    if (value.kind === 'local') {
      this.shadows.set(value.index, shadow);
      if (place) this.localPlaces.set(value.index, place);
      return;
    }
    this.loads.set(value, shadow);
    if (place) this.places.set(value, place);
  }

  /** Evaluates now, once; has no shadow itself. */
  bind(value: Value): Value {
    if (value.kind === 'constant' || value.kind === 'local') return value;
    const index = this.temporary(value.type);
    super.set(index, value);
    return this.local(index);
  }

  override set(index: number, value: Value): void {
    if (!this.tracks) {
      super.set(index, value);
      return;
    }
    const shadow = this.bind(this.shadowOf(value));
    super.set(index, value);
    const local = this.shadowLocal(index, value.type);
    super.set(local, shadow);
    for (const frame of this.frames) frame.assigned.add(index);
  }

  private shadowLocal(index: number, type: ValueType): number {
    let local = this.shadowLocals.get(index);
    if (local === undefined) {
      local = this.newLocal(type);
      this.shadowLocals.set(index, local);
      this.shadows.set(index, this.local(local));
    }
    return local;
  }

  override let(value: Value): Value {
    return value.kind === 'local' ? value : this.copy(value);
  }

  override copy(value: Value): Value {
    if (value.kind === 'constant') return value;
    const shadow = this.tracks ? this.bind(this.shadowOf(value)) : zero(value.type);
    const index = this.temporary(value.type);
    super.set(index, value);
    const local = this.local(index);
    if (!isZero(shadow)) this.shadows.set(index, shadow);
    const place = this.placeOf(value);
    if (place) this.localPlaces.set(index, place);
    return local;
  }

  override if(condition: Value, type?: number): Label {
    const shadow = this.tracks ? this.shadowOf(condition) : zero(I32);
    if (!isZero(shadow)) this.taint = this.bind(isNotZero(shadow));
    return super.if(condition, type as ValueType);
  }

  override open(op: number, type: number): Label {
    this.frames.push({ taint: this.taint, assigned: new Set() });
    this.taint = undefined;
    return super.open(op, type);
  }

  /** What was assigned on one way only tells which way was gone. */
  override end(): void {
    const frame = this.frames.pop();
    super.end();
    if (!frame?.taint) return;
    for (const index of frame.assigned) {
      const local = this.shadowLocals.get(index);
      if (local === undefined) continue;
      const shadow = this.local(local);
      super.set(local, binary('or', shadow, every(frame.taint, shadow.type)));
    }
  }

  /** 0 or 1, i32: both values were read from one place, and so are equal; undefined when that is not so for certain. */
  samePlace(a: Value, b: Value): Value | undefined {
    const [first, second] = [this.placeOf(a), this.placeOf(b)];
    return first && second && a.type === b.type ? this.eq(first, second) : undefined;
  }

  private placeOf(value: Value): Value | undefined {
    return value.kind === 'local' ? this.localPlaces.get(value.index) : this.places.get(value);
  }

  /** The shadow of a value, of the same type. May emit what it needs evaluated. */
  shadowOf(value: Value): Value {
    switch (value.kind) {
      case 'constant':
        return zero(value.type);
      case 'local':
        return this.shadows.get(value.index) ?? zero(value.type);
      case 'load':
        return this.loads.get(value) ?? zero(value.type);
      case 'unary':
        return this.ofUnary(value);
      case 'binary':
        return this.ofBinary(value);
      case 'select':
        return this.ofSelect(value);
    }
  }

  private ofUnary({ op, type, a }: Extract<Value, { kind: 'unary' }>): Value {
    const shadow = this.shadowOf(a);
    if (isZero(shadow)) return zero(type);
    if (MOVES.has(op)) return unary(op, type, shadow);
    if (op === Op.i32Eqz || op === Op.i64Eqz) return isNotZero(shadow);
    // A count of bits is at most 64.
    if (COUNTS.has(op)) return binary('and', every(shadow, type), constant(type, 127));
    throw new Error(`no rule says how secrets pass the wasm operation 0x${op.toString(16)}`);
  }

  private ofBinary({ op, type, a, b }: Extract<Value, { kind: 'binary' }>): Value {
    const of = (value: Value): Value => this.bind(this.shadowOf(value));
    const [first, second] = [of(a), of(b)];
    if (isZero(first) && isZero(second)) return zero(type);
    if (COMPARISONS.has(op)) return isNotZero(binary('or', first, second));
    const name = NAMES.get(op);
    switch (name) {
      case 'and':
        return this.ofAnd(a, b, first, second);
      case 'or':
        return this.ofOr(a, b, first, second);
      case 'xor':
        return this.unlessSame(a, b, binary('or', first, second));
      case 'sub':
        return this.unlessSame(a, b, this.upwards(binary('or', first, second)));
      case 'add':
      case 'mul':
        return this.upwards(binary('or', first, second));
      case 'divS':
      case 'divU':
      case 'remS':
      case 'remU':
        return every(binary('or', first, second), type);
      case 'shl':
      case 'shrU':
      case 'shrS':
      case 'rotl':
      case 'rotr': {
        const shifted = binary(name, first, b);
        return isZero(second) ? shifted : select(isNotZero(second), constant(type, -1), shifted);
      }
      default:
        throw new Error(`no rule says how secrets pass the wasm operation 0x${op.toString(16)}`);
    }
  }

  /** A bit is lost where the other operand, no secret, has 0. */
  private ofAnd(a: Value, b: Value, first: Value, second: Value): Value {
    if (isZero(second)) return binary('and', first, b);
    if (isZero(first)) return binary('and', second, a);
    if (!isCheap(a) || !isCheap(b)) return binary('or', first, second);
    const one = binary('or', binary('and', first, b), binary('and', second, a));
    return binary('or', binary('and', first, second), one);
  }

  /** Or where it has 1. */
  private ofOr(a: Value, b: Value, first: Value, second: Value): Value {
    if (isZero(second) && isCheap(b)) return binary('and', first, this.not(b));
    if (isZero(first) && isCheap(a)) return binary('and', second, this.not(a));
    return binary('or', first, second);
  }

  private unlessSame(a: Value, b: Value, shadow: Value): Value {
    const same = this.samePlace(a, b);
    return same ? select(same, zero(shadow.type), shadow) : shadow;
  }

  /** From the lowest set bit on: a carry goes upwards only. */
  private upwards(shadow: Value): Value {
    const bound = this.bind(shadow);
    return binary('or', bound, binary('sub', zero(bound.type), bound));
  }

  private ofSelect({ condition, type, a, b }: Extract<Value, { kind: 'select' }>): Value {
    const of = (value: Value): Value => this.bind(this.shadowOf(value));
    const [which, first, second] = [of(condition), of(a), of(b)];
    const chosen = isZero(first) && isZero(second) ? zero(type) : select(condition, first, second);
    if (isZero(which)) return chosen;
    let differing: Value = constant(type, -1);
    if (isCheap(a) && isCheap(b)) differing = binary('or', binary('xor', a, b), binary('or', first, second));
    return select(isNotZero(which), differing, chosen);
  }
}

const zero = (type: ValueType): Value => constant(type, 0);
export const isZero = (shadow: Value): boolean => shadow.kind === 'constant' && shadow.value === 0n;
/** Worth being evaluated once more */
const isCheap = (value: Value): boolean =>
  value.kind === 'load' ? isCheap(value.address) : value.kind === 'constant' || value.kind === 'local';
/** 0 or 1, i32 */
export const isNotZero = (value: Value): Value => ({
  kind: 'binary',
  type: I32,
  op: COMPARE.ne[value.type === I32 ? 0 : 1],
  a: value,
  b: zero(value.type),
});
/** All bits of a type when one bit is set, else none */
export const every = (shadow: Value, type: ValueType): Value =>
  select(isNotZero(shadow), constant(type, -1), zero(type));

const MOVES = new Set<number>([
  Op.i32Wrap, Op.i64ExtendI32S, Op.i64ExtendI32U, Op.i32Extend8S, Op.i32Extend16S,
]); // prettier-ignore
const COUNTS = new Set<number>([Op.i32Clz, Op.i64Clz, Op.i32Ctz, Op.i64Ctz, Op.i32Popcnt, Op.i64Popcnt]);
const COMPARISONS = new Set<number>(Object.values(COMPARE).flat());
const NAMES = new Map<number, keyof typeof BINARY>(
  (Object.keys(BINARY) as (keyof typeof BINARY)[]).flatMap((name) =>
    BINARY[name].map((op): [number, keyof typeof BINARY] => [op, name]),
  ),
);
