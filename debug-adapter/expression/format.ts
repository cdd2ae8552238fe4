import { type EnumerationType, type IntegerType, type Type, bare, sizeOf, typeName } from '../symbols/types';
import { ExpressionError, type FormatLetter } from './api';
import type { Context } from './context';
import { formatFloat } from './floating-text';
import { characterText, quotedText } from './text';
import { Value } from './value';

export interface FormatOptions {
  readonly letter?: FormatLetter | undefined;
  /** Characters after which an aggregate is cut with "..." */
  readonly budget: number;
}

/** Elements and characters shown at most, and how many equal elements become one, as gdb has them */
const MAX_ELEMENTS = 200;
const REPEATS = 10;
const MAX_NESTING = 12;

/** The text of a value in gdb's notation. Unreadable parts are written as "<...>"; never throws ExpressionError. */
export function formatValue(value: Value, context: Context, options: FormatOptions): string {
  return new Formatter(context, options.letter, options.budget).format(value, 0);
}

class Formatter {
  private left: number;

  constructor(
    private readonly context: Context,
    private readonly letter: FormatLetter | undefined,
    budget: number,
  ) {
    this.left = budget;
  }

  format(value: Value, depth: number): string {
    try {
      const text = this.text(value, depth);
      this.left -= text.length;
      return text;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return error.message.startsWith('<') ? error.message : `<${error.message}>`;
    }
  }

  private text(value: Value, depth: number): string {
    const t = value.bare;
    if (value.storage.kind === 'absent') return `<${value.storage.why}>`;
    switch (t.kind) {
      case 'void':
        return 'void';
      case 'function':
        return `{${typeName(value.type)}} ${this.withSymbol(value.address ?? 0n)}`;
      case 'record':
        return t.incomplete ? '<incomplete type>' : this.record(value, depth);
      case 'array':
        return this.array(value, depth);
      case 'pointer':
        return this.letter !== undefined && this.letter !== 's' ? this.lettered(value) : this.pointer(value);
      case 'float':
        return this.letter !== undefined && this.letter !== 's'
          ? this.lettered(value)
          : formatFloat(value.float(), t.size);
      case 'enumeration':
        return this.letter !== undefined && this.letter !== 's' ? this.lettered(value) : enumText(t, value.integer());
      case 'integer':
        return this.letter !== undefined && this.letter !== 's'
          ? this.lettered(value)
          : integerText(t, value.integer());
    }
  }

  private record(value: Value, depth: number): string {
    const t = value.bare;
    if (t.kind !== 'record') return '';
    if (depth > MAX_NESTING) return '{...}';
    const parts: string[] = [];
    for (const member of t.members()) {
      if (this.left <= 0) {
        parts.push('...');
        break;
      }
      const text = this.format(value.member(member), depth + 1);
      parts.push(member.name === '' ? text : `${member.name} = ${text}`);
      this.left -= member.name.length + 5;
    }
    return `{${parts.join(', ')}}`;
  }

  private array(value: Value, depth: number): string {
    const t = value.bare;
    if (t.kind !== 'array') return '';
    const element = t.element();
    const count = t.count ?? 0;
    // Without a length there is only the place, as of a flexible member.
    if (count === 0 && value.address !== undefined) return this.place(value.address, element);
    if (this.letter === undefined || this.letter === 's') {
      const text = this.characters(value, element, count);
      if (text !== undefined) return text;
    }
    // Bytes that are no text are seldom numbers either: hashes, keys, page contents.
    const e = bare(element);
    const bytes =
      this.letter === undefined && e.kind === 'integer' && e.size === 1 && !e.signed && e.shown === 'character';
    if (depth > MAX_NESTING) return '{...}';
    const parts: string[] = [];
    let shown = 0;
    for (let i = 0; i < count;) {
      if (shown >= MAX_ELEMENTS || this.left <= 0) return `{${parts.join(', ')}...}`;
      const text = bytes ? hexByte(value.element(element, i)) : this.format(value.element(element, i), depth + 1);
      const repeats = this.repeats(value, element, i, count);
      if (repeats >= REPEATS) {
        parts.push(`${text} <repeats ${repeats} times>`);
        i += repeats;
        shown += REPEATS;
      } else {
        parts.push(text);
        i++;
        shown++;
      }
    }
    return `{${parts.join(', ')}}`;
  }

  /** How many elements from `start` on have the same bytes, as far as they can be read and up to a megabyte */
  private repeats(value: Value, element: Type, start: number, count: number): number {
    const size = sizeOf(element);
    if (size === 0) return 1;
    const most = Math.min(count - start, Math.max(REPEATS, Math.floor(2 ** 20 / size)));
    // Most runs are short: begin with little.
    for (let look = Math.min(most, REPEATS * 2); ; look = Math.min(most, look * 16)) {
      const bytes = this.readable(value, start * size, look * size);
      let end = size;
      while (end < bytes.length && bytes[end] === bytes[end - size]) end++;
      const same = Math.max(1, Math.floor(end / size));
      if (same < look || look === most) return same;
    }
  }

  private readable(value: Value, offset: number, length: number): Uint8Array {
    try {
      return value.bytes(offset, length);
    } catch (error) {
      if (error instanceof ExpressionError) return new Uint8Array(0);
      throw error;
    }
  }

  /** Text of an array of plain `char`, or of byte-sized integers that hold nothing but text */
  private characters(value: Value, element: Type, count: number): string | undefined {
    const t = bare(element);
    if (t.kind !== 'integer' || t.size !== 1 || t.shown !== 'character' || count === 0) return undefined;
    const bytes = value.bytes(0, Math.min(count, MAX_ELEMENTS));
    const nul = bytes.indexOf(0);
    const text = nul < 0 ? bytes : bytes.subarray(0, nul);
    if (t.name !== 'char' && this.letter !== 's') {
      const printable = text.length > 0 && text.every((b) => (b >= 32 && b < 127) || b === 10 || b === 9);
      if (!printable || (nul >= 0 && bytes.subarray(nul).some((b) => b !== 0))) return undefined;
    }
    return quotedText(text) + (nul < 0 && count > MAX_ELEMENTS ? '...' : '');
  }

  private pointer(value: Value): string {
    const t = value.bare;
    return this.place(value.integer(), t.kind === 'pointer' ? t.target() : t);
  }

  /** An address with its symbol, and the string there when characters are there */
  private place(address: bigint, target: Type): string {
    const text = this.withSymbol(address);
    const t = bare(target);
    if (t.kind !== 'integer' || t.size !== 1 || t.shown !== 'character' || address === 0n) return text;
    const string = this.stringAt(address, t.name === 'char' || this.letter === 's');
    return string === undefined ? text : `${text} ${string}`;
  }

  /** The C string at an address; when it need not be one (`certain` false), only if it looks like one */
  private stringAt(address: bigint, certain: boolean): string | undefined {
    const bytes = this.context.memory(address, MAX_ELEMENTS);
    if (bytes.length === 0) return certain ? `<Cannot access memory at address 0x${address.toString(16)}>` : undefined;
    const nul = bytes.indexOf(0);
    const text = nul < 0 ? bytes : bytes.subarray(0, nul);
    if (!certain && (nul <= 0 || !text.every((b) => (b >= 32 && b < 127) || b === 10 || b === 9))) return undefined;
    return quotedText(text) + (nul < 0 ? '...' : '');
  }

  private withSymbol(address: bigint): string {
    const text = `0x${address.toString(16)}`;
    const symbol = address === 0n ? undefined : this.context.set.symbolAt(address);
    if (!symbol) return text;
    return `${text} <${symbol.name}${symbol.offset === 0n ? '' : `+${symbol.offset}`}>`;
  }

  /** A scalar by a format letter: its bytes as a number of that notation */
  private lettered(value: Value): string {
    const t = value.bare;
    const bits = value.bits?.bitSize ?? value.size * 8;
    const raw = t.kind === 'float' ? BigInt(Math.trunc(finite(value.float()))) : value.integer();
    const unsigned = BigInt.asUintN(bits, raw);
    switch (this.letter) {
      case 'x':
        return `0x${unsigned.toString(16)}`;
      case 'z':
        return `0x${unsigned.toString(16).padStart(value.size * 2, '0')}`;
      case 'o':
        return unsigned === 0n ? '0' : `0${unsigned.toString(8)}`;
      case 't':
        return unsigned.toString(2);
      case 'd':
        return BigInt.asIntN(bits, raw).toString();
      case 'u':
        return unsigned.toString();
      case 'c': {
        const signed = t.kind === 'integer' ? t.signed : t.kind !== 'pointer';
        const byte = signed ? BigInt.asIntN(8, raw) : BigInt.asUintN(8, raw);
        return `${byte} ${characterText(Number(BigInt.asUintN(8, byte)))}`;
      }
      case 'a':
        // A signed number is extended to an address, as C would.
        return this.withSymbol(BigInt.asUintN(this.context.addressSize * 8, raw));
      default:
        return integerText(this.context.builtin.ofSize(value.size, true), raw);
    }
  }
}

const hexByte = (value: Value) => `0x${value.integer().toString(16).padStart(2, '0')}`;

const finite = (value: number) => (Number.isFinite(value) ? value : 0);

function integerText(type: IntegerType, value: bigint): string {
  if (type.shown === 'boolean') return value === 0n ? 'false' : value === 1n ? 'true' : value.toString();
  if (type.shown === 'character' && type.size === 1)
    return `${value} ${characterText(Number(BigInt.asUintN(8, value)))}`;
  return value.toString();
}

/** The enumerator; for a set of flags their names joined with "|", with what is left over; else the number */
function enumText(type: EnumerationType, value: bigint): string {
  const enumerators = type.enumerators();
  const exact = enumerators.find((e) => e.value === value);
  if (exact) return exact.name;
  if (!isFlags(enumerators.map((e) => e.value))) return value.toString();
  if (value === 0n) return '0';
  const names: string[] = [];
  let rest = value;
  for (const { name, value: flag } of enumerators) {
    if (flag !== 0n && (rest & flag) === flag) {
      names.push(name);
      rest &= ~flag;
    }
  }
  if (rest !== 0n) names.push(`unknown: 0x${rest.toString(16)}`);
  return `(${names.join(' | ')})`;
}

/** Whether each value is one bit, or 0 */
function isFlags(values: readonly bigint[]): boolean {
  return values.some((v) => v !== 0n) && values.every((v) => v >= 0n && (v & (v - 1n)) === 0n);
}
