/**
 * The C evaluator as the session uses it. Usage:
 *
 *   const evaluator = new Evaluator(programSet, { memory, registers, frame, addressSize });
 *   const value = evaluator.evaluate('vm->pages[3].owner,x');     // throws ExpressionError
 *   value.text, value.typeName, value.address, value.children(0, 100)
 *   evaluator.assign('count', '3')                                // a WriteRequest
 *   evaluator.locals(), evaluator.arguments(), evaluator.globals()
 */
import type { Frame, MemoryReader, WriteRequest } from '../symbols/api';

/** Where an expression is evaluated. */
export interface EvaluationPlace {
  readonly memory: MemoryReader;
  /** Whole registers by the machine's name ("rax", "cr3"): of the innermost frame, for those that frames do not restore */
  readonly registers: (name: string) => bigint | undefined;
  /** Undefined: only globals, types, functions and registers */
  readonly frame: Frame | undefined;
  /** Default: that of the frame's image */
  readonly addressSize?: 4 | 8;
}

/** What is wrong with an expression and at which character; the message is for the user. */
export class ExpressionError extends Error {
  override name = 'ExpressionError';
  constructor(
    message: string,
    /** Index in the expression, from 0; -1 when it concerns no place */
    readonly position = -1,
  ) {
    super(message);
  }
}

/** gdb's format letters: x hex, d decimal, u unsigned, o octal, t binary, c character, s string, a address with symbol, z hex padded */
export type FormatLetter = 'x' | 'd' | 'u' | 'o' | 't' | 'c' | 's' | 'a' | 'z';

/** A child in a variables tree. */
export interface NamedValue {
  readonly name: string;
  /** An expression that gives the same value in the same frame; undefined when there is none */
  readonly evaluateName: string | undefined;
  readonly value: ValueView;
}

/** A value as a variables tree shows it. */
export interface ValueView {
  /** One line: a number, a pointer with symbol or string, a summary of a struct */
  readonly text: string;
  /** As in C: "struct vm *" */
  readonly typeName: string;
  /** Where it lies, when it lies in memory */
  readonly address: bigint | undefined;
  /** The bytes that hold it, or the register of the innermost frame; undefined: it is computed */
  readonly stored: { readonly address: bigint; readonly length: number } | { readonly register: string } | undefined;
  /** For "view memory": the address that the value itself holds (pointer) or has (aggregate) */
  readonly memoryReference: bigint | undefined;
  /** Members or the pointee */
  readonly namedChildren: number;
  /** Array elements */
  readonly indexedChildren: number;
  /** Children from `start`, at most `count`; named ones come before indexed ones */
  children(start?: number, count?: number): NamedValue[];
  /** Formatted anew */
  format(letter: FormatLetter | undefined): string;
  /** What to write so that it becomes the text's value (an expression in the same frame). Throws ExpressionError. */
  assign(text: string): WriteRequest;
}
