/** C types, as debug information describes them or as the language has them built in. */
export type Type =
  | VoidType
  | IntegerType
  | FloatType
  | PointerType
  | ArrayType
  | RecordType
  | EnumerationType
  | TypedefType
  | QualifiedType
  | FunctionType;

export interface VoidType {
  readonly kind: 'void';
}

/** Integers, characters and _Bool */
export interface IntegerType {
  readonly kind: 'integer';
  readonly name: string;
  /** Bytes */
  readonly size: number;
  readonly signed: boolean;
  /** How it is shown: a character also as such, a boolean as true or false */
  readonly shown: 'number' | 'character' | 'boolean';
}

export interface FloatType {
  readonly kind: 'float';
  readonly name: string;
  readonly size: number;
}

export interface PointerType {
  readonly kind: 'pointer';
  readonly size: number;
  readonly target: () => Type;
}

export interface ArrayType {
  readonly kind: 'array';
  readonly element: () => Type;
  /** Undefined: unknown, as in `extern int a[]` or a flexible member */
  readonly count: number | undefined;
}

export interface Member {
  /** '' for an anonymous struct or union */
  readonly name: string;
  readonly type: () => Type;
  /** Bytes from the start of the record */
  readonly offset: number;
  /** A bit field: `bitOffset` from the start of the record, little-endian numbering */
  readonly bits: { readonly bitOffset: number; readonly bitSize: number } | undefined;
}

export interface RecordType {
  readonly kind: 'record';
  readonly keyword: 'struct' | 'union' | 'class';
  readonly name: string;
  readonly size: number;
  readonly members: () => readonly Member[];
  /** Declared but never defined anywhere */
  readonly incomplete: boolean;
}

export interface EnumerationType {
  readonly kind: 'enumeration';
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly enumerators: () => readonly { readonly name: string; readonly value: bigint }[];
}

export interface TypedefType {
  readonly kind: 'typedef';
  readonly name: string;
  readonly target: () => Type;
}

export interface QualifiedType {
  readonly kind: 'qualified';
  readonly qualifier: 'const' | 'volatile' | 'restrict' | '_Atomic';
  readonly target: () => Type;
}

export interface FunctionType {
  readonly kind: 'function';
  readonly returns: () => Type;
  readonly parameters: () => readonly Type[];
  /** Ends with "..." */
  readonly variadic: boolean;
  /** False for `f()`, which says nothing of its parameters */
  readonly prototyped: boolean;
}

/** A type without its typedefs and qualifiers */
export type BareType = Exclude<Type, TypedefType | QualifiedType>;

export const VOID: VoidType = { kind: 'void' };

/** Removes typedefs and qualifiers. A circular chain, which only damaged information has, becomes void. */
export function bare(type: Type): BareType {
  let current = type;
  for (let hops = 0; hops < 64; hops++) {
    if (current.kind !== 'typedef' && current.kind !== 'qualified') return current;
    current = current.target();
  }
  return VOID;
}

/** Bytes; 0 for void, functions and what has no size. Damaged information gives 0, never an endless loop. */
export function sizeOf(type: Type, depth = 0): number {
  const t = bare(type);
  switch (t.kind) {
    case 'void':
    case 'function':
      return 0;
    case 'array':
      return depth > 32 ? 0 : (t.count ?? 0) * sizeOf(t.element(), depth + 1);
    default:
      return t.size;
  }
}

/** The type as written in C: "struct vm *", "int [3][4]", "int (*)(int)" */
export function typeName(type: Type): string {
  return declare(type, '', 0);
}

/** Wraps the declarator `inner` (what stands where the name would) into the type, from the inside out. */
function declare(type: Type, inner: string, depth: number): string {
  if (depth > 32) return `...${inner}`;
  const join = (text: string) => (inner === '' ? text : `${text} ${inner}`);
  switch (type.kind) {
    case 'void':
      return join('void');
    case 'integer':
    case 'float':
    case 'typedef':
      return join(type.name);
    case 'record':
      return join(type.name === '' ? `${type.keyword} {...}` : `${type.keyword} ${type.name}`);
    case 'enumeration':
      return join(type.name === '' ? 'enum {...}' : `enum ${type.name}`);
    case 'qualified': {
      const { target, words } = unqualified(type);
      // The qualifiers of an array are those of its elements, which have them too.
      if (target.kind === 'array') return declare(target, inner, depth + 1);
      // A qualified pointer has the words behind the star, everything else in front.
      if (target.kind === 'pointer') {
        const behind = inner === '' || inner.startsWith('[') ? inner : ` ${inner}`;
        return declare(target, ` ${words}${behind}`, depth + 1);
      }
      return `${words} ${declare(target, inner, depth + 1)}`;
    }
    case 'pointer': {
      const target = type.target();
      const shape = unqualified(target).target.kind;
      const star = `*${inner}`;
      return declare(target, shape === 'array' || shape === 'function' ? `(${star})` : star, depth + 1);
    }
    case 'array': {
      const suffix = `[${type.count ?? ''}]`;
      const tight = inner === '' || inner.endsWith(']') || inner.endsWith(')');
      const glued = tight ? inner + suffix : `${inner} ${suffix}`;
      return declare(type.element(), glued, depth + 1);
    }
    case 'function': {
      const parameters = type.parameters().map((p) => declare(p, '', depth + 1));
      if (type.variadic) parameters.push('...');
      const list = parameters.length > 0 ? parameters.join(', ') : type.prototyped ? 'void' : '';
      return declare(type.returns(), inner === '' ? `(${list})` : `${inner}(${list})`, depth + 1);
    }
  }
}

const QUALIFIER_ORDER = ['const', 'volatile', 'restrict', '_Atomic'] as const;

/** A type without its qualifiers, and these in the usual order */
function unqualified(type: Type): { target: Type; words: string } {
  const found = new Set<string>();
  let target = type;
  for (let hops = 0; target.kind === 'qualified' && hops < 16; hops++) {
    found.add(target.qualifier);
    target = target.target();
  }
  return { target, words: QUALIFIER_ORDER.filter((word) => found.has(word)).join(' ') };
}

export const pointerTo = (target: Type, size: 4 | 8): PointerType => ({ kind: 'pointer', size, target: () => target });

export const arrayOf = (element: Type, count: number): ArrayType => ({ kind: 'array', element: () => element, count });

/** Whether two types are the same for pointer arithmetic and assignment: same shape, same tags and names */
export function sameType(a: Type, b: Type): boolean {
  const x = bare(a);
  const y = bare(b);
  return x === y || (x.kind === y.kind && sizeOf(x) === sizeOf(y) && typeName(x) === typeName(y));
}
