import { type Type, arrayOf, bare, pointerTo, sameType, sizeOf, typeName } from '../symbols/types';
import { ExpressionError } from './api';
import { type Scalar, asInteger, compute, convert, isTrue, literalType, promote } from './arithmetic';
import type { Context } from './context';
import type { Names } from './names';
import { type Member } from '../symbols/types';
import type { BinaryOperator, Node, UnaryOperator } from './syntax';
import { Value } from './value';

/** Computes the value of an expression by C17, 6.5. Reads the machine, changes nothing. Throws ExpressionError. */
export class Evaluation {
  constructor(
    private readonly context: Context,
    private readonly names: Names,
  ) {}

  value(node: Node): Value {
    const { builtin, memory } = this.context;
    switch (node.kind) {
      case 'integer': {
        const type = literalType(node.value, node.suffix, node.decimal, builtin);
        return Value.ofInteger(type, node.value, memory);
      }
      case 'float':
        return Value.ofFloat(node.suffix === 'f' ? builtin.float : builtin.double, node.value, memory);
      case 'character':
        return Value.ofInteger(builtin.char, node.value, memory);
      case 'string': {
        const bytes = new Uint8Array([...node.bytes, 0]);
        return new Value(arrayOf(builtin.char, bytes.length), { kind: 'bytes', bytes }, memory);
      }
      case 'identifier':
        return this.identifier(node.name, node.at);
      case 'register': {
        const value = this.names.register(node.name);
        if (!value)
          throw new ExpressionError(`There is no register "${node.name}", or it is not known in this frame.`, node.at);
        return value;
      }
      case 'unary':
        return this.unary(node.operator, node.operand, node.at);
      case 'binary':
        return this.binary(node.operator, node.left, node.right, node.at);
      case 'conditional':
        return this.value(isTrue(this.truth(node.test)) ? node.yes : node.no);
      case 'cast':
        return this.convert(this.value(node.operand), node.type, node.at, true);
      case 'sizeofType':
        return this.size(node.type, node.at);
      case 'sizeof':
        return this.size(this.value(node.operand).type, node.at);
      case 'index':
        return this.index(node.base, node.index, node.at);
      case 'member':
        return this.member(this.value(node.base), node.name, node.at);
      case 'assign':
        throw new ExpressionError('An assignment can only stand alone, not inside another expression.', node.at);
    }
  }

  private identifier(name: string, at: number): Value {
    // Only what no symbol shadows is a register without "$".
    const value = this.names.value(name) ?? this.names.register(name.toLowerCase());
    if (value) return value;
    throw new ExpressionError(`There is no variable, function, constant or register "${name}" here.`, at);
  }

  private size(type: Type, at: number): Value {
    const t = bare(type);
    if (t.kind === 'record' && t.incomplete)
      throw new ExpressionError(`The size of "${typeName(type)}" is not known.`, at);
    // void and functions count as one byte, as for gcc and gdb.
    const size = t.kind === 'void' || t.kind === 'function' ? 1 : sizeOf(type);
    return Value.ofInteger(this.context.builtin.unsignedLong, BigInt(size), this.context.memory);
  }

  private unary(operator: UnaryOperator, operand: Node, at: number): Value {
    const { builtin, memory } = this.context;
    if (operator === '&') return this.addressOf(this.value(operand), at);
    if (operator === '*') return this.dereference(this.value(operand), at);
    if (operator === '!') return Value.ofInteger(builtin.int, isTrue(this.truth(operand)) ? 0n : 1n, memory);
    const scalar = this.scalar(this.value(operand), at);
    if (scalar.type.kind === 'float') {
      if (operator === '~') throw new ExpressionError('"~" does not apply to floating-point numbers.', at);
      const value = Number(scalar.value);
      return this.ofScalar({ type: scalar.type, value: operator === '-' ? -value : value });
    }
    const whole = scalar.value as bigint;
    const value = operator === '-' ? -whole : operator === '~' ? ~whole : whole;
    return this.ofScalar(convert({ type: scalar.type, value }, scalar.type));
  }

  private addressOf(value: Value, at: number): Value {
    if (value.bits) throw new ExpressionError('A bit field has no address.', at);
    if (value.storage.kind === 'register') {
      throw new ExpressionError(`The value is in register ${value.storage.name} and has no address.`, at);
    }
    if (value.storage.kind === 'absent')
      throw new ExpressionError(`The value has no address: ${value.storage.why}.`, at);
    if (value.address === undefined) throw new ExpressionError('Only a value in memory has an address.', at);
    return this.pointer(pointerTo(value.type, this.context.addressSize), value.address);
  }

  private pointer(type: Type, address: bigint): Value {
    return Value.ofInteger(type, address, this.context.memory);
  }

  /** What a pointer, array or function leads to. An integer is taken for the address of a long, as gdb does. */
  dereference(value: Value, at: number): Value {
    const t = value.bare;
    if (t.kind === 'function') return value;
    if (t.kind === 'array') return value.element(t.element(), 0);
    const target = t.kind === 'pointer' ? t.target() : t.kind === 'integer' ? this.context.builtin.long : undefined;
    if (!target) throw new ExpressionError(`"${typeName(value.type)}" is no pointer.`, at);
    if (bare(target).kind === 'void') {
      throw new ExpressionError('A "void *" leads to something of unknown type: cast it to another pointer type.', at);
    }
    const address = BigInt.asUintN(this.context.addressSize * 8, value.integer());
    return new Value(target, { kind: 'memory', address }, this.context.memory);
  }

  /** Arrays become pointers to their first element, functions pointers to themselves (C17, 6.3.2.1). */
  private decay(value: Value): Value {
    const t = value.bare;
    if (t.kind !== 'array' && t.kind !== 'function') return value;
    if (value.address === undefined) return value;
    const target = t.kind === 'array' ? t.element() : value.type;
    return this.pointer(pointerTo(target, this.context.addressSize), value.address);
  }

  /** A promoted number. Pointers are none. */
  private scalar(value: Value, at: number): Scalar {
    const t = value.bare;
    if (t.kind === 'float') return { type: t, value: value.float() };
    const integer = asInteger(t, this.context.builtin);
    if (!integer) throw new ExpressionError(`An arithmetic value is needed here, not "${typeName(value.type)}".`, at);
    const type = promote(integer, this.context.builtin, value.bits?.bitSize);
    return convert({ type, value: value.integer() }, type);
  }

  private ofScalar(scalar: Scalar): Value {
    return scalar.type.kind === 'float'
      ? Value.ofFloat(scalar.type, Number(scalar.value), this.context.memory)
      : Value.ofInteger(scalar.type, scalar.value as bigint, this.context.memory);
  }

  /** A number for conditions: pointers count as their address */
  private truth(node: Node): Scalar {
    const value = this.decay(this.value(node));
    if (value.bare.kind === 'pointer') return { type: this.context.builtin.unsignedLong, value: value.integer() };
    return this.scalar(value, node.at);
  }

  private binary(operator: BinaryOperator, left: Node, right: Node, at: number): Value {
    const { builtin, memory } = this.context;
    if (operator === '&&' || operator === '||') {
      const first = isTrue(this.truth(left));
      const result = operator === '&&' ? first && isTrue(this.truth(right)) : first || isTrue(this.truth(right));
      return Value.ofInteger(builtin.int, result ? 1n : 0n, memory);
    }
    if (operator === '@') return this.repeated(this.value(left), this.value(right), at);
    return this.operate(operator, this.value(left), this.value(right), at);
  }

  /** A binary operator on values, also for compound assignment */
  operate(operator: BinaryOperator, left: Value, right: Value, at: number): Value {
    const a = this.decay(left);
    const b = this.decay(right);
    if (a.bare.kind === 'pointer' || b.bare.kind === 'pointer') return this.onPointers(operator, a, b, at);
    return this.ofScalar(compute(operator, this.scalar(a, at), this.scalar(b, at), this.context.builtin, at));
  }

  private onPointers(operator: BinaryOperator, a: Value, b: Value, at: number): Value {
    const { builtin, memory } = this.context;
    const bits = this.context.addressSize * 8;
    const [x, y] = [a.bare, b.bare];
    const address = (v: Value) => BigInt.asUintN(bits, this.addressLike(v, at));
    const moved = (pointer: Value, distance: bigint) =>
      this.pointer(pointer.type, BigInt.asUintN(bits, pointer.integer() + distance));
    switch (operator) {
      case '+':
        if (x.kind === 'pointer' && y.kind !== 'pointer') return moved(a, this.addressLike(b, at) * this.stride(a, at));
        if (y.kind === 'pointer' && x.kind !== 'pointer') return moved(b, this.addressLike(a, at) * this.stride(b, at));
        break;
      case '-':
        if (x.kind === 'pointer' && y.kind !== 'pointer')
          return moved(a, -this.addressLike(b, at) * this.stride(a, at));
        if (x.kind === 'pointer' && y.kind === 'pointer') {
          const difference = BigInt.asIntN(bits, a.integer() - b.integer()) / this.stride(a, at);
          return Value.ofInteger(builtin.long, difference, memory);
        }
        break;
      case '==':
      case '!=':
      case '<':
      case '>':
      case '<=':
      case '>=': {
        const word = builtin.unsignedLong;
        const left: Scalar = { type: word, value: address(a) };
        return this.ofScalar(compute(operator, left, { type: word, value: address(b) }, builtin, at));
      }
      default:
        break;
    }
    throw new ExpressionError(
      `"${operator}" does not apply to "${typeName(a.type)}" and "${typeName(b.type)}": cast a pointer to an integer first.`,
      at,
    );
  }

  private addressLike(value: Value, at: number): bigint {
    return value.bare.kind === 'pointer' ? value.integer() : this.wholeNumber(value, at);
  }

  private wholeNumber(value: Value, at: number): bigint {
    const scalar = this.scalar(value, at);
    if (typeof scalar.value === 'bigint') return scalar.value;
    throw new ExpressionError('An integer is needed here, not a floating-point number.', at);
  }

  /** Size of what a pointer points to; void and functions count as one byte, as for gcc */
  private stride(pointer: Value, at: number): bigint {
    const t = pointer.bare;
    const target = bare(t.kind === 'pointer' ? t.target() : t);
    if (target.kind === 'void' || target.kind === 'function') return 1n;
    const size = sizeOf(target);
    if (size > 0) return BigInt(size);
    throw new ExpressionError(`The size of "${typeName(target)}" is not known.`, at);
  }

  private repeated(first: Value, count: Value, at: number): Value {
    const n = this.wholeNumber(count, at);
    if (n < 1n || n > 0x1000_0000n) throw new ExpressionError('The number behind "@" must be from 1 to 2^28.', at);
    if (first.address === undefined) throw new ExpressionError('Only a value in memory can stand before "@".', at);
    return first.as(arrayOf(first.type, Number(n)));
  }

  private index(base: Node, index: Node, at: number): Value {
    let array = this.value(base);
    let position = this.value(index);
    // C lets them change places: 2[a].
    if (asInteger(array.type, this.context.builtin) && !asInteger(position.type, this.context.builtin)) {
      [array, position] = [position, array];
    }
    const n = this.wholeNumber(position, at);
    const t = array.bare;
    if (t.kind === 'array') {
      const inside = n >= 0n && n < BigInt(t.count ?? 0);
      if (array.address === undefined && !inside) throw new ExpressionError(`There is no element ${n}.`, at);
      return array.element(t.element(), n);
    }
    if (t.kind !== 'pointer') throw new ExpressionError(`"${typeName(array.type)}" is neither array nor pointer.`, at);
    return this.dereference(this.operate('+', array, position, at), at);
  }

  /** A member of a struct or union, or of what a pointer to one leads to; "." and "->" both do either, as in gdb */
  private member(base: Value, name: string, at: number): Value {
    const value = base.bare.kind === 'pointer' ? this.dereference(base, at) : base;
    const t = value.bare;
    if (t.kind !== 'record') throw new ExpressionError(`"${typeName(base.type)}" has no members.`, at);
    if (t.incomplete) throw new ExpressionError(`"${typeName(t)}" is declared but defined nowhere in the symbols.`, at);
    const found = findMember(value, t.members(), name, 0);
    if (!found) throw new ExpressionError(`"${typeName(t)}" has no member "${name}".`, at);
    return found;
  }

  /** Converts for a cast, or (not `explicit`) for an assignment */
  convert(value: Value, type: Type, at: number, explicit: boolean): Value {
    const { builtin, memory } = this.context;
    const target = bare(type);
    const from = this.decay(value);
    const refuse = () => new ExpressionError(`"${typeName(value.type)}" cannot become "${typeName(type)}".`, at);
    switch (target.kind) {
      case 'void':
        if (explicit) return new Value(type, { kind: 'bytes', bytes: new Uint8Array(0) }, memory);
        throw refuse();
      case 'integer':
      case 'enumeration':
      case 'float': {
        const result = target.kind === 'float' ? target : asInteger(target, builtin)!;
        const scalar: Scalar =
          from.bare.kind === 'pointer' ? { type: builtin.unsignedLong, value: from.integer() } : this.scalar(from, at);
        const converted = convert(scalar, result);
        return this.ofScalar(converted).as(type);
      }
      case 'pointer': {
        if (from.bare.kind === 'float') throw refuse();
        const address = BigInt.asUintN(target.size * 8, this.addressLike(from, at));
        return this.pointer(type, address);
      }
      case 'record':
      case 'array':
        if (sameType(value.type, type)) return value.as(type);
        if (explicit && target.kind === 'array' && value.address !== undefined) return value.as(type);
        throw refuse();
      case 'function':
        throw refuse();
    }
  }
}

/** A member by name, also inside anonymous structs and unions (C17, 6.7.2.1) */
function findMember(value: Value, members: readonly Member[], name: string, depth: number): Value | undefined {
  for (const member of members) {
    if (member.name === name) return value.member(member);
    const inner = member.name === '' ? bare(member.type()) : undefined;
    if (inner?.kind !== 'record' || depth > 16) continue;
    const found = findMember(value.member(member), inner.members(), name, depth + 1);
    if (found) return found;
  }
  return undefined;
}
