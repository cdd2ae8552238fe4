/** An MSR as the manual describes it. */
export interface MsrDescription {
  readonly index: number;
  /** Volume and section that define it: "vol. 3, 24.7" */
  readonly section: string;
  readonly meaning: string;
}

export const msr = (index: number, section: string, meaning: string): MsrDescription => ({ index, section, meaning });

// prettier-ignore
const rows = {
  IA32_VMX_BASIC: msr(0x480, 'vol. 3, A.1', 'VMCS revision identifier, size and memory type of VMX regions, and whether the TRUE capability MSRs exist'),
  IA32_VMX_PINBASED_CTLS: msr(0x481, 'vol. 3, A.3.1', 'which pin-based VM-execution controls must be 1 (31:0) and may be 1 (63:32), with the default1 class fixed to 1'),
  IA32_VMX_PROCBASED_CTLS: msr(0x482, 'vol. 3, A.3.2', 'which primary processor-based VM-execution controls must be 1 (31:0) and may be 1 (63:32), with the default1 class fixed to 1'),
  IA32_VMX_EXIT_CTLS: msr(0x483, 'vol. 3, A.4.1', 'which primary VM-exit controls must be 1 (31:0) and may be 1 (63:32), with the default1 class fixed to 1'),
  IA32_VMX_ENTRY_CTLS: msr(0x484, 'vol. 3, A.5', 'which VM-entry controls must be 1 (31:0) and may be 1 (63:32), with the default1 class fixed to 1'),
  IA32_VMX_MISC: msr(0x485, 'vol. 3, A.6', 'rate of the VMX-preemption timer, activity states, CR3-target values, size of MSR lists and other abilities'),
  IA32_VMX_CR0_FIXED0: msr(0x486, 'vol. 3, A.7', 'bits of CR0 that are 1 here must be 1 in VMX operation'),
  IA32_VMX_CR0_FIXED1: msr(0x487, 'vol. 3, A.7', 'bits of CR0 that are 0 here must be 0 in VMX operation'),
  IA32_VMX_CR4_FIXED0: msr(0x488, 'vol. 3, A.8', 'bits of CR4 that are 1 here must be 1 in VMX operation'),
  IA32_VMX_CR4_FIXED1: msr(0x489, 'vol. 3, A.8', 'bits of CR4 that are 0 here must be 0 in VMX operation'),
  IA32_VMX_VMCS_ENUM: msr(0x48a, 'vol. 3, A.9', 'the highest index of any VMCS field, in 9:1'),
  IA32_VMX_PROCBASED_CTLS2: msr(0x48b, 'vol. 3, A.3.3', 'which secondary processor-based VM-execution controls may be 1 (63:32)'),
  IA32_VMX_EPT_VPID_CAP: msr(0x48c, 'vol. 3, A.10', 'what EPT, INVEPT, VPIDs and INVVPID support'),
  IA32_VMX_TRUE_PINBASED_CTLS: msr(0x48d, 'vol. 3, A.3.1', 'as IA32_VMX_PINBASED_CTLS, but tells which controls of the default1 class may be 0'),
  IA32_VMX_TRUE_PROCBASED_CTLS: msr(0x48e, 'vol. 3, A.3.2', 'as IA32_VMX_PROCBASED_CTLS, but tells which controls of the default1 class may be 0'),
  IA32_VMX_TRUE_EXIT_CTLS: msr(0x48f, 'vol. 3, A.4.1', 'as IA32_VMX_EXIT_CTLS, but tells which controls of the default1 class may be 0'),
  IA32_VMX_TRUE_ENTRY_CTLS: msr(0x490, 'vol. 3, A.5', 'as IA32_VMX_ENTRY_CTLS, but tells which controls of the default1 class may be 0'),
  IA32_VMX_VMFUNC: msr(0x491, 'vol. 3, A.11', 'which VM functions may be enabled; exists only with "enable VM functions"'),
  IA32_VMX_PROCBASED_CTLS3: msr(0x492, 'vol. 3, A.3.4', 'which tertiary processor-based VM-execution controls may be 1; exists only with "activate tertiary controls"'),
  IA32_VMX_EXIT_CTLS2: msr(0x493, 'vol. 3, A.4.2', 'which secondary VM-exit controls may be 1; exists only with "activate secondary controls"'),
};

export type VmxMsrSymbol = keyof typeof rows;

/** VMX capability MSRs (SDM vol. 3, appendix A). */
export const CAPABILITY_MSRS: Readonly<Record<VmxMsrSymbol, MsrDescription>> = rows;

/** Indexes by symbol: `VmxMsr.IA32_VMX_BASIC` is 0x480. */
export const VmxMsr = Object.fromEntries(Object.entries(rows).map(([symbol, row]) => [symbol, row.index])) as {
  readonly [K in VmxMsrSymbol]: number;
};

/** Whether an index is in the range that the manual keeps for capability MSRs */
export const isCapabilityMsr = (index: number): boolean =>
  index >= VmxMsr.IA32_VMX_BASIC && index <= VmxMsr.IA32_VMX_EXIT_CTLS2;

/** IA32_FEATURE_CONTROL (SDM vol. 3, 24.7). */
export const FeatureControl = {
  LOCK: 1n << 0n,
  VMX_IN_SMX: 1n << 1n,
  VMX_OUTSIDE_SMX: 1n << 2n,
  SENTER_GLOBAL: 1n << 15n,
} as const;
