import { At, Tag } from './dwarf-constants';
import type { Entry } from './entry';
import { type Program, declarationsIn } from './program';

/** What the units of a program declare at file scope, by name. Made in one pass when first asked for. */
export class Declarations {
  private tables:
    { variables: Map<string, Entry[]>; types: Map<string, Entry[]>; enumerators: Map<string, Entry[]> } | undefined;

  constructor(private readonly program: Program) {}

  /** Variables with a place (not mere declarations) */
  variables(name: string): readonly Entry[] {
    return this.load().variables.get(name) ?? [];
  }

  /** Enumerators; the parent of each is its enumeration */
  enumerators(name: string): readonly Entry[] {
    return this.load().enumerators.get(name) ?? [];
  }

  /** Types by their name in C: "struct vm", "union u", "enum color", or a typedef or base type's bare name */
  types(name: string): readonly Entry[] {
    return this.load().types.get(name) ?? [];
  }

  /** The definition of a type that a unit only declared */
  complete(name: string): Entry | undefined {
    return this.types(name).find((e) => !e.flag(At.Declaration));
  }

  variableNames(): Iterable<string> {
    return this.load().variables.keys();
  }

  typeNames(): Iterable<string> {
    return this.load().types.keys();
  }

  private load() {
    if (!this.tables) {
      this.tables = { variables: new Map(), types: new Map(), enumerators: new Map() };
      for (const unit of this.program.units.all) {
        this.program.guard(() => {
          for (const entry of declarationsIn(unit.root)) this.add(entry, this.tables!);
        }, undefined);
      }
    }
    return this.tables;
  }

  private add(entry: Entry, tables: NonNullable<Declarations['tables']>): void {
    const put = (map: Map<string, Entry[]>, key: string, value: Entry) => {
      const same = map.get(key);
      if (same) same.push(value);
      else map.set(key, [value]);
    };
    const name = () => entry.string(At.Name);
    switch (entry.tag) {
      case Tag.Variable: {
        const text = entry.has(At.Location) || entry.has(At.ConstValue) ? name() : undefined;
        if (text) put(tables.variables, text, entry);
        return;
      }
      case Tag.StructureType:
      case Tag.UnionType:
      case Tag.ClassType:
      case Tag.EnumerationType: {
        const text = name();
        if (text) put(tables.types, `${KEYWORDS[entry.tag]} ${text}`, entry);
        if (entry.tag !== Tag.EnumerationType) return;
        for (const child of entry.children) {
          const enumerator = child.tag === Tag.Enumerator ? child.string(At.Name) : undefined;
          if (enumerator) put(tables.enumerators, enumerator, child);
        }
        return;
      }
      case Tag.Typedef:
      case Tag.BaseType: {
        const text = name();
        if (text) put(tables.types, text, entry);
        return;
      }
    }
  }
}

const KEYWORDS: Readonly<Record<number, string>> = {
  [Tag.StructureType]: 'struct',
  [Tag.UnionType]: 'union',
  [Tag.ClassType]: 'class',
  [Tag.EnumerationType]: 'enum',
};
