import { I32, I64, Op, type ValueType } from './opcodes';

/**
 * A pure expression: a tree that is emitted where it is used. A load is pure only until the next store; whoever builds
 * expressions binds it to a local (`FunctionBuilder.let`) before anything could change its value.
 */
export type Value =
  | { readonly kind: 'constant'; readonly type: ValueType; readonly value: bigint }
  | { readonly kind: 'local'; readonly type: ValueType; readonly index: number }
  | { readonly kind: 'unary'; readonly type: ValueType; readonly op: number; readonly a: Value }
  | { readonly kind: 'binary'; readonly type: ValueType; readonly op: number; readonly a: Value; readonly b: Value }
  | {
      readonly kind: 'load';
      readonly type: ValueType;
      readonly op: number;
      readonly address: Value;
      readonly offset: number;
    }
  | {
      readonly kind: 'select';
      readonly type: ValueType;
      readonly condition: Value;
      readonly a: Value;
      readonly b: Value;
    };

export const i32 = (value: number): Value => ({ kind: 'constant', type: I32, value: BigInt(value | 0) });
export const i64 = (value: number | bigint): Value => ({
  kind: 'constant',
  type: I64,
  value: BigInt.asIntN(64, BigInt(value)),
});
/** A constant of the given type. */
export const constant = (type: ValueType, value: number | bigint): Value => ({
  kind: 'constant',
  type,
  value: BigInt.asIntN(type === I32 ? 32 : 64, BigInt(value)),
});

/** Opcodes with the same meaning in both widths. */
export const BINARY = {
  add: [Op.i32Add, Op.i64Add],
  sub: [Op.i32Sub, Op.i64Sub],
  mul: [Op.i32Mul, Op.i64Mul],
  divS: [Op.i32DivS, Op.i64DivS],
  divU: [Op.i32DivU, Op.i64DivU],
  remS: [Op.i32RemS, Op.i64RemS],
  remU: [Op.i32RemU, Op.i64RemU],
  and: [Op.i32And, Op.i64And],
  or: [Op.i32Or, Op.i64Or],
  xor: [Op.i32Xor, Op.i64Xor],
  shl: [Op.i32Shl, Op.i64Shl],
  shrU: [Op.i32ShrU, Op.i64ShrU],
  shrS: [Op.i32ShrS, Op.i64ShrS],
  rotl: [Op.i32Rotl, Op.i64Rotl],
  rotr: [Op.i32Rotr, Op.i64Rotr],
} as const;
export const COMPARE = {
  eq: [Op.i32Eq, Op.i64Eq],
  ne: [Op.i32Ne, Op.i64Ne],
  ltS: [Op.i32LtS, Op.i64LtS],
  ltU: [Op.i32LtU, Op.i64LtU],
  leS: [Op.i32LeS, Op.i64LeS],
  leU: [Op.i32LeU, Op.i64LeU],
  gtS: [Op.i32GtS, Op.i64GtS],
  gtU: [Op.i32GtU, Op.i64GtU],
  geS: [Op.i32GeS, Op.i64GeS],
  geU: [Op.i32GeU, Op.i64GeU],
} as const;

const FOLD: Partial<Record<keyof typeof BINARY, (a: bigint, b: bigint, width: bigint) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b, width) => a << (b & (width - 1n)),
  shrU: (a, b, width) => BigInt.asUintN(Number(width), a) >> (b & (width - 1n)),
  shrS: (a, b, width) => a >> (b & (width - 1n)),
};
const ZERO_RIGHT_IS_IDENTITY = new Set(['add', 'sub', 'or', 'xor', 'shl', 'shrU', 'shrS', 'rotl', 'rotr']);
const COMMUTES_WITH_ZERO = new Set(['add', 'or', 'xor']);

/** A binary operation; constants are folded, neutral elements dropped. Both operands must have one type. */
export function binary(name: keyof typeof BINARY, a: Value, b: Value): Value {
  if (a.type !== b.type) throw new Error(`wasm ${name}: operands of types ${a.type} and ${b.type}`);
  const fold = FOLD[name];
  if (a.kind === 'constant' && b.kind === 'constant' && fold)
    return constant(a.type, fold(a.value, b.value, a.type === I32 ? 32n : 64n));
  if (b.kind === 'constant' && b.value === 0n && ZERO_RIGHT_IS_IDENTITY.has(name)) return a;
  if (a.kind === 'constant' && a.value === 0n && COMMUTES_WITH_ZERO.has(name)) return b;
  return { kind: 'binary', type: a.type, op: BINARY[name][a.type === I32 ? 0 : 1], a, b };
}

export function compare(name: keyof typeof COMPARE, a: Value, b: Value): Value {
  if (a.type !== b.type) throw new Error(`wasm ${name}: operands of types ${a.type} and ${b.type}`);
  return { kind: 'binary', type: I32, op: COMPARE[name][a.type === I32 ? 0 : 1], a, b };
}

export function unary(op: number, type: ValueType, a: Value): Value {
  if (a.kind === 'constant') {
    if (op === Op.i32Wrap) return constant(I32, a.value);
    if (op === Op.i64ExtendI32S) return constant(I64, a.value);
    if (op === Op.i64ExtendI32U) return constant(I64, BigInt.asUintN(32, a.value));
    if (op === Op.i32Eqz || op === Op.i64Eqz) return i32(a.value === 0n ? 1 : 0);
    if (op === Op.i32Extend8S) return constant(I32, BigInt.asIntN(8, a.value));
    if (op === Op.i32Extend16S) return constant(I32, BigInt.asIntN(16, a.value));
  }
  if (op === Op.i32Wrap && a.kind === 'unary' && (a.op === Op.i64ExtendI32U || a.op === Op.i64ExtendI32S)) return a.a;
  return { kind: 'unary', type, op, a };
}

export function select(condition: Value, a: Value, b: Value): Value {
  if (a.type !== b.type) throw new Error(`wasm select: operands of types ${a.type} and ${b.type}`);
  if (condition.kind === 'constant') return condition.value ? a : b;
  return { kind: 'select', type: a.type, condition, a, b };
}
