import { At, Form } from './dwarf-constants';
import type { Cursor } from './cursor';
import type { Unit } from './unit';

/**
 * A decoded attribute value. `index` kinds are resolved by the unit (DWARF 5, 7.5.5):
 * string and address forms are resolved here already, because every reader wants the text or the address.
 */
export type AttributeValue =
  | { readonly kind: 'address'; readonly value: bigint }
  /** `size` bytes wide in the file, 0 when variable; `signed` only for sdata and implicit_const */
  | { readonly kind: 'constant'; readonly value: bigint; readonly signed: boolean; readonly size: number }
  | { readonly kind: 'block'; readonly bytes: Uint8Array; readonly at: number }
  | { readonly kind: 'expression'; readonly bytes: Uint8Array; readonly at: number }
  | { readonly kind: 'string'; readonly value: string }
  /** Offset in .debug_info (or .debug_types for a unit of that section) */
  | { readonly kind: 'reference'; readonly offset: number }
  | { readonly kind: 'signature'; readonly value: bigint }
  | { readonly kind: 'flag'; readonly value: boolean }
  | { readonly kind: 'section'; readonly offset: number }
  | { readonly kind: 'rangeIndex'; readonly index: number }
  | { readonly kind: 'locationIndex'; readonly index: number };

const constant = (value: bigint, size: number, signed = false): AttributeValue => ({
  kind: 'constant',
  value,
  size,
  signed,
});

/** Reads one value at the cursor. `implicit` is the abbreviation's constant for DW_FORM_implicit_const. */
export function readForm(form: number, cursor: Cursor, unit: Unit, implicit: bigint | undefined): AttributeValue {
  switch (form) {
    case Form.Addr:
      return { kind: 'address', value: cursor.unsigned(unit.addressSize) };
    case Form.Addrx:
      return { kind: 'address', value: unit.addressByIndex(cursor.uleb()) };
    case Form.Addrx1:
      return { kind: 'address', value: unit.addressByIndex(cursor.u8()) };
    case Form.Addrx2:
      return { kind: 'address', value: unit.addressByIndex(cursor.u16()) };
    case Form.Addrx3:
      return { kind: 'address', value: unit.addressByIndex(cursor.u24()) };
    case Form.Addrx4:
      return { kind: 'address', value: unit.addressByIndex(cursor.u32()) };
    case Form.Data1:
      return constant(BigInt(cursor.u8()), 1);
    case Form.Data2:
      return constant(BigInt(cursor.u16()), 2);
    case Form.Data4:
      return constant(BigInt(cursor.u32()), 4);
    case Form.Data8:
      return constant(cursor.u64(), 8);
    case Form.Data16:
      return block(cursor, 16);
    case Form.Sdata:
      return constant(cursor.slebWide(), 0, true);
    case Form.Udata:
      return constant(cursor.ulebWide(), 0);
    case Form.ImplicitConst:
      return constant(implicit ?? 0n, 0, true);
    case Form.Block1:
      return block(cursor, cursor.u8());
    case Form.Block2:
      return block(cursor, cursor.u16());
    case Form.Block4:
      return block(cursor, cursor.u32());
    case Form.Block:
      return block(cursor, cursor.uleb());
    case Form.Exprloc: {
      const size = cursor.uleb();
      const at = cursor.at;
      return { kind: 'expression', bytes: cursor.bytesOf(size), at };
    }
    case Form.Flag:
      return { kind: 'flag', value: cursor.u8() !== 0 };
    case Form.FlagPresent:
      return { kind: 'flag', value: true };
    case Form.String:
      return { kind: 'string', value: cursor.string() };
    case Form.Strp:
      return { kind: 'string', value: unit.sections.string('.debug_str', cursor.offset(unit.wide)) };
    case Form.LineStrp:
      return { kind: 'string', value: unit.sections.string('.debug_line_str', cursor.offset(unit.wide)) };
    case Form.Strx:
      return { kind: 'string', value: unit.stringByIndex(cursor.uleb()) };
    case Form.Strx1:
      return { kind: 'string', value: unit.stringByIndex(cursor.u8()) };
    case Form.Strx2:
      return { kind: 'string', value: unit.stringByIndex(cursor.u16()) };
    case Form.Strx3:
      return { kind: 'string', value: unit.stringByIndex(cursor.u24()) };
    case Form.Strx4:
      return { kind: 'string', value: unit.stringByIndex(cursor.u32()) };
    case Form.Ref1:
      return { kind: 'reference', offset: unit.offset + cursor.u8() };
    case Form.Ref2:
      return { kind: 'reference', offset: unit.offset + cursor.u16() };
    case Form.Ref4:
      return { kind: 'reference', offset: unit.offset + cursor.u32() };
    case Form.Ref8:
      return { kind: 'reference', offset: unit.offset + cursor.offset(true) };
    case Form.RefUdata:
      return { kind: 'reference', offset: unit.offset + cursor.uleb() };
    case Form.RefAddr:
      // DWARF 2 made it an address, later versions an offset.
      return {
        kind: 'reference',
        offset: unit.version <= 2 ? Number(cursor.unsigned(unit.addressSize)) : cursor.offset(unit.wide),
      };
    case Form.RefSig8:
      return { kind: 'signature', value: cursor.u64() };
    case Form.SecOffset:
      return { kind: 'section', offset: cursor.offset(unit.wide) };
    case Form.Rnglistx:
      return { kind: 'rangeIndex', index: cursor.uleb() };
    case Form.Loclistx:
      return { kind: 'locationIndex', index: cursor.uleb() };
    case Form.Indirect:
      return readForm(cursor.uleb(), cursor, unit, undefined);
    default:
      throw cursor.error(`attribute form 0x${form.toString(16)} is not known (a supplementary file is not supported)`);
  }
}

function block(cursor: Cursor, size: number): AttributeValue {
  const at = cursor.at;
  return { kind: 'block', bytes: cursor.bytesOf(size), at };
}

/** Moves the cursor over a value without making it. */
export function skipForm(form: number, cursor: Cursor, unit: Unit): void {
  switch (form) {
    case Form.FlagPresent:
    case Form.ImplicitConst:
      return;
    case Form.Data1:
    case Form.Flag:
    case Form.Ref1:
    case Form.Strx1:
    case Form.Addrx1:
      return cursor.skip(1);
    case Form.Data2:
    case Form.Ref2:
    case Form.Strx2:
    case Form.Addrx2:
      return cursor.skip(2);
    case Form.Strx3:
    case Form.Addrx3:
      return cursor.skip(3);
    case Form.Data4:
    case Form.Ref4:
    case Form.Strx4:
    case Form.Addrx4:
      return cursor.skip(4);
    case Form.Data8:
    case Form.Ref8:
    case Form.RefSig8:
      return cursor.skip(8);
    case Form.Data16:
      return cursor.skip(16);
    case Form.Addr:
      return cursor.skip(unit.addressSize);
    case Form.Strp:
    case Form.LineStrp:
    case Form.SecOffset:
      return cursor.skip(unit.wide ? 8 : 4);
    case Form.RefAddr:
      return cursor.skip(unit.version <= 2 ? unit.addressSize : unit.wide ? 8 : 4);
    case Form.Sdata:
    case Form.Udata:
    case Form.RefUdata:
    case Form.Strx:
    case Form.Addrx:
    case Form.Loclistx:
    case Form.Rnglistx:
      return cursor.skipLeb();
    case Form.String:
      return cursor.skipString();
    case Form.Block1:
      return cursor.skip(cursor.u8());
    case Form.Block2:
      return cursor.skip(cursor.u16());
    case Form.Block4:
      return cursor.skip(cursor.u32());
    case Form.Block:
    case Form.Exprloc:
      return cursor.skip(cursor.uleb());
    case Form.Indirect:
      return skipForm(cursor.uleb(), cursor, unit);
    default:
      readForm(form, cursor, unit, undefined);
  }
}

/** Attributes that hold a section offset when their form is data4 or data8, as DWARF 2 and 3 wrote it. */
export const SECTION_OFFSET_ATTRIBUTES: ReadonlySet<number> = new Set([
  At.Location,
  At.StmtList,
  At.FrameBase,
  At.Ranges,
  At.DataMemberLocation,
]);
