/** Model-specific registers that the processor keeps, by the manual's names (SDM vol. 4, chapter 2). */
export const Msr = {
  IA32_TIME_STAMP_COUNTER: 0x10,
  IA32_PLATFORM_ID: 0x17,
  IA32_APIC_BASE: 0x1b,
  IA32_FEATURE_CONTROL: 0x3a,
  IA32_TSC_ADJUST: 0x3b,
  IA32_BIOS_SIGN_ID: 0x8b,
  IA32_MTRRCAP: 0xfe,
  IA32_SYSENTER_CS: 0x174,
  IA32_SYSENTER_ESP: 0x175,
  IA32_SYSENTER_EIP: 0x176,
  IA32_MISC_ENABLE: 0x1a0,
  IA32_DEBUGCTL: 0x1d9,
  IA32_MTRR_PHYSBASE0: 0x200,
  IA32_MTRR_FIX64K_00000: 0x250,
  IA32_PAT: 0x277,
  IA32_MTRR_DEF_TYPE: 0x2ff,
  IA32_VMX_BASIC: 0x480,
  IA32_VMX_LAST: 0x493,
  IA32_EFER: 0xc0000080,
  IA32_STAR: 0xc0000081,
  IA32_LSTAR: 0xc0000082,
  IA32_CSTAR: 0xc0000083,
  IA32_FMASK: 0xc0000084,
  IA32_FS_BASE: 0xc0000100,
  IA32_GS_BASE: 0xc0000101,
  IA32_KERNEL_GS_BASE: 0xc0000102,
  IA32_TSC_DEADLINE: 0x6e0,
  IA32_TSC_AUX: 0xc0000103,
} as const;

/** The fixed-range MTRRs in the order in which the state block keeps them after the 8 variable pairs. */
export const FIXED_MTRRS: readonly number[] = [
  0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f,
];
export const VARIABLE_MTRR_PAIRS = 8;

/** IA32_MTRRCAP: 8 variable ranges, fixed ranges, write-combining (SDM vol. 3, 12.11.1) */
export const MTRR_CAPABILITIES = 0x508n;

/** IA32_APIC_BASE */
export const ApicBase = { BOOTSTRAP: 0x100n, X2APIC: 0x400n, ENABLE: 0x800n } as const;

/** Power-on value of IA32_PAT: WB, WT, UC-, UC twice (SDM vol. 3, table 12-12) */
export const PAT_RESET = 0x0007040600070406n;

const byIndex = new Map<number, string>(Object.entries(Msr).map(([name, index]) => [index, name]));

/** "IA32_EFER", or "MSR 0x123" */
export const msrName = (index: number): string => byIndex.get(index) ?? `MSR 0x${index.toString(16)}`;
