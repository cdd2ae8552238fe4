import type { WriteRequest } from '../symbols/api';
import { At } from '../symbols/dwarf-constants';
import type { ProgramSet } from '../symbols/program-set';
import type { EvaluationPlace, FormatLetter, NamedValue } from './api';
import { ExpressionError } from './api';
import { writeRequest } from './assign';
import { Context } from './context';
import { Evaluation } from './evaluate';
import { Names, type Declared } from './names';
import { parse } from './parser';
import type { Node } from './syntax';
import type { Value } from './value';
import { View } from './view';

const LETTERS = 'xduotcsaz';

/** Evaluates C expressions and lists variables at one place. See api.ts for its use. Changes nothing itself. */
export class Evaluator {
  private readonly context: Context;
  private readonly names: Names;
  private readonly evaluation: Evaluation;

  constructor(set: ProgramSet, place: EvaluationPlace) {
    this.context = new Context(set, place);
    this.names = new Names(this.context);
    this.evaluation = new Evaluation(this.context, this.names);
  }

  /**
   * The value of an expression, with an optional format behind a comma or as gdb's prefix: "flags,x", "/x flags". For an
   * assignment the value is the one to be assigned, and `write` says what to write. Throws ExpressionError.
   */
  evaluate(text: string): View & { readonly write?: WriteRequest } {
    const { expression, letter } = splitFormat(text);
    const node = this.parse(expression);
    if (node.kind !== 'assign') return this.view(this.evaluation.value(node), expression, letter);
    const { target, value } = this.assignment(node);
    const write = writeRequest(target, value, this.context, node.at);
    return Object.assign(this.view(value, '', letter), { write });
  }

  /** What to write so that `target` (an expression) gets the value of `text` (another). Throws ExpressionError. */
  assign(target: string, text: string): WriteRequest {
    return this.assignText(this.evaluation.value(this.parse(splitFormat(target).expression)), text);
  }

  /** Parameters of the frame's function, in order */
  arguments(): NamedValue[] {
    return this.declared((d) => d.parameter);
  }

  /** Local variables in sight, innermost scope first; one that an inner one hides has no evaluateName */
  locals(): NamedValue[] {
    return this.declared((d) => !d.parameter);
  }

  /** Variables at file scope of the frame's unit; without a frame, those of every image */
  globals(): NamedValue[] {
    const unit = this.context.place.frame?.scope?.entry.unit;
    const images = this.context.image ? [this.context.image] : this.context.set.images;
    const found: NamedValue[] = [];
    for (const image of images) {
      const { declarations } = image.program;
      for (const name of declarations.variableNames()) {
        for (const entry of declarations.variables(name)) {
          if (unit && entry.unit !== unit) continue;
          const value = this.names.variable(entry, image);
          found.push({ name, evaluateName: name, value: this.view(value, name, undefined) });
        }
      }
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** The names that can stand here, for completion */
  visibleNames(): string[] {
    const locals = this.names.locals().map((d) => d.name);
    const globals = this.context.set.images.flatMap((i) => [...i.program.declarations.variableNames()]);
    return [...new Set([...locals, ...globals])];
  }

  private declared(wanted: (d: Declared) => boolean): NamedValue[] {
    const { image } = this.context;
    if (!image) return [];
    const seen = new Set<string>();
    const found: NamedValue[] = [];
    for (const declared of this.names.locals()) {
      const hidden = seen.has(declared.name);
      seen.add(declared.name);
      if (!wanted(declared)) continue;
      const extern = declared.entry.flag(At.Declaration) ? this.names.value(declared.name) : undefined;
      const value = extern ?? this.names.variable(declared.entry, image);
      const expression = hidden ? '' : declared.name;
      const view = this.view(value, expression, undefined);
      found.push({ name: declared.name, evaluateName: expression === '' ? undefined : expression, value: view });
    }
    return found;
  }

  private parse(text: string): Node {
    const isVariable = (name: string) => this.names.value(name) !== undefined;
    return parse(text, (name) => this.names.type(name), this.context.builtin, isVariable);
  }

  private view(value: Value, expression: string, letter: FormatLetter | undefined): View {
    const assign = (target: Value, text: string) => this.assignText(target, text);
    return new View(value, expression.trim(), this.context, assign, letter);
  }

  private assignment(node: Extract<Node, { kind: 'assign' }>): { target: Value; value: Value } {
    const target = this.evaluation.value(node.target);
    const right = this.evaluation.value(node.value);
    const result = node.operator ? this.evaluation.operate(node.operator, target, right, node.at) : right;
    return { target, value: this.evaluation.convert(result, target.type, node.at, false) };
  }

  private assignText(target: Value, text: string): WriteRequest {
    const value = this.evaluation.value(this.parse(splitFormat(text).expression));
    return writeRequest(target, this.evaluation.convert(value, target.type, 0, false), this.context, 0);
  }
}

/** Separates a format: "expression,x" as in Visual Studio, "/x expression" as in gdb */
function splitFormat(text: string): { expression: string; letter: FormatLetter | undefined } {
  const prefix = /^\s*\/([a-z])\s+(.*)$/s.exec(text);
  const suffix = /^(.*),\s*([a-z])\s*$/s.exec(text);
  const letter = prefix?.[1] ?? suffix?.[2];
  const expression = prefix?.[2] ?? suffix?.[1] ?? text;
  if (letter === undefined) return { expression, letter };
  if (!LETTERS.includes(letter)) {
    throw new ExpressionError(
      `"${letter}" is no format. Formats are ${[...LETTERS].join(', ')}.`,
      text.indexOf(letter),
    );
  }
  return { expression, letter: letter as FormatLetter };
}
