import type { ElfSymbol } from '../../emulator/machine/elf';
import { toBytes } from '../symbols/bytes';
import { At, Tag } from '../symbols/dwarf-constants';
import type { Entry } from '../symbols/entry';
import { LexicalBlock, type Scope } from '../symbols/functions';
import type { LoadedProgram } from '../symbols/program-set';
import { readRegister, registerPart } from '../symbols/register-numbers';
import { type Type, VOID, arrayOf, bare, pointerTo, sizeOf } from '../symbols/types';
import { locateVariable } from '../symbols/variable-location';
import type { Context } from './context';
import { Value, storageOf } from './value';

/** A declaration that is visible in a scope. */
export interface Declared {
  readonly name: string;
  readonly entry: Entry;
  readonly parameter: boolean;
}

/** Finds what a name means: scopes of the frame from the inside out, its unit, its image, the other images, registers. */
export class Names {
  constructor(private readonly context: Context) {}

  /** Variable, enumerator, function or ELF symbol; undefined when there is none */
  value(name: string): Value | undefined {
    return this.local(name) ?? this.global(name);
  }

  /** A register by name; parts such as eax and ah too */
  register(name: string): Value | undefined {
    const { context } = this;
    const { builtin, memory } = context;
    const alias = ALIASES[name] ?? name;
    const part = registerPart(alias);
    const whole = context.register(part?.whole ?? alias);
    const value = readRegister(alias, (n) => context.register(n));
    if (whole === undefined || value === undefined) return undefined;
    const wide = part === undefined || part.bits === 64;
    const size = wide ? context.addressSize : part.bits / 8;
    const narrow = part !== undefined && wide && context.addressSize === 4;
    let type: Type = builtin.ofSize(size, part !== undefined);
    if (part?.whole === 'rip') {
      const code: Type = {
        kind: 'function',
        returns: () => VOID,
        parameters: () => [],
        variadic: false,
        prototyped: false,
      };
      type = pointerTo(code, context.addressSize);
    } else if ((part?.whole === 'rsp' || part?.whole === 'rbp') && wide) {
      type = pointerTo(VOID, context.addressSize);
    } else if (part?.whole === 'rflags') {
      type = builtin.unsignedInt;
    } else if (part === undefined) {
      // Control and system registers keep their 64 bits in every mode.
      type = builtin.unsignedLongLong;
    } else if (part.bits === 8) {
      type = { ...builtin.ofSize(1, true), shown: 'number', name: 'int8_t' };
    }
    const shift = part?.shift ?? 0;
    const bytes = toBytes(whole >> BigInt(shift), narrow ? 4 : 8);
    const depth = part === undefined ? 0 : (context.place.frame?.depth ?? 0);
    return new Value(type, { kind: 'register', name: part?.whole ?? alias, bytes, depth, shift }, memory);
  }

  /** A type by its name in C; the frame's own scopes and unit come first */
  type(name: string): Type | undefined {
    for (const scope of this.scopes()) {
      const entry = localType(scope.entry, name) ?? (scope.entry.origin && localType(scope.entry.origin, name));
      if (entry) return scope.program.types.read(entry);
    }
    for (const image of this.images()) {
      const { program } = image;
      const found = program.guard(() => program.declarations.types(name), []);
      const unit = this.context.place.frame?.scope?.entry.unit;
      const complete = found.filter((e) => !e.flag(At.Declaration));
      const entry = complete.find((e) => e.unit === unit) ?? complete[0] ?? found[0];
      if (entry) return program.types.read(entry);
    }
    return undefined;
  }

  /** Variables and parameters in sight, innermost scope first; a name appears once for each scope that declares it */
  locals(): Declared[] {
    return this.scopes().flatMap((scope) => this.declared(scope));
  }

  /** Scopes of the frame's function, innermost first: its blocks at the place, then itself */
  private scopes(): Scope[] {
    const { frame, image } = { frame: this.context.place.frame, image: this.context.image };
    if (!frame?.scope || !image) return [];
    const chain = image.program.scopesAt(image.toLink(frame.lookup));
    const start = chain.indexOf(frame.scope);
    if (start < 0) return [frame.scope];
    const scopes: Scope[] = [frame.scope];
    // Up to the next inlined call, which is another frame.
    for (const inner of chain.slice(start + 1)) {
      if (!(inner instanceof LexicalBlock)) break;
      scopes.unshift(inner);
    }
    return scopes;
  }

  private declared(scope: Scope): Declared[] {
    const read = () =>
      scope.declarations.map((entry) => ({
        name: entry.string(At.Name) ?? '',
        entry,
        parameter: entry.tag === Tag.FormalParameter,
      }));
    return scope.program.guard(read, []).filter((d) => d.name !== '');
  }

  private local(name: string): Value | undefined {
    const { image } = this.context;
    if (!image) return undefined;
    for (const scope of this.scopes()) {
      const found = this.declared(scope).find((d) => d.name === name);
      if (found?.entry.flag(At.Declaration)) return this.global(name);
      if (found) return this.variable(found.entry, image);
      const constant = localEnumerator(scope.entry, name);
      if (constant) return this.enumerator(constant, image);
      // Declared in the function as written, but nothing is left of it in this instance.
      const lost = scope.entry.origin?.children.find((e) => e.tag === Tag.Variable && e.string(At.Name) === name);
      if (lost) return this.variable(lost, image);
    }
    return undefined;
  }

  private global(name: string): Value | undefined {
    for (const image of this.images()) {
      const found = image.program.guard(() => this.inImage(name, image), undefined);
      if (found) return found;
    }
    for (const image of this.images()) {
      const symbol = image.program.elfSymbols.named(name).at(-1);
      if (symbol) return this.elfSymbol(symbol, image);
    }
    return undefined;
  }

  private inImage(name: string, image: LoadedProgram): Value | undefined {
    const { program } = image;
    const unit = image === this.context.image ? this.context.place.frame?.scope?.entry.unit : undefined;
    const prefer = (entries: readonly Entry[]) =>
      entries.find((e) => e.unit === unit) ?? entries.find((e) => this.isExternal(e)) ?? entries[0];
    const variable = prefer(program.declarations.variables(name));
    if (variable) return this.variable(variable, image);
    const constant = prefer(program.declarations.enumerators(name));
    if (constant) return this.enumerator(constant, image);
    const functions = program.subprogramsNamed(name);
    const subprogram = functions.find((f) => f.entry.unit === unit) ?? functions[0];
    if (!subprogram) return undefined;
    const type = program.types.functionType(subprogram.entry);
    return new Value(type, { kind: 'memory', address: image.toRun(subprogram.address) }, this.context.memory);
  }

  private isExternal(entry: Entry): boolean {
    const external = entry.inherited(At.External);
    return external?.kind === 'flag' && external.value;
  }

  variable(entry: Entry, image: LoadedProgram): Value {
    const { context } = this;
    const type = image.program.types.typeOf(entry);
    const damaged = { kind: 'absent', why: 'its debug information is damaged' } as const;
    const location = image.program.guard(
      () => locateVariable(entry, image, context.place.frame, context.memory),
      damaged,
    );
    const register = (number: number) => context.registerByNumber(number);
    const storage = storageOf(location, sizeOf(type), register, context.memory, context.place.frame?.depth ?? 0);
    return new Value(type, storage, context.memory);
  }

  private enumerator(entry: Entry, image: LoadedProgram): Value | undefined {
    const type = image.program.types.read(entry.parent);
    const t = bare(type);
    if (t.kind !== 'enumeration') return undefined;
    const name = entry.string(At.Name);
    const found = t.enumerators().find((e) => e.name === name);
    return found && Value.ofInteger(type, found.value, this.context.memory);
  }

  /** A symbol of assembly: code is a function, data what its size says */
  private elfSymbol(symbol: ElfSymbol, image: LoadedProgram): Value {
    const { builtin, memory } = this.context;
    let type: Type;
    if (image.program.elfSymbols.isCode(symbol)) {
      const code: Type = {
        kind: 'function', returns: () => builtin.int, parameters: () => [], variadic: false, prototyped: false,
      }; // prettier-ignore
      type = code;
    } else {
      const size = Number(symbol.size);
      if (size === 0) type = builtin.ofSize(this.context.addressSize, false);
      else if ([1, 2, 4, 8].includes(size)) type = builtin.ofSize(size, false);
      else type = arrayOf(builtin.unsignedChar, size);
    }
    return new Value(type, { kind: 'memory', address: image.toRun(symbol.value) }, memory);
  }

  /** The frame's image first */
  private images(): LoadedProgram[] {
    const { image, set } = this.context;
    return image ? [image, ...set.images.filter((i) => i !== image)] : [...set.images];
  }
}

const ALIASES: Readonly<Record<string, string>> = { pc: 'rip', sp: 'rsp', fp: 'rbp', ip: 'rip' };

const TAGS: Readonly<Record<string, number>> = {
  struct: Tag.StructureType,
  union: Tag.UnionType,
  class: Tag.ClassType,
  enum: Tag.EnumerationType,
};

/** A type declared inside a function or block */
function localType(parent: Entry, name: string): Entry | undefined {
  const [, keyword, tag] = /^(?:(struct|union|class|enum) )?(.*)$/.exec(name)!;
  const wanted = keyword === undefined ? [Tag.Typedef] : [TAGS[keyword]];
  return parent.children.find((e) => wanted.includes(e.tag as never) && e.string(At.Name) === tag);
}

function localEnumerator(parent: Entry, name: string): Entry | undefined {
  for (const child of parent.children) {
    if (child.tag !== Tag.EnumerationType) continue;
    const found = child.children.find((e) => e.tag === Tag.Enumerator && e.string(At.Name) === name);
    if (found) return found;
  }
  return undefined;
}
