import { ByteBuffer } from './byte-buffer';
import { binary, compare, constant, i32, select, unary, type Value } from './expression';
import { EMPTY_BLOCK, I32, I64, Op, type ValueType } from './opcodes';

/** A branch target: the nesting depth of its construct. */
export type Label = number & { readonly label: unique symbol };

/**
 * Builds one function: expressions are values, statements are emitted at once. Locals taken by `temporary` and `let`
 * are given back together by `releaseTemporaries`.
 */
export class FunctionBuilder {
  readonly code = new ByteBuffer(512);
  readonly locals: ValueType[] = [];
  private readonly free: Record<ValueType, number[]> = { [I32]: [], [I64]: [] };
  private readonly taken: number[] = [];
  private depth = 0;

  constructor(readonly parameters: readonly ValueType[]) {}

  // Locals

  newLocal(type: ValueType): number {
    this.locals.push(type);
    return this.parameters.length + this.locals.length - 1;
  }

  temporary(type: ValueType): number {
    const index = this.free[type].pop() ?? this.newLocal(type);
    this.taken.push(index);
    return index;
  }

  releaseTemporaries(): void {
    for (const index of this.taken) this.free[this.typeOf(index)].push(index);
    this.taken.length = 0;
  }

  private typeOf(index: number): ValueType {
    const type = this.parameters[index] ?? this.locals[index - this.parameters.length];
    if (type === undefined) throw new Error(`wasm: local ${index} does not exist`);
    return type;
  }

  local(index: number): Value {
    return { kind: 'local', type: this.typeOf(index), index };
  }

  set(index: number, value: Value): void {
    this.emit(value);
    this.code.byte(Op.localSet);
    this.code.unsigned(index);
  }

  /** Emits an expression that sets the local and leaves its value on the stack. */
  tee(index: number, value: Value): void {
    this.emit(value);
    this.code.byte(Op.localTee);
    this.code.unsigned(index);
  }

  /** Evaluates now, once: the value bound to a temporary (constants and locals stay what they are). */
  let(value: Value): Value {
    if (value.kind === 'constant' || value.kind === 'local') return value;
    const index = this.temporary(value.type);
    this.set(index, value);
    return this.local(index);
  }

  /** Evaluates now, also a local: a snapshot that later assignments do not change. */
  copy(value: Value): Value {
    if (value.kind === 'constant') return value;
    const index = this.temporary(value.type);
    this.set(index, value);
    return this.local(index);
  }

  /** Stores the value on top of the stack in a temporary. */
  pop(type: ValueType): Value {
    const index = this.temporary(type);
    this.setFromStack(index);
    return this.local(index);
  }

  setFromStack(index: number): void {
    this.code.byte(Op.localSet);
    this.code.unsigned(index);
  }

  // Statements

  emit(value: Value): void {
    const { code } = this;
    switch (value.kind) {
      case 'constant':
        code.byte(value.type === I32 ? Op.i32Const : Op.i64Const);
        code.signed64(value.value);
        break;
      case 'local':
        code.byte(Op.localGet);
        code.unsigned(value.index);
        break;
      case 'unary':
        this.emit(value.a);
        code.byte(value.op);
        break;
      case 'binary':
        this.emit(value.a);
        this.emit(value.b);
        code.byte(value.op);
        break;
      case 'load':
        this.emit(value.address);
        code.byte(value.op);
        code.byte(0);
        code.unsigned(value.offset);
        break;
      case 'select':
        this.emit(value.a);
        this.emit(value.b);
        this.emit(value.condition);
        code.byte(Op.select);
        break;
    }
  }

  /** A memory load; `offset` is unsigned, an address constant is merged into it. */
  load(op: number, type: ValueType, address: Value, offset = 0): Value {
    if (address.kind === 'constant')
      return { kind: 'load', type, op, address: i32(0), offset: offset + Number(address.value) };
    return { kind: 'load', type, op, address, offset };
  }

  load32(address: Value, offset = 0): Value {
    return this.load(Op.i32Load, I32, address, offset);
  }

  load64(address: Value, offset = 0): Value {
    return this.load(Op.i64Load, I64, address, offset);
  }

  store(op: number, address: Value, value: Value, offset = 0): void {
    const fixed = address.kind === 'constant';
    this.emit(fixed ? i32(0) : address);
    this.emit(value);
    this.code.byte(op);
    this.code.byte(0);
    this.code.unsigned(fixed ? offset + Number(address.value) : offset);
  }

  store32(address: Value, value: Value, offset = 0): void {
    this.store(Op.i32Store, address, value, offset);
  }

  store64(address: Value, value: Value, offset = 0): void {
    this.store(Op.i64Store, address, value, offset);
  }

  if(condition: Value, type: ValueType | typeof EMPTY_BLOCK = EMPTY_BLOCK): Label {
    this.emit(condition);
    return this.open(Op.if, type);
  }

  else(): void {
    this.code.byte(Op.else);
  }

  end(): void {
    this.code.byte(Op.end);
    this.depth--;
  }

  block(): Label {
    return this.open(Op.block, EMPTY_BLOCK);
  }

  loop(): Label {
    return this.open(Op.loop, EMPTY_BLOCK);
  }

  /** Opens `if` on the condition that is on top of the stack, or a block or loop. */
  open(op: number, type: number): Label {
    this.code.byte(op);
    this.code.byte(type);
    return ++this.depth as Label;
  }

  branch(label: Label): void {
    this.code.byte(Op.br);
    this.code.unsigned(this.depth - label);
  }

  branchIf(condition: Value, label: Label): void {
    this.emit(condition);
    this.code.byte(Op.brIf);
    this.code.unsigned(this.depth - label);
  }

  /** Jumps to `labels[index]`, or to `otherwise` when the index is out of range. */
  branchTable(index: Value, labels: readonly Label[], otherwise: Label): void {
    this.emit(index);
    this.code.byte(Op.brTable);
    this.code.unsigned(labels.length);
    for (const label of labels) this.code.unsigned(this.depth - label);
    this.code.unsigned(this.depth - otherwise);
  }

  call(functionIndex: number, ...operands: readonly Value[]): void {
    for (const operand of operands) this.emit(operand);
    this.code.byte(Op.call);
    this.code.unsigned(functionIndex);
  }

  callIndirect(type: number, element: Value, ...operands: readonly Value[]): void {
    for (const operand of operands) this.emit(operand);
    this.emit(element);
    this.code.byte(Op.callIndirect);
    this.code.unsigned(type);
    this.code.byte(0);
  }

  return(value?: Value): void {
    if (value) this.emit(value);
    this.code.byte(Op.return);
  }

  unreachable(): void {
    this.code.byte(Op.unreachable);
  }

  // Expressions: the type is that of the operands

  constant = constant;
  add = (a: Value, b: Value): Value => binary('add', a, b);
  sub = (a: Value, b: Value): Value => binary('sub', a, b);
  mul = (a: Value, b: Value): Value => binary('mul', a, b);
  divS = (a: Value, b: Value): Value => binary('divS', a, b);
  divU = (a: Value, b: Value): Value => binary('divU', a, b);
  remS = (a: Value, b: Value): Value => binary('remS', a, b);
  remU = (a: Value, b: Value): Value => binary('remU', a, b);
  and = (a: Value, b: Value): Value => binary('and', a, b);
  or = (a: Value, b: Value): Value => binary('or', a, b);
  xor = (a: Value, b: Value): Value => binary('xor', a, b);
  shl = (a: Value, b: Value): Value => binary('shl', a, b);
  shrU = (a: Value, b: Value): Value => binary('shrU', a, b);
  shrS = (a: Value, b: Value): Value => binary('shrS', a, b);
  rotl = (a: Value, b: Value): Value => binary('rotl', a, b);
  rotr = (a: Value, b: Value): Value => binary('rotr', a, b);
  eq = (a: Value, b: Value): Value => compare('eq', a, b);
  ne = (a: Value, b: Value): Value => compare('ne', a, b);
  ltS = (a: Value, b: Value): Value => compare('ltS', a, b);
  ltU = (a: Value, b: Value): Value => compare('ltU', a, b);
  leS = (a: Value, b: Value): Value => compare('leS', a, b);
  leU = (a: Value, b: Value): Value => compare('leU', a, b);
  gtS = (a: Value, b: Value): Value => compare('gtS', a, b);
  gtU = (a: Value, b: Value): Value => compare('gtU', a, b);
  geS = (a: Value, b: Value): Value => compare('geS', a, b);
  geU = (a: Value, b: Value): Value => compare('geU', a, b);
  select = (condition: Value, a: Value, b: Value): Value => select(condition, a, b);

  isZero(a: Value): Value {
    return unary(a.type === I32 ? Op.i32Eqz : Op.i64Eqz, I32, a);
  }

  not(a: Value): Value {
    return binary('xor', a, constant(a.type, -1));
  }

  countLeadingZeros(a: Value): Value {
    return unary(a.type === I32 ? Op.i32Clz : Op.i64Clz, a.type, a);
  }

  countTrailingZeros(a: Value): Value {
    return unary(a.type === I32 ? Op.i32Ctz : Op.i64Ctz, a.type, a);
  }

  populationCount(a: Value): Value {
    return unary(a.type === I32 ? Op.i32Popcnt : Op.i64Popcnt, a.type, a);
  }

  /** Low 32 bits; an i32 stays. */
  wrap(a: Value): Value {
    return a.type === I32 ? a : unary(Op.i32Wrap, I32, a);
  }

  /** To i64, zero-extended; an i64 stays. */
  zeroExtend(a: Value): Value {
    return a.type === I64 ? a : unary(Op.i64ExtendI32U, I64, a);
  }

  /** To i64, sign-extended from 32 bits; an i64 stays. */
  signExtend(a: Value): Value {
    return a.type === I64 ? a : unary(Op.i64ExtendI32S, I64, a);
  }

  /** Sign-extends the low 8 or 16 bits of an i32. */
  signExtendLow(bits: 8 | 16, a: Value): Value {
    return unary(bits === 8 ? Op.i32Extend8S : Op.i32Extend16S, I32, a);
  }

  /** The value as the given type: zero-extended or wrapped. */
  convert(type: ValueType, a: Value): Value {
    return type === I32 ? this.wrap(a) : this.zeroExtend(a);
  }
}
