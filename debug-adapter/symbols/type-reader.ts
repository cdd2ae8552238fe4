import { At, Encoding, Tag } from './dwarf-constants';
import type { Entry } from './entry';
import { evaluateNumber } from './dwarf-expression';
import type { Program } from './program';
import { type ArrayType, type Member, type RecordType, type Type, VOID } from './types';

/** Makes C types of type entries (DWARF 5, chapter 5). Each entry is read once; members and targets when asked for. */
export class TypeReader {
  private readonly made = new Map<string, Type>();

  constructor(private readonly program: Program) {}

  /** The type that an entry's DW_AT_type names; void when it names none */
  typeOf(entry: Entry): Type {
    return this.read(this.program.guard(() => entry.type, undefined));
  }

  /** The type that a type entry describes */
  read(entry: Entry | undefined): Type {
    if (!entry) return VOID;
    const key = `${entry.unit.section}${entry.offset}`;
    let type = this.made.get(key);
    if (!type) {
      type = this.program.guard(() => this.make(entry), VOID);
      this.made.set(key, type);
    }
    return type;
  }

  private make(entry: Entry): Type {
    const name = () => entry.string(At.Name) ?? '';
    const size = () => Math.max(0, entry.number(At.ByteSize) ?? 0);
    const target = () => this.typeOf(entry);
    switch (entry.tag) {
      case Tag.BaseType:
        return baseType(name(), size(), entry.number(At.Encoding) ?? 0);
      case Tag.PointerType:
      case Tag.ReferenceType:
      case Tag.RvalueReferenceType:
        return { kind: 'pointer', size: size() || entry.unit.addressSize, target };
      case Tag.Typedef:
        return { kind: 'typedef', name: name(), target };
      case Tag.ConstType:
        return { kind: 'qualified', qualifier: 'const', target };
      case Tag.VolatileType:
        return { kind: 'qualified', qualifier: 'volatile', target };
      case Tag.RestrictType:
        return { kind: 'qualified', qualifier: 'restrict', target };
      case Tag.AtomicType:
        return { kind: 'qualified', qualifier: '_Atomic', target };
      case Tag.StructureType:
        return this.record('struct', entry);
      case Tag.UnionType:
        return this.record('union', entry);
      case Tag.ClassType:
        return this.record('class', entry);
      case Tag.EnumerationType:
        return this.enumeration(entry);
      case Tag.ArrayType:
        return this.array(entry);
      case Tag.SubroutineType:
      case Tag.Subprogram:
        return this.functionType(entry);
      default:
        return VOID;
    }
  }

  functionType(entry: Entry): Type {
    const own = entry.has(At.AbstractOrigin) ? (entry.origin ?? entry) : entry;
    const parameters = () => own.children.filter((c) => c.tag === Tag.FormalParameter).map((c) => this.typeOf(c));
    return {
      kind: 'function',
      returns: () => this.typeOf(own),
      parameters: () => this.program.guard(parameters, []),
      variadic: own.children.some((c) => c.tag === Tag.UnspecifiedParameters),
      prototyped: own.flag(At.Prototyped),
    };
  }

  private record(keyword: RecordType['keyword'], entry: Entry): Type {
    const name = entry.string(At.Name) ?? '';
    if (entry.flag(At.Declaration)) {
      const complete = name === '' ? undefined : this.program.declarations.complete(`${keyword} ${name}`);
      if (complete) return this.read(complete);
      return { kind: 'record', keyword, name, size: 0, members: () => [], incomplete: true };
    }
    let members: readonly Member[] | undefined;
    return {
      kind: 'record',
      keyword,
      name,
      size: Math.max(0, entry.number(At.ByteSize) ?? 0),
      members: () => (members ??= this.program.guard(() => this.members(entry), [])),
      incomplete: false,
    };
  }

  private members(entry: Entry): Member[] {
    return entry.children.filter((c) => c.tag === Tag.Member && !c.flag(At.External)).map((c) => this.member(c));
  }

  private member(entry: Entry): Member {
    const type = () => this.typeOf(entry);
    const name = entry.string(At.Name) ?? '';
    const offset = memberOffset(entry);
    const bitSize = entry.number(At.BitSize);
    if (bitSize === undefined) return { name, type, offset, bits: undefined };
    const direct = entry.number(At.DataBitOffset);
    if (direct !== undefined)
      return { name, type, offset: Math.floor(direct / 8), bits: { bitOffset: direct, bitSize } };
    // DWARF 2 and 3 count from the most significant bit of a storage unit (DWARF 3, 5.6.6).
    const old = entry.number(At.BitOffset) ?? 0;
    const storage = (entry.number(At.ByteSize) ?? typeSize(entry)) * 8;
    return { name, type, offset, bits: { bitOffset: offset * 8 + storage - old - bitSize, bitSize } };
  }

  private enumeration(entry: Entry): Type {
    const name = entry.string(At.Name) ?? '';
    if (entry.flag(At.Declaration)) {
      const complete = this.program.declarations.complete(`enum ${name}`);
      if (complete) return this.read(complete);
    }
    const size = entry.number(At.ByteSize) ?? 4;
    const enumerators = entry.children
      .filter((c) => c.tag === Tag.Enumerator)
      .map((c) => ({ name: c.string(At.Name) ?? '', value: enumeratorValue(c, size) }));
    const signed = enumerators.some((e) => e.value < 0n);
    return { kind: 'enumeration', name, size, signed, enumerators: () => enumerators };
  }

  private array(entry: Entry): Type {
    const dimensions = entry.children.filter((c) => c.tag === Tag.SubrangeType || c.tag === Tag.EnumerationType);
    const element = () => this.typeOf(entry);
    if (dimensions.length === 0) return { kind: 'array', element, count: undefined };
    const counts = dimensions.map(elementCount);
    let type: ArrayType = { kind: 'array', element, count: counts.at(-1) };
    for (const count of counts.slice(0, -1).reverse()) {
      const inner = type;
      type = { kind: 'array', element: () => inner, count };
    }
    return type;
  }
}

/** gcc's names in the words of C: "long unsigned int" is "unsigned long" */
function plainName(name: string): string {
  const words = name.split(' ');
  const unsigned = words.includes('unsigned');
  const rest = words.filter(
    (w) => w !== 'unsigned' && !(w === 'int' && words.some((x) => x === 'long' || x === 'short')),
  );
  return (unsigned ? ['unsigned', ...rest] : rest).join(' ');
}

function baseType(given: string, size: number, encoding: number): Type {
  const name = plainName(given);
  if (encoding === Encoding.Float) return { kind: 'float', name, size };
  const signed = encoding === Encoding.Signed || encoding === Encoding.SignedChar;
  const character = encoding === Encoding.SignedChar || encoding === Encoding.UnsignedChar || encoding === Encoding.Utf;
  const shown = encoding === Encoding.Boolean ? 'boolean' : character ? 'character' : 'number';
  return { kind: 'integer', name, size, signed, shown };
}

/** DW_AT_data_member_location: a constant, or in DWARF 2 an expression that adds to the record's address */
function memberOffset(entry: Entry): number {
  const value = entry.read(At.DataMemberLocation);
  if (value?.kind === 'constant') return Number(value.value);
  if (value?.kind === 'block' || value?.kind === 'expression') {
    const context = { addressSize: 8 as const, bias: 0n, register: () => undefined, memory: () => new Uint8Array(0) };
    return Number(evaluateNumber(value.bytes, context, [0n]) ?? 0n);
  }
  return 0;
}

function typeSize(member: Entry): number {
  let type = member.type;
  for (let hops = 0; type && hops < 16; hops++) {
    const size = type.number(At.ByteSize);
    if (size !== undefined) return size;
    type = type.type;
  }
  return 4;
}

/** A value in data1..data8 form has no sign of its own; an enumerator of the sdata form has. */
function enumeratorValue(entry: Entry, size: number): bigint {
  const value = entry.read(At.ConstValue);
  if (value?.kind !== 'constant') return 0n;
  return value.signed ? value.value : BigInt.asUintN(Math.max(size, value.size || 8) * 8, value.value);
}

function elementCount(dimension: Entry): number | undefined {
  const count = dimension.read(At.Count);
  if (count?.kind === 'constant') return Number(count.value);
  const upper = dimension.read(At.UpperBound);
  if (upper?.kind !== 'constant') return undefined;
  // gcc writes the bound of `int a[0]` as -1; in one or two bytes all ones are a bound of 255 or 65535.
  const minusOne = upper.signed || upper.size === 0 || upper.size >= 4;
  const bound = minusOne ? BigInt.asIntN(upper.size === 4 ? 32 : 64, upper.value) : upper.value;
  const last = bound === -1n ? -1n : upper.value;
  return Number(last) - (dimension.number(At.LowerBound) ?? 0) + 1;
}
