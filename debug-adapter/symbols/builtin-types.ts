import { type FloatType, type IntegerType, type Type, VOID } from './types';

/** C's own types with the sizes of the System V ABIs: LP64 for 8-byte addresses, ILP32 for 4. */
export class BuiltinTypes {
  readonly int = integer('int', 4, true);
  readonly unsignedInt = integer('unsigned int', 4, false);
  readonly long: IntegerType;
  readonly unsignedLong: IntegerType;
  readonly longLong = integer('long long', 8, true);
  readonly unsignedLongLong = integer('unsigned long long', 8, false);
  readonly char = integer('char', 1, true, 'character');
  readonly unsignedChar = integer('unsigned char', 1, false, 'character');
  readonly bool = integer('_Bool', 1, false, 'boolean');
  readonly double: FloatType = { kind: 'float', name: 'double', size: 8 };
  readonly float: FloatType = { kind: 'float', name: 'float', size: 4 };
  private readonly fixed: ReadonlyMap<string, Type>;

  constructor(readonly addressSize: 4 | 8) {
    this.long = integer('long', addressSize, true);
    this.unsignedLong = integer('unsigned long', addressSize, false);
    const named = new Map<string, Type>();
    const define = (name: string, type: Type) => named.set(name, { kind: 'typedef', name, target: () => type });
    for (const size of [1, 2, 4, 8]) {
      define(`int${size * 8}_t`, this.ofSize(size, true));
      define(`uint${size * 8}_t`, this.ofSize(size, false));
    }
    define('size_t', this.ofSize(addressSize, false));
    define('uintptr_t', this.ofSize(addressSize, false));
    define('intptr_t', this.ofSize(addressSize, true));
    define('bool', this.bool);
    this.fixed = named;
  }

  /** An integer of 1, 2, 4, 8 or 16 bytes */
  ofSize(size: number, signed: boolean): IntegerType {
    switch (size) {
      case 1:
        return signed ? integer('signed char', 1, true, 'character') : this.unsignedChar;
      case 2:
        return signed ? integer('short', 2, true) : integer('unsigned short', 2, false);
      case 4:
        return signed ? this.int : this.unsignedInt;
      case 16:
        return signed ? integer('__int128', 16, true) : integer('unsigned __int128', 16, false);
      default:
        if (this.addressSize === 8) return signed ? this.long : this.unsignedLong;
        return signed ? this.longLong : this.unsignedLongLong;
    }
  }

  /** uint64_t and its like, for images whose debug information does not have them */
  typedefNamed(name: string): Type | undefined {
    return this.fixed.get(name);
  }

  /** The type that C's type words name in any order ("unsigned", "long long int"); undefined for a wrong combination */
  fromWords(words: readonly string[]): Type | undefined {
    const count = (word: string) => words.filter((w) => w === word).length;
    const signs = count('signed') + count('unsigned');
    const longs = count('long');
    const base = words.filter((w) => !['signed', 'unsigned', 'long', 'short'].includes(w));
    if (base.length > 1 || signs > 1 || longs > 2 || count('short') > 1 || (longs > 0 && count('short') > 0))
      return undefined;
    const unsigned = count('unsigned') === 1;
    switch (base[0] ?? 'int') {
      case 'void':
        return words.length === 1 ? VOID : undefined;
      case '_Bool':
        return words.length === 1 ? this.bool : undefined;
      case 'float':
        return words.length === 1 ? this.float : undefined;
      case 'double':
        if (signs > 0 || longs > 1 || count('short') > 0) return undefined;
        return longs === 1
          ? { kind: 'float', name: 'long double', size: this.addressSize === 8 ? 16 : 12 }
          : this.double;
      case 'char':
        if (longs > 0 || count('short') > 0) return undefined;
        return signs === 0 ? this.char : this.ofSize(1, !unsigned);
      case '__int128':
        return longs + count('short') > 0 ? undefined : this.ofSize(16, !unsigned);
      case 'int':
        if (count('short') > 0) return this.ofSize(2, !unsigned);
        if (longs === 2) return unsigned ? this.unsignedLongLong : this.longLong;
        if (longs === 1) return unsigned ? this.unsignedLong : this.long;
        return unsigned ? this.unsignedInt : this.int;
      default:
        return undefined;
    }
  }
}

function integer(name: string, size: number, signed: boolean, shown: IntegerType['shown'] = 'number'): IntegerType {
  return { kind: 'integer', name, size, signed, shown };
}

/** The words that can make up a built-in type */
export const TYPE_WORDS: ReadonlySet<string> = new Set([
  'void',
  'char',
  'short',
  'int',
  'long',
  'signed',
  'unsigned',
  'float',
  'double',
  '_Bool',
  '__int128',
]);
