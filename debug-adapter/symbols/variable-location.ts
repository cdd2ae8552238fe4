import type { Frame, MemoryReader } from './api';
import { type ExpressionContext, type Location, evaluateLocation, evaluateNumber } from './dwarf-expression';
import { At, Tag } from './dwarf-constants';
import { toBytes } from './bytes';
import type { Entry } from './entry';
import { type Scope, Subprogram } from './functions';
import type { LoadedProgram } from './program-set';
import { LOCATION_KINDS, readAddressList, unitBase } from './ranges';

/**
 * Where a variable is while `frame` is at its place. Without a frame only what does not depend on one is found. Throws
 * DwarfError for damaged information.
 */
export function locateVariable(
  entry: Entry,
  image: LoadedProgram,
  frame: Frame | undefined,
  memory: MemoryReader,
): Location {
  const constant = entry.inherited(At.ConstValue);
  if (constant?.kind === 'constant') return { kind: 'bytes', bytes: toBytes(constant.value, 16) };
  if (constant?.kind === 'block') return { kind: 'bytes', bytes: constant.bytes };
  if (constant?.kind === 'string') {
    return { kind: 'bytes', bytes: new TextEncoder().encode(`${constant.value}\0`) };
  }
  const link = frame && image.toLink(frame.lookup);
  const expression = expressionAt(entry, At.Location, link);
  if (expression === undefined) {
    const why = entry.has(At.Location) ? 'optimized out here' : 'optimized out';
    return { kind: 'absent', why };
  }
  return evaluateLocation(expression, frameContext(entry, image, frame, memory));
}

/** What location expressions of an entry see in a frame */
export function frameContext(
  entry: Entry,
  image: LoadedProgram,
  frame: Frame | undefined,
  memory: MemoryReader,
): ExpressionContext {
  return {
    addressSize: image.program.addressSize,
    bias: image.bias,
    unit: entry.unit,
    memory,
    register: (number) => frame?.registers.get(number),
    cfa: () => frame?.cfa,
    frameBase: () => frame && frameBase(frame, image, memory),
    entryValue: (expression) => frame && entryValue(frame, expression, memory),
  };
}

/** DW_AT_frame_base of the function that the frame runs */
function frameBase(frame: Frame, image: LoadedProgram, memory: MemoryReader): bigint | undefined {
  const subprogram = outermost(frame.scope);
  if (!subprogram) return undefined;
  const expression = expressionAt(subprogram.entry, At.FrameBase, image.toLink(frame.lookup));
  if (!expression) return undefined;
  // The frame base cannot be defined by itself.
  return evaluateNumber(expression, {
    ...frameContext(subprogram.entry, image, frame, memory),
    frameBase: () => undefined,
  });
}

function outermost(scope: Scope | undefined): Subprogram | undefined {
  let current = scope;
  while (current && !(current instanceof Subprogram)) current = current.parent;
  return current;
}

/**
 * What a register held when the frame's function was entered, from what the caller's call site says that it passed
 * (DWARF 5, 3.4 and 2.5.1.7).
 */
function entryValue(frame: Frame, expression: Uint8Array, memory: MemoryReader): bigint | undefined {
  const caller = frame.caller();
  const image = caller?.image;
  const subprogram = outermost(caller?.scope);
  if (!caller || !image || !subprogram) return undefined;
  const site = findCallSite(subprogram.entry, image.toLink(caller.pc), 0);
  const parameter = site?.children.find((child) => {
    if (child.tag !== Tag.CallSiteParameter && child.tag !== Tag.GnuCallSiteParameter) return false;
    const location = child.read(At.Location);
    return location?.kind === 'expression' && sameBytes(location.bytes, expression);
  });
  const value = parameter?.read(At.CallValue) ?? parameter?.read(At.GnuCallSiteValue);
  if (!parameter || value?.kind !== 'expression') return undefined;
  return evaluateNumber(value.bytes, frameContext(parameter, image, caller, memory));
}

/** The call site that returns to the address */
function findCallSite(entry: Entry, returnAddress: bigint, depth: number): Entry | undefined {
  if (depth > 64) return undefined;
  for (const child of entry.children) {
    if (child.tag === Tag.CallSite || child.tag === Tag.GnuCallSite) {
      const back = child.read(At.CallReturnPc) ?? child.read(At.LowPc);
      if (back?.kind === 'address' && back.value === returnAddress) return child;
    } else if (child.tag === Tag.LexicalBlock || child.tag === Tag.InlinedSubroutine) {
      const found = findCallSite(child, returnAddress, depth + 1);
      if (found) return found;
    }
  }
  return undefined;
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/**
 * The expression of a location attribute at a link address: the attribute's own, or the one of its list that covers the
 * address. Undefined: absent, or the list has nothing here.
 */
export function expressionAt(entry: Entry, attribute: number, address: bigint | undefined): Uint8Array | undefined {
  const value = entry.inherited(attribute);
  if (value?.kind === 'expression' || value?.kind === 'block') return value.bytes;
  if (address === undefined) return undefined;
  const { unit } = entry;
  if (value?.kind === 'locationIndex') return fromList(entry, unit.locationListByIndex(value.index), address);
  if (value?.kind !== 'section') return undefined;
  return unit.version >= 5 ? fromList(entry, value.offset, address) : fromOldList(entry, value.offset, address);
}

/** .debug_loclists (DWARF 5, 2.6.2 and 7.29) */
function fromList({ unit }: Entry, offset: number, address: bigint): Uint8Array | undefined {
  const cursor = unit.sections.cursor('.debug_loclists', offset);
  let found: Uint8Array | undefined;
  let otherwise: Uint8Array | undefined;
  readAddressList(unit, cursor, LOCATION_KINDS, (low, high) => {
    const expression = cursor.bytesOf(cursor.uleb());
    if (low === -1n) otherwise = expression;
    else if (address >= low && address < high) found ??= expression;
  });
  return found ?? otherwise;
}

/** .debug_loc (DWARF 4, 2.6.2) */
function fromOldList({ unit }: Entry, offset: number, address: bigint): Uint8Array | undefined {
  const cursor = unit.sections.cursor('.debug_loc', offset);
  const selection = unit.addressSize === 4 ? 0xffff_ffffn : 0xffff_ffff_ffff_ffffn;
  let base = unitBase(unit);
  for (;;) {
    const low = cursor.unsigned(unit.addressSize);
    const high = cursor.unsigned(unit.addressSize);
    if (low === 0n && high === 0n) return undefined;
    if (low === selection) {
      base = high;
      continue;
    }
    const expression = cursor.bytesOf(cursor.u16());
    if (address >= base + low && address < base + high) return expression;
  }
}
