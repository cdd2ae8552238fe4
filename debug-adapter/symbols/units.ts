import { type Abbreviation, readAbbreviations } from './abbreviations';
import { DwarfError, isDamage } from './dwarf-error';
import { UnitType } from './dwarf-constants';
import { Entry } from './entry';
import type { DwarfSections } from './sections';
import { Unit } from './unit';

/** All units of an image. Headers are read at once, contents when asked for. */
export class Units {
  /** Compilation (and partial) units in file order */
  readonly compile: readonly Unit[];
  /** What could not be read; the rest is usable. */
  readonly problems = new Set<string>();
  private readonly abbreviationTables = new Map<number, (code: number) => Abbreviation | undefined>();
  /** Type units too */
  readonly all: Unit[] = [];
  private readonly types = new Map<bigint, Unit>();
  private readonly entries = new Map<number, Entry>();

  constructor(readonly sections: DwarfSections) {
    this.scan('.debug_info');
    this.scan('.debug_types');
    this.compile = this.all.filter((u) => u.unitType === UnitType.Compile || u.unitType === UnitType.Partial);
    if (this.all.some((u) => u.unitType === UnitType.Skeleton)) {
      this.problems.add('The image was built with -gsplit-dwarf. Build it without, so that it contains its symbols.');
    }
  }

  private scan(section: string): void {
    this.guard(() => {
      const cursor = this.sections.cursor(section);
      while (!cursor.done) {
        const unit = Unit.read(this, section, cursor);
        cursor.seek(unit.end);
        // A unit whose own entry cannot be read is left out; the others may be sound.
        if (!this.guard(() => unit.root, undefined)) continue;
        this.all.push(unit);
        if (unit.signature !== undefined) this.types.set(unit.signature, unit);
      }
    }, undefined);
  }

  /** Runs a reader of debug information; when that is broken, notes the problem and gives `otherwise`. */
  guard<T>(read: () => T, otherwise: T): T {
    try {
      return read();
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.problems.add(error.message);
      return otherwise;
    }
  }

  abbreviationsAt(offset: number): (code: number) => Abbreviation | undefined {
    let table = this.abbreviationTables.get(offset);
    if (!table)
      this.abbreviationTables.set(offset, (table = readAbbreviations(this.sections.cursor('.debug_abbrev', offset))));
    return table;
  }

  /**
   * The entry at an offset of the section; `hint` is the unit to try first. Entries found this way have no parent.
   * The same offset gives the same object, so types can be cached by it.
   */
  entryAt(section: string, offset: number, hint?: Unit): Entry {
    const inside = (u: Unit) => u.section === section && offset >= u.first && offset < u.end;
    const unit = hint && inside(hint) ? hint : this.all.find(inside);
    if (!unit) throw new DwarfError(section, offset, 'reference leads outside every unit');
    const key = section === '.debug_info' ? offset : -offset;
    let entry = this.entries.get(key);
    if (!entry) this.entries.set(key, (entry = Entry.read(unit, offset, undefined)));
    return entry;
  }

  typeBySignature(signature: bigint): Entry | undefined {
    const unit = this.types.get(signature);
    return unit?.typeOffset === undefined ? undefined : this.entryAt(unit.section, unit.typeOffset, unit);
  }
}
