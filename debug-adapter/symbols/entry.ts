import type { Abbreviation } from './abbreviations';
import type { Cursor } from './cursor';
import { At, Form } from './dwarf-constants';
import { type AttributeValue, SECTION_OFFSET_ATTRIBUTES, readForm, skipForm } from './forms';
import type { Unit } from './unit';

/**
 * A debugging information entry. Only its place and shape are kept: attributes are decoded when asked for, children
 * when first wanted. So opening a large image costs nothing for the parts that nobody looks at. What cannot be read is
 * as if it were absent, and noted as a problem of the image.
 */
export class Entry {
  private childList: readonly Entry[] | undefined;

  private constructor(
    readonly unit: Unit,
    readonly offset: number,
    readonly abbreviation: Abbreviation,
    /** Where the attribute values start */
    private readonly values: number,
    readonly parent: Entry | undefined,
  ) {}

  static read(unit: Unit, offset: number, parent: Entry | undefined): Entry {
    const cursor = unit.cursor(offset);
    const entry = Entry.next(unit, cursor, parent);
    if (!entry) throw cursor.error('there is no entry here', offset);
    return entry;
  }

  /** The entry at the cursor, which moves to its values; undefined for the null entry that ends a list of siblings. */
  private static next(unit: Unit, cursor: Cursor, parent: Entry | undefined): Entry | undefined {
    const offset = cursor.at;
    const code = cursor.uleb();
    if (code === 0) return undefined;
    const abbreviation = unit.abbreviation(code);
    if (!abbreviation) throw cursor.error(`abbreviation ${code} is not declared`, offset);
    return new Entry(unit, offset, abbreviation, cursor.at, parent);
  }

  get tag(): number {
    return this.abbreviation.tag;
  }

  get children(): readonly Entry[] {
    return (this.childList ??= this.readChildren());
  }

  private readChildren(): Entry[] {
    if (!this.abbreviation.hasChildren) return [];
    const children: Entry[] = [];
    this.unit.units.guard(() => {
      const cursor = this.unit.cursor(this.values);
      skipValues(this.abbreviation, cursor, this.unit);
      // A unit's list may lack its final null entry.
      while (!cursor.done) {
        const child = Entry.next(this.unit, cursor, this);
        if (!child) break;
        children.push(child);
        child.skipTree(cursor);
      }
    }, undefined);
    return children;
  }

  /** Moves a cursor that stands at this entry's values behind its whole tree. */
  private skipTree(cursor: Cursor): void {
    const { abbreviation, unit } = this;
    if (abbreviation.hasChildren && abbreviation.sibling >= 0) {
      const sibling = this.read(At.Sibling);
      if (sibling?.kind === 'reference' && sibling.offset > cursor.at) return cursor.seek(sibling.offset);
    }
    skipValues(abbreviation, cursor, unit);
    let depth = abbreviation.hasChildren ? 1 : 0;
    while (depth > 0 && !cursor.done) {
      const code = cursor.uleb();
      if (code === 0) {
        depth--;
        continue;
      }
      const inner = unit.abbreviation(code);
      if (!inner) throw cursor.error(`abbreviation ${code} is not declared`);
      skipValues(inner, cursor, unit);
      if (inner.hasChildren) depth++;
    }
  }

  has(attribute: number): boolean {
    return this.abbreviation.names.includes(attribute);
  }

  /** The attribute's value as stored in this very entry */
  read(attribute: number): AttributeValue | undefined {
    const { names } = this.abbreviation;
    const index = names.indexOf(attribute);
    if (index < 0) return undefined;
    return this.unit.units.guard(() => this.decode(attribute, index), undefined);
  }

  private decode(attribute: number, index: number): AttributeValue {
    const { forms, constants } = this.abbreviation;
    const cursor = this.unit.cursor(this.values);
    for (let i = 0; i < index; i++) skipForm(forms[i]!, cursor, this.unit);
    const form = forms[index]!;
    const value = readForm(form, cursor, this.unit, constants[index]);
    // Before DWARF 4 there was no DW_FORM_sec_offset.
    if (
      this.unit.version < 4 &&
      value.kind === 'constant' &&
      (form === Form.Data4 || form === Form.Data8) &&
      SECTION_OFFSET_ATTRIBUTES.has(attribute)
    ) {
      return { kind: 'section', offset: Number(value.value) };
    }
    return value;
  }

  /**
   * The attribute here, or in the entry that this one completes or instantiates (DW_AT_abstract_origin,
   * DW_AT_specification; DWARF 5, 2.13 and 3.3.8.1).
   */
  inherited(attribute: number): AttributeValue | undefined {
    return this.throughOrigins((entry) => entry.read(attribute));
  }

  /** The entry behind DW_AT_abstract_origin or DW_AT_specification */
  get origin(): Entry | undefined {
    return this.reference(At.AbstractOrigin) ?? this.reference(At.Specification);
  }

  string(attribute: number): string | undefined {
    const value = this.inherited(attribute);
    return value?.kind === 'string' ? value.value : undefined;
  }

  /** A constant as a number; undefined when absent or of another class */
  number(attribute: number): number | undefined {
    const value = this.inherited(attribute);
    return value?.kind === 'constant' ? Number(value.value) : undefined;
  }

  flag(attribute: number): boolean {
    const value = this.read(attribute);
    return value?.kind === 'flag' && value.value;
  }

  reference(attribute: number): Entry | undefined {
    const value = this.read(attribute);
    const { unit } = this;
    const { units } = unit;
    if (value?.kind === 'reference')
      return units.guard(() => units.entryAt(unit.section, value.offset, unit), undefined);
    if (value?.kind === 'signature') return units.guard(() => units.typeBySignature(value.value), undefined);
    return undefined;
  }

  /** DW_AT_type, also through the abstract origin; undefined means void */
  get type(): Entry | undefined {
    return this.throughOrigins((entry) => entry.reference(At.Type));
  }

  /** The first answer of this entry or the chain of its origins; damaged chains may be circular, so only 8 are followed */
  throughOrigins<T>(ask: (entry: Entry) => T | undefined, hops = 8): T | undefined {
    return ask(this) ?? (hops > 0 ? this.origin?.throughOrigins(ask, hops - 1) : undefined);
  }
}

function skipValues(abbreviation: Abbreviation, cursor: Cursor, unit: Unit): void {
  const forms = abbreviation.forms;
  for (let i = 0; i < forms.length; i++) skipForm(forms[i]!, cursor, unit);
}
