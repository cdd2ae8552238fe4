/** Bits of CR0, CR4, CR8's neighbours EFER and XCR0 by the manual's names (SDM vol. 3, 2.5 and 2.2.1). */
export interface RegisterBit {
  readonly bit: number;
  readonly name: string;
  readonly meaning: string;
}

const bit = (position: number, name: string, meaning: string): RegisterBit => ({ bit: position, name, meaning });

export const CR0_BITS: readonly RegisterBit[] = [
  bit(0, 'PE', 'protection enable'),
  bit(1, 'MP', 'monitor coprocessor'),
  bit(2, 'EM', 'emulation: x87 instructions fault'),
  bit(3, 'TS', 'task switched: first x87/SSE use faults'),
  bit(4, 'ET', 'extension type, always 1'),
  bit(5, 'NE', 'numeric error reported as #MF'),
  bit(16, 'WP', 'write protect also for supervisor writes'),
  bit(18, 'AM', 'alignment check permitted'),
  bit(29, 'NW', 'not write-through'),
  bit(30, 'CD', 'cache disable'),
  bit(31, 'PG', 'paging enable'),
];

export const CR4_BITS: readonly RegisterBit[] = [
  bit(0, 'VME', 'virtual-8086 mode extensions'),
  bit(1, 'PVI', 'protected-mode virtual interrupts'),
  bit(2, 'TSD', 'RDTSC only at CPL 0'),
  bit(3, 'DE', 'debugging extensions: DR4 and DR5 are undefined'),
  bit(4, 'PSE', '4-MByte pages in 32-bit paging'),
  bit(5, 'PAE', 'physical-address extension'),
  bit(6, 'MCE', 'machine-check exceptions'),
  bit(7, 'PGE', 'global pages'),
  bit(8, 'PCE', 'RDPMC at any CPL'),
  bit(9, 'OSFXSR', 'the system supports FXSAVE, FXRSTOR and SSE'),
  bit(10, 'OSXMMEXCPT', 'the system supports unmasked SIMD exceptions'),
  bit(11, 'UMIP', 'SGDT, SIDT, SLDT, SMSW and STR only at CPL 0'),
  bit(12, 'LA57', '5-level paging'),
  bit(13, 'VMXE', 'VMX enable'),
  bit(14, 'SMXE', 'SMX enable'),
  bit(16, 'FSGSBASE', 'RDFSBASE, WRFSBASE and the like'),
  bit(17, 'PCIDE', 'process-context identifiers'),
  bit(18, 'OSXSAVE', 'the system supports XSAVE'),
  bit(19, 'KL', 'key locker'),
  bit(20, 'SMEP', 'supervisor-mode execution prevention'),
  bit(21, 'SMAP', 'supervisor-mode access prevention'),
  bit(22, 'PKE', 'protection keys for user pages'),
  bit(23, 'CET', 'control-flow enforcement'),
  bit(24, 'PKS', 'protection keys for supervisor pages'),
  bit(25, 'UINTR', 'user interrupts'),
  bit(28, 'LAM_SUP', 'linear-address masking for supervisor pointers'),
];

export const EFER_BITS: readonly RegisterBit[] = [
  bit(0, 'SCE', 'SYSCALL enable'),
  bit(8, 'LME', 'IA-32e mode enable'),
  bit(10, 'LMA', 'IA-32e mode active'),
  bit(11, 'NXE', 'execute-disable enable'),
];

export const Cr0 = {
  PE: 1n << 0n,
  MP: 1n << 1n,
  EM: 1n << 2n,
  TS: 1n << 3n,
  ET: 1n << 4n,
  NE: 1n << 5n,
  WP: 1n << 16n,
  AM: 1n << 18n,
  NW: 1n << 29n,
  CD: 1n << 30n,
  PG: 1n << 31n,
} as const;

export const Cr4 = {
  VME: 1n << 0n,
  PVI: 1n << 1n,
  TSD: 1n << 2n,
  DE: 1n << 3n,
  PSE: 1n << 4n,
  PAE: 1n << 5n,
  MCE: 1n << 6n,
  PGE: 1n << 7n,
  PCE: 1n << 8n,
  OSFXSR: 1n << 9n,
  OSXMMEXCPT: 1n << 10n,
  UMIP: 1n << 11n,
  LA57: 1n << 12n,
  VMXE: 1n << 13n,
  SMXE: 1n << 14n,
  FSGSBASE: 1n << 16n,
  PCIDE: 1n << 17n,
  OSXSAVE: 1n << 18n,
  SMEP: 1n << 20n,
  SMAP: 1n << 21n,
  PKE: 1n << 22n,
  CET: 1n << 23n,
} as const;

export const Efer = {
  SCE: 1n << 0n,
  LME: 1n << 8n,
  LMA: 1n << 10n,
  NXE: 1n << 11n,
} as const;

/** Names of the set bits, lowest first; a bit without a name is `bit n`. */
export function namesOfBits(value: bigint, bits: readonly RegisterBit[]): string[] {
  const names: string[] = [];
  for (let position = 0; position < 64; position++) {
    if (((value >> BigInt(position)) & 1n) === 0n) continue;
    names.push(bits.find((row) => row.bit === position)?.name ?? `bit ${position}`);
  }
  return names;
}
