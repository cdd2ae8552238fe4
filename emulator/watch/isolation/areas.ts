/** Memory as a policy names it, before images are known; and as ranges, when they are. */
export type Area =
  /** All that an image occupies when it is loaded */
  | { readonly kind: 'image'; readonly layer: string }
  /** The bytes of one symbol, or from one symbol to another */
  | { readonly kind: 'symbol'; readonly layer: string; readonly begin: string; readonly end: string | undefined }
  /** Host-physical */
  | { readonly kind: 'physical'; readonly start: bigint; readonly end: bigint }
  /** Guest-physical, of one guest or (0) of each */
  | { readonly kind: 'guest'; readonly guest: number; readonly start: bigint; readonly end: bigint };

/** Host-physical bytes; `end` is not part of it. */
export interface Range {
  readonly start: bigint;
  readonly end: bigint;
}

export const AREA_FORMS =
  '"layer", "layer!symbol", "layer!from..to", "0x1000..0x2000", "0x1000+0x1000", "guest 1: 0x1000+0x1000" or "guest: 0x1000+0x1000"';

const RANGE = /^(0x[0-9a-f]{1,13})(\.\.|\+)(0x[0-9a-f]{1,13})$/i;
const GUEST = /^guest(?: (\d{1,4}))?\s*:\s*(\S+)$/;
const SYMBOL = /^([^!]+)!([^!.]+?)(?:\.\.([^!.]+))?$/;

/** Undefined: the text is none of AREA_FORMS, or names no bytes. */
export function parseArea(text: string): Area | undefined {
  const guest = GUEST.exec(text);
  if (guest) {
    const range = parseRange(guest[2] ?? '');
    return range && { kind: 'guest', guest: Number(guest[1] ?? 0), ...range };
  }
  if (/^0x/i.test(text)) {
    const range = parseRange(text);
    return range && { kind: 'physical', ...range };
  }
  if (!text.includes('!')) return text === '' ? undefined : { kind: 'image', layer: text };
  const symbol = SYMBOL.exec(text);
  const [, layer, begin, end] = symbol ?? [];
  return layer !== undefined && begin !== undefined ? { kind: 'symbol', layer, begin, end } : undefined;
}

function parseRange(text: string): Range | undefined {
  const [, from, operator, to] = RANGE.exec(text) ?? [];
  if (from === undefined || to === undefined) return undefined;
  const start = BigInt(from);
  const end = operator === '+' ? start + BigInt(to) : BigInt(to);
  return end > start ? { start, end } : undefined;
}

/** As it is written in a policy */
export function areaText(area: Area): string {
  const hex = (value: bigint) => `0x${value.toString(16)}`;
  switch (area.kind) {
    case 'image':
      return area.layer;
    case 'symbol':
      return `${area.layer}!${area.begin}${area.end === undefined ? '' : `..${area.end}`}`;
    case 'physical':
      return `${hex(area.start)}..${hex(area.end)}`;
    case 'guest':
      return `guest${area.guest === 0 ? '' : ` ${area.guest}`}: ${hex(area.start)}..${hex(area.end)}`;
  }
}
