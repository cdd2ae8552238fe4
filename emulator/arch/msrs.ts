import { CAPABILITY_MSRS, msr, type MsrDescription } from './capability-msrs';
import { X2APIC_MSRS } from './x2apic-msrs';

// prettier-ignore
const rows = {
  IA32_P5_MC_ADDR: msr(0x0, 'vol. 3, 16.10.1', 'address of a machine check of the Pentium processor: always 0, and only 0 can be written'),
  IA32_P5_MC_TYPE: msr(0x1, 'vol. 3, 16.10.1', 'type of a machine check of the Pentium processor: always 0, and only 0 can be written'),
  IA32_TIME_STAMP_COUNTER: msr(0x10, 'vol. 3, 18.17', 'the time-stamp counter; RDMSR in non-root operation applies the TSC offset as RDTSC does'),
  IA32_PLATFORM_ID: msr(0x17, 'vol. 3, 10.11.4', 'which microcode updates fit the processor; read-only'),
  IA32_APIC_BASE: msr(0x1b, 'vol. 3, 11.4.4', 'physical address of the local APIC, its global enable (11), x2APIC mode (10), bootstrap processor (8); from x2APIC mode the way back to xAPIC mode leads through disabled'),
  IA32_FEATURE_CONTROL: msr(0x3a, 'vol. 3, 24.7', 'lock (0), VMXON in SMX operation (1), VMXON outside it (2), with SMX local (14:8) and global (15) enables of SENTER; written once, then locked until reset'),
  IA32_TSC_ADJUST: msr(0x3b, 'vol. 3, 18.17.3', 'what was added to the time-stamp counter by software'),
  IA32_BIOS_SIGN_ID: msr(0x8b, 'vol. 3, 10.11.7.1', 'revision of the microcode update; software writes 0, executes CPUID and reads it'),
  IA32_MTRRCAP: msr(0xfe, 'vol. 3, 12.11.1', 'how many variable-range MTRRs there are, whether fixed ranges and write-combining are supported; read-only'),
  IA32_SYSENTER_CS: msr(0x174, 'vol. 3, 5.8.7', 'code segment that SYSENTER loads; SS, and the segments of SYSEXIT, follow it'),
  IA32_SYSENTER_ESP: msr(0x175, 'vol. 3, 5.8.7', 'stack pointer that SYSENTER loads'),
  IA32_SYSENTER_EIP: msr(0x176, 'vol. 3, 5.8.7', 'instruction pointer that SYSENTER loads'),
  IA32_MCG_CAP: msr(0x179, 'vol. 3, 16.3.1.1', 'what the machine-check architecture has: no banks here, and so no corrected-error interrupts; read-only'),
  IA32_MCG_STATUS: msr(0x17a, 'vol. 3, 16.3.1.2', 'restart (0) and error instruction pointer (1) valid, machine check in progress (2); no machine check ever occurs here'),
  IA32_MISC_ENABLE: msr(0x1a0, 'vol. 4, 2.1', 'enables processor features such as fast strings, thermal control and MONITOR'),
  IA32_DEBUGCTL: msr(0x1d9, 'vol. 3, 18.4.1', 'last-branch recording (0), single-step on branches (1)'),
  IA32_PAT: msr(0x277, 'vol. 3, 12.12.2', 'page attribute table: eight memory types, chosen by PAT, PCD and PWT of a paging-structure entry'),
  IA32_MTRR_DEF_TYPE: msr(0x2ff, 'vol. 3, 12.11.2.1', 'memory type outside all ranges (7:0), fixed ranges enabled (10), MTRRs enabled (11)'),
  IA32_TSC_DEADLINE: msr(0x6e0, 'vol. 3, 11.5.4.1', 'time-stamp counter value at which the local APIC timer interrupts in TSC-deadline mode; 0 disarms it'),
  IA32_XSS: msr(0xda0, 'vol. 4, 2.1', 'supervisor state components that XSAVES and XRSTORS manage: none here, only 0 can be written'),
  IA32_EFER: msr(0xc0000080, 'vol. 3, 2.2.1', 'SYSCALL enable (0), IA-32e mode enable (8) and active (10), execute-disable enable (11)'),
  IA32_STAR: msr(0xc0000081, 'vol. 3, 5.8.8', 'selectors of SYSCALL (47:32) and SYSRET (63:48)'),
  IA32_LSTAR: msr(0xc0000082, 'vol. 3, 5.8.8', 'instruction pointer that SYSCALL loads in 64-bit mode'),
  IA32_CSTAR: msr(0xc0000083, 'vol. 4, 2.1', 'SYSCALL target of compatibility mode, where Intel processors raise #UD: kept and not used'),
  IA32_FMASK: msr(0xc0000084, 'vol. 3, 5.8.8', 'flags that SYSCALL clears'),
  IA32_FS_BASE: msr(0xc0000100, 'vol. 3, 3.4.4', 'base address of FS'),
  IA32_GS_BASE: msr(0xc0000101, 'vol. 3, 3.4.4', 'base address of GS'),
  IA32_KERNEL_GS_BASE: msr(0xc0000102, 'vol. 4, 2.1', 'base address that SWAPGS exchanges with that of GS'),
  IA32_TSC_AUX: msr(0xc0000103, 'vol. 3, 18.17.2', 'value that RDTSCP returns in ECX, usually the number of the processor'),
};

export const VARIABLE_MTRR_PAIRS = 8;
const PHYSBASE0 = 0x200;

const variable = (pair: number): [string, MsrDescription][] => [
  [
    `IA32_MTRR_PHYSBASE${pair}`,
    msr(PHYSBASE0 + 2 * pair, 'vol. 3, 12.11.2.3', `base and memory type of variable range ${pair}`),
  ],
  [
    `IA32_MTRR_PHYSMASK${pair}`,
    msr(PHYSBASE0 + 2 * pair + 1, 'vol. 3, 12.11.2.3', `mask of variable range ${pair}, which it enables by bit 11`),
  ],
];

/** `count` MTRRs of eight ranges each, from `first` and from a physical address */
const fixed = (first: number, kbytes: number, count: number, from: number): [string, MsrDescription][] =>
  Array.from({ length: count }, (_, i) => {
    const start = (from + i * 8 * kbytes * 1024).toString(16).toUpperCase().padStart(5, '0');
    const meaning = `memory types of the eight ${kbytes}-KByte ranges from ${start}H`;
    return [`IA32_MTRR_FIX${kbytes}K_${start}`, msr(first + i, 'vol. 3, 12.11.2.2', meaning)];
  });

const fixedRanges = [...fixed(0x250, 64, 1, 0), ...fixed(0x258, 16, 2, 0x80000), ...fixed(0x268, 4, 8, 0xc0000)];

/** Model-specific registers that the processor keeps, by the manual's names (SDM vol. 4, chapter 2). */
export const MSRS: Readonly<Record<string, MsrDescription>> = {
  ...rows,
  ...Object.fromEntries(Array.from({ length: VARIABLE_MTRR_PAIRS }, (_, pair) => variable(pair)).flat()),
  ...Object.fromEntries(fixedRanges),
  ...X2APIC_MSRS,
};

/** Indexes by symbol: `Msr.IA32_EFER` is 0xc0000080. */
export const Msr = {
  ...(Object.fromEntries(Object.entries(rows).map(([symbol, row]) => [symbol, row.index])) as {
    readonly [K in keyof typeof rows]: number;
  }),
  IA32_MTRR_PHYSBASE0: PHYSBASE0,
};

/** The fixed-range MTRRs in the order in which the state block keeps them after the 8 variable pairs. */
export const FIXED_MTRRS: readonly number[] = fixedRanges.map(([, row]) => row.index);

/** IA32_MTRRCAP: 8 variable ranges, fixed ranges, write-combining (SDM vol. 3, 12.11.1) */
export const MTRR_CAPABILITIES = 0x508n;

/** IA32_MISC_ENABLE (SDM vol. 4, table 2-2) */
export const MiscEnable = { FAST_STRINGS: 1n << 0n, MONITOR: 1n << 18n } as const;

/** IA32_APIC_BASE */
export const ApicBase = { BOOTSTRAP: 0x100n, X2APIC: 0x400n, ENABLE: 0x800n } as const;

/** Power-on value of IA32_PAT: WB, WT, UC-, UC twice (SDM vol. 3, table 12-12) */
export const PAT_RESET = 0x0007040600070406n;

const byIndex = new Map(Object.entries({ ...MSRS, ...CAPABILITY_MSRS }).map(([name, row]) => [row.index, name]));

/** "IA32_EFER", or "MSR 0x123" */
export const msrName = (index: number): string => byIndex.get(index) ?? `MSR 0x${index.toString(16)}`;
