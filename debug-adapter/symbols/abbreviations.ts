import type { Cursor } from './cursor';
import { At, Form } from './dwarf-constants';

/** One abbreviation declaration (DWARF 5, 7.5.3): the shape that many entries share. */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  /** Attribute names and forms, in the order in which the entry stores them */
  readonly names: readonly number[];
  readonly forms: readonly number[];
  /** Value of each DW_FORM_implicit_const, undefined elsewhere */
  readonly constants: readonly (bigint | undefined)[];
  /** Place of DW_AT_sibling, -1 when absent */
  readonly sibling: number;
}

/** Reads the table at the cursor. Codes are nearly always 1..n, so the result is an array by code; else a map. */
export function readAbbreviations(cursor: Cursor): (code: number) => Abbreviation | undefined {
  const table = new Map<number, Abbreviation>();
  let dense = true;
  for (;;) {
    const code = cursor.uleb();
    if (code === 0) break;
    const tag = cursor.uleb();
    const hasChildren = cursor.u8() !== 0;
    const names: number[] = [];
    const forms: number[] = [];
    const constants: (bigint | undefined)[] = [];
    for (;;) {
      const name = cursor.uleb();
      const form = cursor.uleb();
      const constant = form === Form.ImplicitConst ? cursor.slebWide() : undefined;
      if (name === 0 && form === 0) break;
      names.push(name);
      forms.push(form);
      constants.push(constant);
    }
    dense &&= code === table.size + 1;
    table.set(code, { tag, hasChildren, names, forms, constants, sibling: names.indexOf(At.Sibling) });
  }
  if (!dense) return (code) => table.get(code);
  const list = [undefined, ...table.values()];
  return (code) => list[code];
}
