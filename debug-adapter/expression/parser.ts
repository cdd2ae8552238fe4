import { BuiltinTypes, TYPE_WORDS } from '../symbols/builtin-types';
import { type Type, arrayOf, bare, pointerTo } from '../symbols/types';
import { ExpressionError } from './api';
import { type Token, tokenize } from './lexer';
import type { BinaryOperator, Node, UnaryOperator } from './syntax';

/** Finds types by their name in C: "struct vm", or a typedef's bare name. */
export type TypeFinder = (name: string) => Type | undefined;

/** Binding strength of binary operators (C17, 6.5.5 to 6.5.14); `@` binds as in gdb, looser than + and -. */
const PRECEDENCE: Readonly<Record<string, number>> = {
  '||': 1, '&&': 2, '|': 3, '^': 4, '&': 5, '==': 6, '!=': 6, '<': 7, '>': 7, '<=': 7, '>=': 7, '<<': 8, '>>': 8,
  '+': 10, '-': 10, '*': 11, '/': 11, '%': 11, '@': 9,
}; // prettier-ignore

const ASSIGNMENTS: ReadonlySet<string> = new Set(['=', '*=', '/=', '%=', '+=', '-=', '<<=', '>>=', '&=', '^=', '|=']);
const UNARY: ReadonlySet<string> = new Set(['+', '-', '~', '!', '*', '&']);
const QUALIFIERS: ReadonlySet<string> = new Set(['const', 'volatile', 'restrict', '_Atomic']);
const TAGS: ReadonlySet<string> = new Set(['struct', 'union', 'enum', 'class']);
const MAX_DEPTH = 200;

/** Parses one C expression. `isVariable` decides for a name that is both a variable and a typedef. */
export function parse(
  text: string,
  types: TypeFinder,
  builtin: BuiltinTypes,
  isVariable: (name: string) => boolean = () => false,
): Node {
  return new Parser(tokenize(text), types, builtin, isVariable).whole();
}

class Parser {
  private position = 0;
  private depth = 0;

  constructor(
    private readonly tokens: readonly Token[],
    private readonly types: TypeFinder,
    private readonly builtin: BuiltinTypes,
    private readonly isVariable: (name: string) => boolean,
  ) {}

  whole(): Node {
    if (this.peek().kind === 'end') throw new ExpressionError('The expression is empty.', 0);
    const node = this.assignment();
    if (this.isPunctuator(',')) {
      throw new ExpressionError('The comma operator is not supported: evaluate the parts one by one.', this.peek().at);
    }
    if (this.peek().kind !== 'end') throw this.unexpected();
    return node;
  }

  private peek(): Token {
    return this.tokens[this.position]!;
  }

  private isPunctuator(text: string, ahead = 0): boolean {
    const token = this.tokens[Math.min(this.position + ahead, this.tokens.length - 1)]!;
    return token.kind === 'punctuator' && token.text === text;
  }

  private accept(text: string): boolean {
    if (!this.isPunctuator(text)) return false;
    this.position++;
    return true;
  }

  private expect(text: string): void {
    if (!this.accept(text)) throw this.unexpected(`"${text}" is expected here`);
  }

  private unexpected(what?: string): ExpressionError {
    const token = this.peek();
    if (token.kind === 'end') {
      return new ExpressionError(`${what ?? 'The expression is incomplete'}, but it ends.`, token.at);
    }
    const found = 'text' in token ? `"${token.text}"` : token.kind === 'string' ? 'a string' : 'a number';
    return new ExpressionError(what === undefined ? `Unexpected ${found}.` : `${what}, not ${found}.`, token.at);
  }

  /** Damaged or malicious input must not exhaust the stack. */
  private nested<T>(parse: () => T): T {
    if (++this.depth > MAX_DEPTH) throw new ExpressionError('The expression is nested too deeply.', this.peek().at);
    const result = parse();
    this.depth--;
    return result;
  }

  private assignment(): Node {
    return this.nested(() => {
      const target = this.conditional();
      const token = this.peek();
      if (token.kind !== 'punctuator' || !ASSIGNMENTS.has(token.text)) return target;
      this.position++;
      const operator = token.text === '=' ? undefined : (token.text.slice(0, -1) as BinaryOperator);
      return { kind: 'assign', at: token.at, target, operator, value: this.assignment() };
    });
  }

  private conditional(): Node {
    const test = this.binary(1);
    const at = this.peek().at;
    if (!this.accept('?')) return test;
    const yes = this.nested(() => this.conditional());
    this.expect(':');
    return { kind: 'conditional', at, test, yes, no: this.nested(() => this.conditional()) };
  }

  private binary(least: number): Node {
    let left = this.unary();
    for (;;) {
      const token = this.peek();
      const strength = token.kind === 'punctuator' ? PRECEDENCE[token.text] : undefined;
      if (token.kind !== 'punctuator' || strength === undefined || strength < least) return left;
      this.position++;
      const right = this.binary(strength + 1);
      left = { kind: 'binary', at: token.at, operator: token.text as BinaryOperator, left, right };
    }
  }

  private unary(): Node {
    return this.nested(() => {
      const token = this.peek();
      if (token.kind === 'punctuator') {
        if (UNARY.has(token.text)) {
          this.position++;
          return { kind: 'unary', at: token.at, operator: token.text as UnaryOperator, operand: this.unary() };
        }
        if (token.text === '++' || token.text === '--') {
          this.position++;
          return this.increment(token.text, this.unary(), token.at);
        }
        if (token.text === '{') return this.bracedCast();
        if (token.text === '(' && this.startsType(1)) return this.cast();
      }
      if (token.kind === 'identifier' && token.text === 'sizeof') return this.sizeof();
      return this.postfix();
    });
  }

  private increment(operator: string, target: Node, at: number): Node {
    const one: Node = { kind: 'integer', at, value: 1n, suffix: '', decimal: true };
    return { kind: 'assign', at, target, operator: operator === '++' ? '+' : '-', value: one };
  }

  private cast(): Node {
    const { at } = this.peek();
    this.expect('(');
    const type = this.typeName();
    this.expect(')');
    if (this.isPunctuator('{')) throw new ExpressionError('Compound literals are not supported.', at);
    return { kind: 'cast', at, type, operand: this.unary() };
  }

  /** gdb's `{type} address`: the object of that type at the address */
  private bracedCast(): Node {
    const { at } = this.peek();
    this.expect('{');
    const type = this.typeName();
    this.expect('}');
    const pointer = pointerTo(type, this.builtin.addressSize);
    return { kind: 'unary', at, operator: '*', operand: { kind: 'cast', at, type: pointer, operand: this.unary() } };
  }

  private sizeof(): Node {
    const { at } = this.peek();
    this.position++;
    if (!this.isPunctuator('(') || !this.startsType(1)) return { kind: 'sizeof', at, operand: this.unary() };
    this.expect('(');
    const type = this.typeName();
    this.expect(')');
    return { kind: 'sizeofType', at, type };
  }

  private postfix(): Node {
    let node = this.primary();
    for (;;) {
      const token = this.peek();
      if (token.kind !== 'punctuator') return node;
      switch (token.text) {
        case '[': {
          this.position++;
          const index = this.nested(() => this.assignment());
          this.expect(']');
          node = { kind: 'index', at: token.at, base: node, index };
          break;
        }
        case '.':
        case '->': {
          this.position++;
          const name = this.peek();
          if (name.kind !== 'identifier') throw this.unexpected('The name of a member is expected here');
          this.position++;
          node = { kind: 'member', at: name.at, base: node, name: name.text, arrow: token.text === '->' };
          break;
        }
        case '(':
          throw new ExpressionError(
            'Functions cannot be called: that would run the machine. Read variables and memory instead.',
            token.at,
          );
        case '++':
        case '--':
          this.position++;
          node = this.increment(token.text, node, token.at);
          break;
        default:
          return node;
      }
    }
  }

  private primary(): Node {
    const token = this.peek();
    this.position++;
    switch (token.kind) {
      case 'integer':
      case 'float':
      case 'character':
      case 'string':
        return token;
      case 'register':
        return { kind: 'register', at: token.at, name: token.text };
      case 'identifier':
        return { kind: 'identifier', at: token.at, name: token.text };
      case 'punctuator':
        if (token.text === '(') {
          const inner = this.nested(() => this.assignment());
          if (this.isPunctuator(',')) {
            throw new ExpressionError(
              'The comma operator is not supported: evaluate the parts one by one.',
              this.peek().at,
            );
          }
          this.expect(')');
          return inner;
        }
        break;
      case 'end':
        break;
    }
    this.position--;
    throw this.unexpected();
  }

  /** Whether the token `ahead` begins the name of a type */
  private startsType(ahead: number): boolean {
    const token = this.tokens[Math.min(this.position + ahead, this.tokens.length - 1)]!;
    if (token.kind !== 'identifier') return false;
    if (TYPE_WORDS.has(token.text) || QUALIFIERS.has(token.text) || TAGS.has(token.text)) return true;
    return !this.isVariable(token.text) && this.named(token.text) !== undefined;
  }

  private named(name: string): Type | undefined {
    return this.types(name) ?? this.builtin.typedefNamed(name);
  }

  private typeName(): Type {
    const base = this.specifiers();
    return this.abstractDeclarator(base);
  }

  private specifiers(): Type {
    const words: string[] = [];
    const start = this.peek();
    let named: Type | undefined;
    for (;;) {
      const token = this.peek();
      if (token.kind !== 'identifier') break;
      if (QUALIFIERS.has(token.text)) {
        this.position++;
      } else if (TYPE_WORDS.has(token.text)) {
        words.push(token.text);
        this.position++;
      } else if (TAGS.has(token.text)) {
        this.position++;
        const tag = this.peek();
        if (tag.kind !== 'identifier') throw this.unexpected(`The name of a ${token.text} is expected here`);
        named = this.types(`${token.text} ${tag.text}`);
        if (!named) throw new ExpressionError(`There is no "${token.text} ${tag.text}" here.`, tag.at);
        this.position++;
      } else if (words.length === 0 && !named) {
        named = this.named(token.text);
        if (!named) throw new ExpressionError(`"${token.text}" is no type here.`, token.at);
        this.position++;
      } else break;
    }
    if (named && words.length === 0) return named;
    const type = named || words.length === 0 ? undefined : this.builtin.fromWords(words);
    if (!type) throw new ExpressionError('This is no type of C.', start.at);
    return type;
  }

  /** Stars, arrays and functions around nothing (C17, 6.7.7) */
  private abstractDeclarator(base: Type): Type {
    let type = base;
    while (this.accept('*')) {
      type = pointerTo(type, this.builtin.addressSize);
      for (let q = this.peek(); q.kind === 'identifier' && QUALIFIERS.has(q.text); q = this.peek()) this.position++;
    }
    const nested = this.isPunctuator('(') && (this.isPunctuator('*', 1) || this.isPunctuator('(', 1));
    if (!nested) return this.suffixes(type);
    // What stands inside the parentheses applies to what stands behind them, which must be read first.
    this.expect('(');
    const inside = this.position;
    this.skipParenthesis();
    const outer = this.suffixes(type);
    const behind = this.position;
    this.position = inside;
    const result = this.nested(() => this.abstractDeclarator(outer));
    this.expect(')');
    this.position = behind;
    return result;
  }

  private skipParenthesis(): void {
    for (let open = 1; open > 0; this.position++) {
      if (this.peek().kind === 'end') throw this.unexpected('")" is expected here');
      if (this.isPunctuator('(')) open++;
      if (this.isPunctuator(')')) open--;
    }
  }

  private suffixes(type: Type): Type {
    if (this.accept('[')) {
      const count = this.peek();
      if (count.kind !== 'integer') throw this.unexpected('The number of elements is expected here');
      this.position++;
      this.expect(']');
      return arrayOf(this.suffixes(type), Number(count.value));
    }
    if (!this.accept('(')) return type;
    const parameters: Type[] = [];
    let variadic = false;
    const prototyped = !this.isPunctuator(')');
    while (!this.isPunctuator(')')) {
      if (this.accept('...')) variadic = true;
      else parameters.push(this.nested(() => this.typeName()));
      if (!this.accept(',')) break;
    }
    this.expect(')');
    const list = parameters.length === 1 && bare(parameters[0]!).kind === 'void' ? [] : parameters;
    return { kind: 'function', returns: () => type, parameters: () => list, variadic, prototyped };
  }
}
