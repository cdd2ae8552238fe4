import { ExpressionError } from './api';

export type Token =
  | {
      readonly kind: 'integer';
      readonly at: number;
      readonly value: bigint;
      readonly suffix: string;
      readonly decimal: boolean;
    }
  | { readonly kind: 'float'; readonly at: number; readonly value: number; readonly suffix: string }
  | { readonly kind: 'character'; readonly at: number; readonly value: bigint }
  | { readonly kind: 'string'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'identifier'; readonly at: number; readonly text: string }
  | { readonly kind: 'register'; readonly at: number; readonly text: string }
  | { readonly kind: 'punctuator'; readonly at: number; readonly text: string }
  | { readonly kind: 'end'; readonly at: number };

/** Longest first, so that the first match is the longest. `@` makes an array of what follows in memory, as in gdb. */
const PUNCTUATORS = [
  '<<=', '>>=', '...', '->', '++', '--', '<<', '>>', '<=', '>=', '==', '!=', '&&', '||', '+=', '-=', '*=', '/=', '%=', '&=',
  '^=', '|=', '::', '+', '-', '*', '/', '%', '&', '|', '^', '~', '!', '<', '>', '=', '?', ':', '(', ')', '[', ']', '{', '}',
  '.', ',', '@', ';',
]; // prettier-ignore

/** Splits a C expression (C17, 6.4) into tokens; the last one is 'end'. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    const blank = /^\s+/.exec(rest);
    if (blank) {
      at += blank[0].length;
      continue;
    }
    const { token, length } = next(rest, at);
    tokens.push(token);
    at += length;
  }
  tokens.push({ kind: 'end', at: text.length });
  return tokens;
}

function next(rest: string, at: number): { token: Token; length: number } {
  const word = /^[A-Za-z_][\w$]*/.exec(rest)?.[0];
  const quoted = /^(?:[uUL]|u8)?(['"])/.exec(rest);
  if (quoted) return literal(rest, at, quoted[0].length, quoted[1]!);
  if (word !== undefined) return { token: { kind: 'identifier', at, text: word }, length: word.length };
  const register = /^[$%]([A-Za-z_][\w.]*)/.exec(rest);
  // "%" is also the remainder; only "$" always means a register.
  if (register && rest.startsWith('$')) {
    return { token: { kind: 'register', at, text: register[1]!.toLowerCase() }, length: register[0].length };
  }
  if (/^\.?\d/.test(rest)) return number(rest, at);
  const punctuator = PUNCTUATORS.find((p) => rest.startsWith(p));
  if (punctuator === undefined) throw new ExpressionError(`Unexpected character "${rest[0]}".`, at);
  return { token: { kind: 'punctuator', at, text: punctuator }, length: punctuator.length };
}

function number(rest: string, at: number): { token: Token; length: number } {
  const text = /^(?:0[xX][\dA-Fa-f']*(?:\.[\dA-Fa-f]*)?(?:[pP][-+]?\d+)?|[\d']*\.?[\d']*(?:[eE][-+]?\d+)?)[\w.]*/.exec(
    rest,
  )![0];
  const length = text.length;
  const digits = text.replaceAll("'", '');
  const integer = /^(0[xX][\dA-Fa-f]+|0[bB][01]+|\d+)([uUlL]*)$/.exec(digits);
  if (integer) {
    const [, body, suffix] = integer;
    if (!/^(?:u?(?:l|ll)?|(?:l|ll)u)$/i.test(suffix!) || /lL|Ll/.test(suffix!)) {
      throw new ExpressionError(`"${suffix}" is no suffix of an integer.`, at);
    }
    const octal = /^0\d/.test(body!);
    if (octal && /[89]/.test(body!)) throw new ExpressionError(`"${text}" is no octal number.`, at);
    const value = BigInt(octal ? `0o${body!.slice(1)}` : body!);
    const decimal = /^[1-9]/.test(body!);
    return { token: { kind: 'integer', at, value, suffix: suffix!.toLowerCase(), decimal }, length };
  }
  const float = /^(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?([fFlL]?)$/.exec(digits);
  if (!float) throw new ExpressionError(`"${text}" is no number.`, at);
  const value = Number(`${float[1]}${float[2] ?? ''}`);
  return { token: { kind: 'float', at, value, suffix: float[3]!.toLowerCase() }, length };
}

const ESCAPES: Readonly<Record<string, number>> = {
  a: 7, b: 8, e: 27, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, "'": 39, '"': 34, '?': 63,
}; // prettier-ignore

function literal(rest: string, at: number, start: number, quote: string): { token: Token; length: number } {
  const bytes: number[] = [];
  let i = start;
  for (;;) {
    const c = rest[i];
    if (c === undefined)
      throw new ExpressionError(`The ${quote === "'" ? 'character' : 'string'} has no closing ${quote}.`, at);
    if (c === quote) break;
    if (c !== '\\') {
      const point = String.fromCodePoint(rest.codePointAt(i)!);
      bytes.push(...new TextEncoder().encode(point));
      i += point.length;
      continue;
    }
    const numeric = /^\\(?:x([\dA-Fa-f]+)|([0-7]{1,3}))/.exec(rest.slice(i));
    const simple = ESCAPES[rest[i + 1] ?? ''];
    if (numeric) {
      bytes.push(parseInt(numeric[1] ?? numeric[2]!, numeric[1] === undefined ? 8 : 16) & 0xff);
      i += numeric[0].length;
    } else if (simple !== undefined) {
      bytes.push(simple);
      i += 2;
    } else {
      throw new ExpressionError(`"\\${rest[i + 1] ?? ''}" is no escape sequence.`, at + i);
    }
  }
  const length = i + 1;
  if (quote === '"') return { token: { kind: 'string', at, bytes: Uint8Array.from(bytes) }, length };
  if (bytes.length !== 1) throw new ExpressionError('A character constant must hold exactly one byte.', at);
  return { token: { kind: 'character', at, value: BigInt.asIntN(8, BigInt(bytes[0]!)) }, length };
}
