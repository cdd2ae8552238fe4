import { AccessRights } from '../../arch/segments';
import type { VmcsFieldSymbol } from '../../arch/vmcs-fields';
import { Slot } from '../vmcs';
import type { EntryContext } from './context';
import { section, type EntryCheck } from './row';
import { canonical, granularityFits } from './values';

/** SDM vol. 3, 27.3.1.2: VM-entry failure, exit reason 33. */
const check = section('27.3.1.2', 'guest');

type Register = 'CS' | 'SS' | 'DS' | 'ES' | 'FS' | 'GS' | 'LDTR' | 'TR';
const CODE_AND_DATA = ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const;
const DATA = ['DS', 'ES', 'FS', 'GS'] as const;

const VIRTUAL_8086_RIGHTS = 0xf3;
const TI = 4;
const HIGH_RESERVED = 0xfffe_0000;
const LOW_RESERVED = 0xf00;
const TYPE_16_BIT_TSS = 3;
const TYPE_BUSY_TSS = 11;
const TYPE_LDT = 2;
/** Types of CS: accessed code; with "unrestricted guest" also read/write accessed expand-up data */
const CODE_TYPES = new Set([9, 11, 13, 15]);
const DATA_CODE_TYPE = 3;

const selector = (name: Register): VmcsFieldSymbol => `GUEST_${name}_SELECTOR`;
const base = (name: Register): VmcsFieldSymbol => `GUEST_${name}_BASE`;
const limit = (name: Register): VmcsFieldSymbol => `GUEST_${name}_LIMIT`;
const access = (name: Register): VmcsFieldSymbol => `GUEST_${name}_ACCESS_RIGHTS`;
const id = (name: Register, what: string): string => `${name.toLowerCase()}.${what}`;

/** Looked up once: these checks run at every entry. */
const SLOTS = Object.fromEntries(
  ([...CODE_AND_DATA, 'LDTR', 'TR'] as const).map((name) => [
    name,
    { selector: Slot[selector(name)], base: Slot[base(name)], limit: Slot[limit(name)], access: Slot[access(name)] },
  ]),
) as Record<Register, { selector: number; base: number; limit: number; access: number }>;

const rights = (c: EntryContext, name: Register): number => c.get32(SLOTS[name].access);
const type = (c: EntryContext, name: Register): number => rights(c, name) & AccessRights.TYPE;
const dpl = (c: EntryContext, name: Register): number => (rights(c, name) >>> AccessRights.DPL_SHIFT) & 3;
const rpl = (c: EntryContext, name: Register): number => c.get32(SLOTS[name].selector) & 3;
const usable = (c: EntryContext, name: Register): boolean => (rights(c, name) & AccessRights.UNUSABLE) === 0;
/** CS and TR always count; the others when usable. */
const counts = (c: EntryContext, name: Register): boolean => name === 'CS' || name === 'TR' || usable(c, name);

const words = (name: Register): string => (name === 'CS' || name === 'TR' ? '' : ' when the segment is usable');

const selectors: readonly EntryCheck[] = [
  check(
    'tr.ti',
    'TI (bit 2) of the TR selector is 0',
    ['GUEST_TR_SELECTOR'],
    (c) => (c.get32(Slot.GUEST_TR_SELECTOR) & TI) === 0,
  ),
  check(
    'ldtr.ti',
    'TI (bit 2) of the LDTR selector is 0 when LDTR is usable',
    ['GUEST_LDTR_SELECTOR', 'GUEST_LDTR_ACCESS_RIGHTS'],
    (c) => !usable(c, 'LDTR') || (c.get32(Slot.GUEST_LDTR_SELECTOR) & TI) === 0,
  ),
  check(
    'ss.rpl-cs',
    'RPL of SS equals RPL of CS, without virtual-8086 mode and "unrestricted guest"',
    ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR'],
    (c) => c.virtual8086 || c.unrestricted || rpl(c, 'SS') === rpl(c, 'CS'),
  ),
];

const bases: readonly EntryCheck[] = [
  ...CODE_AND_DATA.map((name) =>
    check(
      id(name, 'base-virtual-8086'),
      'in virtual-8086 mode the base is the selector times 16',
      [base(name), selector(name)],
      (c) => !c.virtual8086 || c.get64(SLOTS[name].base) === BigInt(c.get32(SLOTS[name].selector)) << 4n,
    ),
  ),
  ...(['TR', 'FS', 'GS'] as const).map((name) =>
    check(id(name, 'base'), 'the base address is canonical', [base(name)], (c) => canonical(c.get64(SLOTS[name].base))),
  ),
  check(
    'ldtr.base',
    'the base address is canonical when LDTR is usable',
    ['GUEST_LDTR_BASE', 'GUEST_LDTR_ACCESS_RIGHTS'],
    (c) => !usable(c, 'LDTR') || canonical(c.get64(Slot.GUEST_LDTR_BASE)),
  ),
  ...(['CS', 'SS', 'DS', 'ES'] as const).map((name) =>
    check(
      id(name, 'base-high'),
      `bits 63:32 of the base are 0${words(name)}`,
      [base(name), access(name)],
      (c) => !counts(c, name) || c.get64(SLOTS[name].base) >> 32n === 0n,
    ),
  ),
];

const virtual8086: readonly EntryCheck[] = [
  ...CODE_AND_DATA.map((name) =>
    check(
      id(name, 'limit-virtual-8086'),
      'in virtual-8086 mode the limit is FFFFH',
      [limit(name)],
      (c) => !c.virtual8086 || c.get32(SLOTS[name].limit) === 0xffff,
    ),
  ),
  ...CODE_AND_DATA.map((name) =>
    check(
      id(name, 'access-virtual-8086'),
      'in virtual-8086 mode the access rights are F3H: read/write accessed data, DPL 3, present',
      [access(name)],
      (c) => !c.virtual8086 || rights(c, name) === VIRTUAL_8086_RIGHTS,
    ),
  ),
];

/** Rows about access rights do not apply in virtual-8086 mode. */
const accessCheck = (
  name: Register,
  what: string,
  rule: string,
  fields: readonly VmcsFieldSymbol[],
  holds: (c: EntryContext) => boolean,
): EntryCheck => check(id(name, what), rule, [access(name), ...fields], (c) => c.virtual8086 || holds(c));

const types: readonly EntryCheck[] = [
  accessCheck(
    'CS',
    'type',
    'the type of CS is 9, 11, 13 or 15 (accessed code), or 3 with "unrestricted guest"',
    ['SECONDARY_PROCESSOR_CONTROLS'],
    (c) => CODE_TYPES.has(type(c, 'CS')) || (c.unrestricted && type(c, 'CS') === DATA_CODE_TYPE),
  ),
  accessCheck(
    'SS',
    'type',
    'the type of SS is 3 or 7 (read/write accessed data) when usable',
    [],
    (c) => !usable(c, 'SS') || type(c, 'SS') === 3 || type(c, 'SS') === 7,
  ),
  ...DATA.map((name) =>
    accessCheck(
      name,
      'type',
      'the type is accessed, and readable if it is code, when the segment is usable',
      [],
      (c) =>
        !usable(c, name) || ((type(c, name) & 1) !== 0 && ((type(c, name) & 8) === 0 || (type(c, name) & 2) !== 0)),
    ),
  ),
  ...CODE_AND_DATA.map((name) =>
    accessCheck(
      name,
      's',
      `S (bit 4) is 1: a code or data segment${words(name)}`,
      [],
      (c) => !counts(c, name) || (rights(c, name) & AccessRights.CODE_OR_DATA) !== 0,
    ),
  ),
];

const privileges: readonly EntryCheck[] = [
  accessCheck(
    'CS',
    'dpl',
    'DPL of CS: 0 for type 3; equal to DPL of SS for types 9 and 11; not above it for types 13 and 15',
    ['GUEST_SS_ACCESS_RIGHTS'],
    (c) => {
      const kind = type(c, 'CS');
      if (kind === DATA_CODE_TYPE) return dpl(c, 'CS') === 0;
      if (kind === 9 || kind === 11) return dpl(c, 'CS') === dpl(c, 'SS');
      return !CODE_TYPES.has(kind) || dpl(c, 'CS') <= dpl(c, 'SS');
    },
  ),
  accessCheck(
    'SS',
    'dpl-rpl',
    'DPL of SS equals RPL of its selector without "unrestricted guest"',
    ['GUEST_SS_SELECTOR'],
    (c) => c.unrestricted || dpl(c, 'SS') === rpl(c, 'SS'),
  ),
  accessCheck(
    'SS',
    'dpl',
    'DPL of SS is 0 when the type of CS is 3 or CR0.PE is 0',
    ['GUEST_CS_ACCESS_RIGHTS', 'GUEST_CR0'],
    (c) => (type(c, 'CS') !== DATA_CODE_TYPE && c.protectedMode) || dpl(c, 'SS') === 0,
  ),
  ...DATA.map((name) =>
    accessCheck(
      name,
      'dpl',
      'DPL is not below RPL of the selector, for usable data and non-conforming code without "unrestricted guest"',
      [selector(name)],
      (c) => c.unrestricted || !usable(c, name) || type(c, name) > 11 || dpl(c, name) >= rpl(c, name),
    ),
  ),
];

const remaining: readonly EntryCheck[] = CODE_AND_DATA.flatMap((name) => common(name)).concat(
  accessCheck(
    'CS',
    'd-l',
    'D/B (bit 14) is 0 when "IA-32e mode guest" is 1 and L (bit 13) is 1',
    ['ENTRY_CONTROLS'],
    (c) =>
      !c.longGuest || (rights(c, 'CS') & AccessRights.LONG) === 0 || (rights(c, 'CS') & AccessRights.DEFAULT_BIG) === 0,
  ),
);

/** P, reserved bits and granularity: alike for all registers; TR and LDTR are checked in virtual-8086 mode too. */
function common(name: Register): EntryCheck[] {
  const make = name === 'TR' || name === 'LDTR' ? systemCheck : accessCheck;
  const row = (what: string, rule: string, fields: readonly VmcsFieldSymbol[], holds: (c: EntryContext) => boolean) =>
    make(name, what, `${rule}${words(name)}`, fields, (c) => !counts(c, name) || holds(c));
  return [
    row('present', 'P (bit 7) is 1', [], (c) => (rights(c, name) & AccessRights.PRESENT) !== 0),
    row('reserved-low', 'bits 11:8 of the access rights are 0', [], (c) => (rights(c, name) & LOW_RESERVED) === 0),
    row(
      'granularity',
      'G (bit 15) is 0 if a bit of limit 11:0 is 0, and 1 if a bit of limit 31:20 is 1',
      [limit(name)],
      (c) => granularityFits(c.get32(SLOTS[name].limit), rights(c, name)),
    ),
    row('reserved-high', 'bits 31:17 of the access rights are 0', [], (c) => (rights(c, name) & HIGH_RESERVED) === 0),
  ];
}

function systemCheck(
  name: Register,
  what: string,
  rule: string,
  fields: readonly VmcsFieldSymbol[],
  holds: (c: EntryContext) => boolean,
): EntryCheck {
  return check(id(name, what), rule, [access(name), ...fields], holds);
}

const system: readonly EntryCheck[] = [
  systemCheck(
    'TR',
    'type',
    'the type of TR is 11 (busy TSS), or 3 (busy 16-bit TSS) when "IA-32e mode guest" is 0',
    ['ENTRY_CONTROLS'],
    (c) => type(c, 'TR') === TYPE_BUSY_TSS || (!c.longGuest && type(c, 'TR') === TYPE_16_BIT_TSS),
  ),
  systemCheck(
    'TR',
    's',
    'S (bit 4) is 0: a system segment',
    [],
    (c) => (rights(c, 'TR') & AccessRights.CODE_OR_DATA) === 0,
  ),
  ...common('TR'),
  systemCheck('TR', 'usable', 'TR is usable (bit 16 is 0)', [], (c) => usable(c, 'TR')),
  systemCheck(
    'LDTR',
    'type',
    'the type of LDTR is 2 when usable',
    [],
    (c) => !usable(c, 'LDTR') || type(c, 'LDTR') === TYPE_LDT,
  ),
  systemCheck(
    'LDTR',
    's',
    'S (bit 4) is 0 when LDTR is usable',
    [],
    (c) => !usable(c, 'LDTR') || (rights(c, 'LDTR') & AccessRights.CODE_OR_DATA) === 0,
  ),
  ...common('LDTR'),
];

export const GUEST_SEGMENT_CHECKS: readonly EntryCheck[] = [
  ...selectors,
  ...bases,
  ...virtual8086,
  ...types,
  ...privileges,
  ...remaining,
  ...system,
];
