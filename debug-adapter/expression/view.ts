import { type Member, type Type, bare, sizeOf, typeName } from '../symbols/types';
import type { WriteRequest } from '../symbols/api';
import { type FormatLetter, type NamedValue, type ValueView } from './api';
import type { Context } from './context';
import { formatValue } from './format';
import { Value } from './value';

/** Characters of an aggregate's summary in a tree */
const SUMMARY = 100;

/** Assigns the value of an expression's text; given by the evaluator, which knows names. */
export type Assign = (target: Value, text: string) => WriteRequest;

/** A value as a tree shows it. Children are made when asked for. */
export class View implements ValueView {
  constructor(
    readonly value: Value,
    /** An expression for this value, '' when there is none */
    private readonly expression: string,
    private readonly context: Context,
    private readonly assignText: Assign,
    private readonly letter: FormatLetter | undefined,
  ) {}

  get text(): string {
    return formatValue(this.value, this.context, { letter: this.letter, budget: SUMMARY });
  }

  /** The whole text, as in a console: arrays up to 200 elements */
  get completeText(): string {
    return formatValue(this.value, this.context, { letter: this.letter, budget: Infinity });
  }

  get typeName(): string {
    return typeName(this.value.type);
  }

  get address(): bigint | undefined {
    return this.value.address;
  }

  get stored(): ValueView['stored'] {
    const { storage, bits, size } = this.value;
    if (storage.kind === 'register') return storage.depth === 0 ? { register: storage.name } : undefined;
    if (storage.kind !== 'memory') return undefined;
    const first = bits ? Math.floor(bits.bitOffset / 8) : 0;
    const length = bits ? Math.ceil((bits.bitOffset + bits.bitSize) / 8) - first : size;
    return length > 0 ? { address: BigInt.asUintN(64, storage.address + BigInt(first)), length } : undefined;
  }

  get memoryReference(): bigint | undefined {
    return this.pointee() ?? this.value.address;
  }

  get namedChildren(): number {
    const t = this.value.bare;
    if (t.kind === 'record') return this.members(t.members()).length;
    const target = this.target();
    if (!target) return 0;
    const inner = bare(target);
    return inner.kind === 'record' ? this.members(inner.members()).length : 1;
  }

  get indexedChildren(): number {
    const t = this.value.bare;
    return t.kind === 'array' ? (t.count ?? 0) : 0;
  }

  children(start = 0, count = Infinity): NamedValue[] {
    const t = this.value.bare;
    if (t.kind === 'array') return this.elements(t.element(), start, Math.min(t.count ?? 0, start + count));
    if (t.kind === 'record') return this.memberViews(this.value, '.').slice(start, start + count);
    const target = this.target();
    if (!target) return [];
    const pointee = this.pointeeValue(target);
    if (bare(target).kind === 'record') return this.memberViews(pointee, '->').slice(start, start + count);
    const name = `*${this.operand}`;
    const own = this.expression === '' ? '*' : `*${this.expression}`;
    return [this.named(own, pointee, this.expression === '' ? '' : name)].slice(start, start + count);
  }

  format(letter: FormatLetter | undefined): string {
    return formatValue(this.value, this.context, { letter, budget: SUMMARY });
  }

  assign(text: string): WriteRequest {
    return this.assignText(this.value, text);
  }

  /** The expression in a form that a postfix operator can follow */
  private get operand(): string {
    return /^[\w$]+(?:(?:\.|->)\w+|\[\w+\])*$/.test(this.expression) ? this.expression : `(${this.expression})`;
  }

  private named(name: string, value: Value, expression: string): NamedValue {
    const view = new View(value, expression, this.context, this.assignText, this.letter);
    return { name, evaluateName: expression === '' ? undefined : expression, value: view };
  }

  private elements(type: Type, start: number, end: number): NamedValue[] {
    const elements: NamedValue[] = [];
    for (let i = start; i < end; i++) {
      const expression = this.expression === '' ? '' : `${this.operand}[${i}]`;
      elements.push(this.named(`[${i}]`, this.value.element(type, i), expression));
    }
    return elements;
  }

  private memberViews(record: Value, operator: '.' | '->'): NamedValue[] {
    const t = record.bare;
    if (t.kind !== 'record') return [];
    return this.members(t.members()).map(({ path, name }) => {
      const expression = this.expression === '' ? '' : `${this.operand}${operator}${name}`;
      const value = path.reduce((outer, member) => outer.member(member), record);
      return this.named(name, value, expression);
    });
  }

  /** Members with those of anonymous structs and unions in their place */
  private members(members: readonly Member[], path: readonly Member[] = []): { path: Member[]; name: string }[] {
    return members.flatMap((member) => {
      const here = [...path, member];
      if (member.name !== '') return [{ path: here, name: member.name }];
      const inner = bare(member.type());
      return inner.kind === 'record' && path.length < 16 ? this.members(inner.members(), here) : [];
    });
  }

  /** What a pointer points to, when that has a size; undefined for others and for null */
  private target(): Type | undefined {
    const t = this.value.bare;
    if (t.kind !== 'pointer' || !this.pointee()) return undefined;
    const target = t.target();
    return sizeOf(target) > 0 ? target : undefined;
  }

  private pointee(): bigint | undefined {
    const t = this.value.bare;
    if (t.kind !== 'pointer') return undefined;
    try {
      return this.value.integer();
    } catch {
      // Optimized out, or in memory that is not there: it leads nowhere.
      return undefined;
    }
  }

  private pointeeValue(type: Type): Value {
    return new Value(type, { kind: 'memory', address: this.pointee() ?? 0n }, this.context.memory);
  }
}
