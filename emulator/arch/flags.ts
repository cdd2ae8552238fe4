import type { RegisterBit } from './control-registers';

/** RFLAGS (SDM vol. 1, 3.4.3). IOPL is the two-bit field 13:12 and listed by its low bit. */
export const RFLAGS_BITS: readonly RegisterBit[] = [
  { bit: 0, name: 'CF', meaning: 'carry' },
  { bit: 2, name: 'PF', meaning: 'parity' },
  { bit: 4, name: 'AF', meaning: 'auxiliary carry' },
  { bit: 6, name: 'ZF', meaning: 'zero' },
  { bit: 7, name: 'SF', meaning: 'sign' },
  { bit: 8, name: 'TF', meaning: 'trap: single step' },
  { bit: 9, name: 'IF', meaning: 'interrupts enabled' },
  { bit: 10, name: 'DF', meaning: 'direction of string instructions is down' },
  { bit: 11, name: 'OF', meaning: 'overflow' },
  { bit: 12, name: 'IOPL', meaning: 'I/O privilege level (bits 13:12)' },
  { bit: 14, name: 'NT', meaning: 'nested task' },
  { bit: 16, name: 'RF', meaning: 'resume: instruction breakpoints off for one instruction' },
  { bit: 17, name: 'VM', meaning: 'virtual-8086 mode' },
  { bit: 18, name: 'AC', meaning: 'alignment check; supervisor access to user pages with SMAP' },
  { bit: 19, name: 'VIF', meaning: 'virtual interrupt flag' },
  { bit: 20, name: 'VIP', meaning: 'virtual interrupt pending' },
  { bit: 21, name: 'ID', meaning: 'CPUID can be executed' },
];

export const Rflags = {
  CF: 1n << 0n,
  FIXED: 1n << 1n,
  PF: 1n << 2n,
  AF: 1n << 4n,
  ZF: 1n << 6n,
  SF: 1n << 7n,
  TF: 1n << 8n,
  IF: 1n << 9n,
  DF: 1n << 10n,
  OF: 1n << 11n,
  IOPL: 3n << 12n,
  NT: 1n << 14n,
  RF: 1n << 16n,
  VM: 1n << 17n,
  AC: 1n << 18n,
  VIF: 1n << 19n,
  VIP: 1n << 20n,
  ID: 1n << 21n,
  /** Bits 63:22, 15, 5 and 3: always 0 */
  RESERVED: 0xffff_ffff_ffc0_8028n,
} as const;

/** The set flags in the usual order, high to low, with IOPL as a number when it is not 0: "IF ZF PF IOPL=3". */
export function describeRflags(value: bigint): string {
  const names: string[] = [];
  for (const row of [...RFLAGS_BITS].reverse()) {
    if (row.name === 'IOPL') {
      const level = (value >> 12n) & 3n;
      if (level !== 0n) names.push(`IOPL=${level}`);
    } else if ((value >> BigInt(row.bit)) & 1n) names.push(row.name);
  }
  return names.join(' ');
}
