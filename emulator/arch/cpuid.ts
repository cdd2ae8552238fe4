import { CLOCK_HZ } from './clock';
import { SUPPORTED_COMPONENTS, XSAVE_AREA_SIZE, XSAVE_FEATURES } from './extended-state';
import { LINEAR_ADDRESS_BITS, PHYSICAL_ADDRESS_BITS } from './address-width';

/**
 * What CPUID announces (SDM vol. 2, CPUID): exactly the features that exist. Family 6, model 94; no x87, MMX or
 * SSE. Bits that depend on the processor's state are marked by `dynamic` and filled in by cpu/.
 */
export interface CpuidLeaf {
  readonly leaf: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

const bits = (...positions: number[]): number => positions.reduce((sum, position) => sum | (1 << position), 0) >>> 0;

/** HTT: the package has room for several logical processors, EBX bits 23:16 of them */
export const Leaf1 = {
  ECX_MONITOR: 1 << 3,
  ECX_VMX: 1 << 5,
  ECX_SMX: 1 << 6,
  ECX_OSXSAVE: 1 << 27,
  EDX_APIC: 1 << 9,
  EDX_HTT: 1 << 28,
  EBX_COUNT_SHIFT: 16,
  EBX_ID_SHIFT: 24,
} as const;

const SIGNATURE = 0x000506e3;
/** CMPXCHG16B, PCID, x2APIC, MOVBE, POPCNT, TSC deadline, XSAVE, RDRAND; MONITOR where IA32_MISC_ENABLE allows it */
const LEAF1_ECX = bits(13, 17, 21, 22, 23, 24, 26, 30);
/** DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE-36, FXSR */
const LEAF1_EDX = bits(2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 24);
/** CLFLUSH line of 8 quadwords; count and identity of the logical processor are filled in */
const LEAF1_EBX = 8 << 8;
/** IA32_TSC_ADJUST, SMEP, INVPCID, RDSEED, CLFLUSHOPT, SMAP */
const LEAF7_EBX = bits(1, 7, 10, 18, 20, 23);
/** Smallest and largest monitor line */
const MONITOR_LINE = 64;
/** Leaf 5 counts the C-states; an interrupt may wake MWAIT although it is masked */
const LEAF5_ECX = bits(0, 1);
/** MWAIT hints: one sub-state of C1 */
const LEAF5_EDX = 1 << 4;
/** UMIP */
const LEAF7_ECX = bits(2);
/** LAHF/SAHF in 64-bit mode, LZCNT */
const EXTENDED_ECX = bits(0, 5);
/** SYSCALL, execute-disable, 1-GByte pages, RDTSCP, Intel 64 */
const EXTENDED_EDX = bits(11, 20, 26, 27, 29);

const leaf = (number: number, eax = 0, ebx = 0, ecx = 0, edx = 0): CpuidLeaf => ({ leaf: number, eax, ebx, ecx, edx });

/** Four characters as a register holds them */
function word(text: string, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (at + i < text.length ? text.charCodeAt(at + i) : 0);
  return value >>> 0;
}

const VENDOR = 'GenuineIntel';
const BRAND = 'Undervisor virtual processor'.padEnd(48, '\0');
const brandLeaf = (number: number): CpuidLeaf => {
  const at = (number - 0x80000002) * 16;
  return leaf(number, word(BRAND, at), word(BRAND, at + 4), word(BRAND, at + 8), word(BRAND, at + 12));
};

export const HIGHEST_BASIC_LEAF = 0x16;
const MEGAHERTZ = 1_000_000;
const BUS_MEGAHERTZ = 100;
export const HIGHEST_EXTENDED_LEAF = 0x80000008;

export const CPUID_LEAVES: readonly CpuidLeaf[] = [
  leaf(0, HIGHEST_BASIC_LEAF, word(VENDOR, 0), word(VENDOR, 8), word(VENDOR, 4)),
  leaf(1, SIGNATURE, LEAF1_EBX, LEAF1_ECX, LEAF1_EDX),
  // Descriptor byte FFH: no cache information here, see leaf 4, which lists no cache.
  leaf(2, 0x00ff0001),
  leaf(3),
  leaf(4),
  leaf(5, MONITOR_LINE, MONITOR_LINE, LEAF5_ECX, LEAF5_EDX),
  leaf(6),
  leaf(7, 0, LEAF7_EBX, LEAF7_ECX),
  leaf(8),
  leaf(9),
  leaf(0xa),
  leaf(0xb),
  // Sub-leaf 0; the area is as large with every XCR0.
  leaf(0xd, Number(SUPPORTED_COMPONENTS), XSAVE_AREA_SIZE, XSAVE_AREA_SIZE),
  // The time-stamp counter counts the core crystal clock 1:1, as the local APIC's timer does: both count virtual ticks.
  leaf(0x15, 1, 1, CLOCK_HZ),
  leaf(0x16, CLOCK_HZ / MEGAHERTZ, CLOCK_HZ / MEGAHERTZ, BUS_MEGAHERTZ),
  leaf(0x80000000, HIGHEST_EXTENDED_LEAF),
  leaf(0x80000001, 0, 0, EXTENDED_ECX, EXTENDED_EDX),
  brandLeaf(0x80000002),
  brandLeaf(0x80000003),
  brandLeaf(0x80000004),
  leaf(0x80000005),
  leaf(0x80000006),
  // Invariant TSC
  leaf(0x80000007, 0, 0, 0, bits(8)),
  leaf(0x80000008, PHYSICAL_ADDRESS_BITS | (LINEAR_ADDRESS_BITS << 8)),
];

/**
 * Where a processor sits (SDM vol. 2, CPUID leaves 1, 4 and 0BH): every one is a core of one package, with one thread.
 * x2APIC IDs count from 0; the core level takes as many bits as the highest needs.
 */
export interface Topology {
  /** Initial and x2APIC ID */
  readonly id: number;
  readonly processors: number;
}

const THREAD_LEVEL = 1;
const CORE_LEVEL = 2;

/** What a leaf says of the topology beside the fixed table; the same row when nothing. */
export function withTopology(row: CpuidLeaf, subleaf: number, { id, processors }: Topology): CpuidLeaf {
  const idBits = 32 - Math.clz32(processors - 1);
  switch (row.leaf) {
    case 1: {
      const ebx = row.ebx | (processors << Leaf1.EBX_COUNT_SHIFT) | (id << Leaf1.EBX_ID_SHIFT);
      return { ...row, ebx, edx: processors > 1 ? row.edx | Leaf1.EDX_HTT : row.edx };
    }
    case 4:
      // Room for cores in the package, minus one.
      return subleaf === 0 ? { ...row, eax: row.eax | (((1 << idBits) - 1) << 26) } : row;
    case 0xb: {
      const type = subleaf === 0 ? THREAD_LEVEL : subleaf === 1 ? CORE_LEVEL : 0;
      const level = (type << 8) | (subleaf & 0xff);
      if (type === 0) return { ...row, ecx: level, edx: id };
      return { ...row, eax: subleaf === 0 ? 0 : idBits, ebx: subleaf === 0 ? 1 : processors, ecx: level, edx: id };
    }
    default:
      return row;
  }
}

const byNumber = new Map(CPUID_LEAVES.map((row) => [row.leaf, row]));
const NOTHING = leaf(0);
/** Leaf 0DH, sub-leaf 1: XSAVEOPT, XSAVEC, XGETBV, XSAVES, and what an area takes with XCR0 and IA32_XSS */
const EXTENDED_STATE_FEATURES = leaf(0xd, XSAVE_FEATURES, XSAVE_AREA_SIZE);

/**
 * The leaf that CPUID answers with. Beyond the highest leaf of both ranges Intel's processors return the data of the
 * highest basic leaf. Leaf 7 has only sub-leaf 0.
 */
export function cpuidLeaf(number: number, subleaf: number): CpuidLeaf {
  const basic = number <= HIGHEST_BASIC_LEAF;
  const extended = number >= 0x80000000 && number <= HIGHEST_EXTENDED_LEAF;
  const answered = basic || extended ? number : HIGHEST_BASIC_LEAF;
  if (answered === 7 && subleaf !== 0) return NOTHING;
  if (answered === 0xd && subleaf !== 0) return subleaf === 1 ? EXTENDED_STATE_FEATURES : NOTHING;
  return byNumber.get(answered) ?? NOTHING;
}
