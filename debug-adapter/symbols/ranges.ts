import type { AddressRange } from './api';
import type { Cursor } from './cursor';
import { At } from './dwarf-constants';
import type { Entry } from './entry';
import type { Unit } from './unit';

/** The addresses of an entry: low_pc and high_pc, or a range list (DWARF 5, 2.17). Empty when it has none readable. */
export function rangesOf(entry: Entry): AddressRange[] {
  return entry.unit.units.guard(() => readRanges(entry), []);
}

function readRanges(entry: Entry): AddressRange[] {
  const list = entry.read(At.Ranges);
  const { unit } = entry;
  if (list?.kind === 'section') {
    return unit.version >= 5 ? readRangeList(unit, list.offset) : readOldRangeList(unit, list.offset);
  }
  if (list?.kind === 'rangeIndex') return readRangeList(unit, unit.rangeListByIndex(list.index));
  const low = entry.read(At.LowPc);
  const high = entry.read(At.HighPc);
  if (low?.kind !== 'address' || !high) return [];
  // A constant is the size (DWARF 4 and later).
  const end = high.kind === 'constant' ? low.value + high.value : high.kind === 'address' ? high.value : low.value;
  return end > low.value ? [{ low: low.value, high: end }] : [];
}

/** DW_AT_low_pc of the unit, the base of its lists */
export function unitBase(unit: Unit): bigint {
  const low = unit.root.read(At.LowPc);
  return low?.kind === 'address' ? low.value : 0n;
}

/** .debug_ranges (DWARF 4, 2.17.3) */
function readOldRangeList(unit: Unit, offset: number): AddressRange[] {
  const cursor = unit.sections.cursor('.debug_ranges', offset);
  const ranges: AddressRange[] = [];
  const selection = unit.addressSize === 4 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
  let base = unitBase(unit);
  for (;;) {
    const low = cursor.unsigned(unit.addressSize);
    const high = cursor.unsigned(unit.addressSize);
    if (low === 0n && high === 0n) return ranges;
    if (low === selection) base = high;
    else if (low < high) ranges.push({ low: base + low, high: base + high });
  }
}

/** .debug_rnglists (DWARF 5, 2.17.3 and 7.25) */
function readRangeList(unit: Unit, offset: number): AddressRange[] {
  const ranges: AddressRange[] = [];
  readAddressList(unit, unit.sections.cursor('.debug_rnglists', offset), RANGE_KINDS, (low, high) => {
    if (low < high) ranges.push({ low, high });
  });
  return ranges;
}

/** What each entry kind of a list means; range and location lists number them differently. */
type ListKind =
  'end' | 'basex' | 'startxEndx' | 'startxLength' | 'offsetPair' | 'base' | 'startEnd' | 'startLength' | 'default';
const RANGE_KINDS: readonly ListKind[] = [
  'end', 'basex', 'startxEndx', 'startxLength', 'offsetPair', 'base', 'startEnd', 'startLength',
]; // prettier-ignore
export const LOCATION_KINDS: readonly ListKind[] = [
  'end', 'basex', 'startxEndx', 'startxLength', 'offsetPair', 'default', 'base', 'startEnd', 'startLength',
]; // prettier-ignore

/**
 * Walks a DWARF 5 list. `each` gets the bounds of every entry with the cursor behind them (where a location list has
 * its expression); low = high = -1 for the default location.
 */
export function readAddressList(
  unit: Unit,
  cursor: Cursor,
  kinds: readonly ListKind[],
  each: (low: bigint, high: bigint) => void,
): void {
  const address = () => cursor.unsigned(unit.addressSize);
  const indexed = () => unit.addressByIndex(cursor.uleb());
  let base = unitBase(unit);
  for (;;) {
    const code = cursor.u8();
    switch (kinds[code]) {
      case 'end':
        return;
      case 'basex':
        base = indexed();
        break;
      case 'base':
        base = address();
        break;
      case 'startxEndx': {
        const low = indexed();
        each(low, indexed());
        break;
      }
      case 'startxLength': {
        const low = indexed();
        each(low, low + cursor.ulebWide());
        break;
      }
      case 'offsetPair': {
        const low = base + cursor.ulebWide();
        each(low, base + cursor.ulebWide());
        break;
      }
      case 'startEnd': {
        const low = address();
        each(low, address());
        break;
      }
      case 'startLength': {
        const low = address();
        each(low, low + cursor.ulebWide());
        break;
      }
      case 'default':
        each(-1n, -1n);
        break;
      case undefined:
        throw cursor.error(`list entry kind ${code} is not known`, cursor.at - 1);
    }
  }
}
