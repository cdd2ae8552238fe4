/**
 * Segment access rights in VMCS format (SDM vol. 3, table 25-2): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14,
 * G 15, unusable 16; bits 11:8 and 31:17 are reserved.
 */
export const AccessRights = {
  TYPE: 0xf,
  CODE_OR_DATA: 1 << 4,
  DPL_SHIFT: 5,
  PRESENT: 1 << 7,
  RESERVED: 0xfffe_0f00,
  AVL: 1 << 12,
  LONG: 1 << 13,
  DEFAULT_BIG: 1 << 14,
  GRANULARITY: 1 << 15,
  UNUSABLE: 1 << 16,
} as const;

/** Types of code and data segments, S = 1 (SDM vol. 3, table 3-1). */
export const CODE_DATA_TYPES = [
  'data, read-only',
  'data, read-only, accessed',
  'data, read/write',
  'data, read/write, accessed',
  'data, read-only, expand-down',
  'data, read-only, expand-down, accessed',
  'data, read/write, expand-down',
  'data, read/write, expand-down, accessed',
  'code, execute-only',
  'code, execute-only, accessed',
  'code, execute/read',
  'code, execute/read, accessed',
  'code, execute-only, conforming',
  'code, execute-only, conforming, accessed',
  'code, execute/read, conforming',
  'code, execute/read, conforming, accessed',
] as const;

/** Types of system segments and gates, S = 0, outside IA-32e mode (SDM vol. 3, table 3-2). */
export const SYSTEM_TYPES = [
  'reserved',
  '16-bit TSS (available)',
  'LDT',
  '16-bit TSS (busy)',
  '16-bit call gate',
  'task gate',
  '16-bit interrupt gate',
  '16-bit trap gate',
  'reserved',
  'TSS (available)',
  'reserved',
  'TSS (busy)',
  'call gate',
  'reserved',
  'interrupt gate',
  'trap gate',
] as const;

/** "code, execute/read, accessed; DPL 0; present; 64-bit". */
export function describeAccessRights(rights: number): string {
  if (rights & AccessRights.UNUSABLE) return 'unusable';
  const type = rights & 15;
  const system = (rights & AccessRights.CODE_OR_DATA) === 0;
  const words = [(system ? SYSTEM_TYPES[type] : CODE_DATA_TYPES[type]) ?? '', `DPL ${(rights >>> 5) & 3}`];
  words.push(rights & AccessRights.PRESENT ? 'present' : 'not present');
  if (!system && type & 8) {
    words.push(rights & AccessRights.LONG ? '64-bit' : rights & AccessRights.DEFAULT_BIG ? '32-bit' : '16-bit');
  } else if (!system) words.push(rights & AccessRights.DEFAULT_BIG ? 'big' : 'small');
  if (rights & AccessRights.GRANULARITY) words.push('4-KByte granularity');
  return words.join('; ');
}
