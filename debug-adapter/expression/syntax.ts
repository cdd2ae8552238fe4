import type { Type } from '../symbols/types';

export type UnaryOperator = '+' | '-' | '~' | '!' | '*' | '&';
export type BinaryOperator =
  | '*' | '/' | '%' | '+' | '-' | '<<' | '>>' | '<' | '>' | '<=' | '>=' | '==' | '!=' | '&' | '^' | '|' | '&&' | '||' | '@'; // prettier-ignore

/** An expression as parsed; `at` is the character where an error in it is reported. */
export type Node = { readonly at: number } & (
  | { readonly kind: 'integer'; readonly value: bigint; readonly suffix: string; readonly decimal: boolean }
  | { readonly kind: 'float'; readonly value: number; readonly suffix: string }
  | { readonly kind: 'character'; readonly value: bigint }
  | { readonly kind: 'string'; readonly bytes: Uint8Array }
  | { readonly kind: 'identifier'; readonly name: string }
  | { readonly kind: 'register'; readonly name: string }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly operand: Node }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Node; readonly right: Node }
  | { readonly kind: 'conditional'; readonly test: Node; readonly yes: Node; readonly no: Node }
  | { readonly kind: 'cast'; readonly type: Type; readonly operand: Node }
  | { readonly kind: 'sizeofType'; readonly type: Type }
  | { readonly kind: 'sizeof'; readonly operand: Node }
  | { readonly kind: 'index'; readonly base: Node; readonly index: Node }
  | { readonly kind: 'member'; readonly base: Node; readonly name: string; readonly arrow: boolean }
  /** `target operator= value`; for `=` the operator is undefined */
  | {
      readonly kind: 'assign';
      readonly target: Node;
      readonly operator: BinaryOperator | undefined;
      readonly value: Node;
    }
);
