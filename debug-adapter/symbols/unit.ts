import type { Abbreviation } from './abbreviations';
import type { Cursor } from './cursor';
import { At, UnitType } from './dwarf-constants';
import { Entry } from './entry';
import type { Units } from './units';
import type { DwarfSections } from './sections';

/** Header of a unit (DWARF 5, 7.5.1), version 2 to 5, and what its first entry says about the whole unit. */
export class Unit {
  readonly sections: DwarfSections;
  private rootEntry: Entry | undefined;
  private bases: { strings: number; addresses: number; ranges: number; locations: number } | undefined;

  constructor(
    readonly units: Units,
    /** '.debug_info', or '.debug_types' in DWARF 4 with type units */
    readonly section: string,
    /** Of the header, in the section */
    readonly offset: number,
    readonly end: number,
    readonly wide: boolean,
    readonly version: number,
    readonly unitType: number,
    readonly addressSize: number,
    /** Offset of the first entry */
    readonly first: number,
    readonly abbreviation: (code: number) => Abbreviation | undefined,
    readonly signature: bigint | undefined,
    /** Offset of the type's entry in a type unit */
    readonly typeOffset: number | undefined,
  ) {
    this.sections = units.sections;
  }

  static read(units: Units, section: string, cursor: Cursor): Unit {
    const offset = cursor.at;
    const { length, wide } = cursor.initialLength();
    const end = cursor.at + length;
    if (end > cursor.end) throw cursor.error(`unit of ${length} bytes runs past the end of the section`, offset);
    const version = cursor.u16();
    if (version < 2 || version > 5) throw cursor.error(`DWARF version ${version} is not supported`, offset);
    let unitType: number = section === '.debug_types' ? UnitType.Type : UnitType.Compile;
    let abbreviations: number;
    let addressSize: number;
    if (version >= 5) {
      unitType = cursor.u8();
      addressSize = cursor.u8();
      abbreviations = cursor.offset(wide);
    } else {
      abbreviations = cursor.offset(wide);
      addressSize = cursor.u8();
    }
    if (addressSize !== 4 && addressSize !== 8) throw cursor.error(`address size ${addressSize}`, offset);
    let signature: bigint | undefined;
    let typeOffset: number | undefined;
    if (unitType === UnitType.Type || unitType === UnitType.SplitType) {
      signature = cursor.u64();
      typeOffset = offset + cursor.offset(wide);
    } else if (unitType === UnitType.Skeleton || unitType === UnitType.SplitCompile) {
      cursor.skip(8);
    }
    return new Unit(
      units,
      section,
      offset,
      end,
      wide,
      version,
      unitType,
      addressSize,
      cursor.at,
      units.abbreviationsAt(abbreviations),
      signature,
      typeOffset,
    );
  }

  /** The unit's own entry (DW_TAG_compile_unit, ...) */
  get root(): Entry {
    return (this.rootEntry ??= Entry.read(this, this.first, undefined));
  }

  get name(): string {
    return this.root.string(At.Name) ?? '';
  }

  get directory(): string {
    return this.root.string(At.CompDir) ?? '';
  }

  get producer(): string {
    return this.root.string(At.Producer) ?? '';
  }

  cursor(at: number): Cursor {
    const cursor = this.sections.cursor(this.section, at);
    cursor.end = this.end;
    return cursor;
  }

  /** DW_FORM_addrx: entry of this unit's part of .debug_addr */
  addressByIndex(index: number): bigint {
    const at = this.getBases().addresses + index * this.addressSize;
    return this.sections.cursor('.debug_addr', at).unsigned(this.addressSize);
  }

  /** DW_FORM_strx: through this unit's part of .debug_str_offsets */
  stringByIndex(index: number): string {
    const at = this.getBases().strings + index * (this.wide ? 8 : 4);
    return this.sections.string('.debug_str', this.sections.cursor('.debug_str_offsets', at).offset(this.wide));
  }

  /** Offset of a list in .debug_rnglists (DWARF 5, 7.28) */
  rangeListByIndex(index: number): number {
    return this.listByIndex('.debug_rnglists', this.getBases().ranges, index);
  }

  /** Offset of a list in .debug_loclists (DWARF 5, 7.29) */
  locationListByIndex(index: number): number {
    return this.listByIndex('.debug_loclists', this.getBases().locations, index);
  }

  private listByIndex(section: string, base: number, index: number): number {
    return base + this.sections.cursor(section, base + index * (this.wide ? 8 : 4)).offset(this.wide);
  }

  /**
   * The base attributes are section offsets, so reading them needs no base itself. The defaults are the first
   * contribution of a section, behind its header.
   */
  private getBases() {
    if (!this.bases) {
      const header = this.wide ? 16 : 8;
      const base = (at: number, otherwise: number) => {
        const value = this.root.read(at);
        return value?.kind === 'section' ? value.offset : otherwise;
      };
      this.bases = {
        strings: base(At.StrOffsetsBase, header),
        addresses: base(At.AddrBase, header),
        ranges: base(At.RnglistsBase, header + 4),
        locations: base(At.LoclistsBase, header + 4),
      };
    }
    return this.bases;
  }
}
