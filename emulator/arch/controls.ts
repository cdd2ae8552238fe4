import type { VmxMsrSymbol } from './capability-msrs';

/**
 * The VMX controls, bit by bit (SDM vol. 3, tables 25-5 to 25-16). `implemented` decides what the capability MSRs
 * announce (vmx/capabilities.ts), which VMCS fields exist (vmcs-fields.ts) and what VM entry accepts: a control that
 * is not implemented cannot be set.
 */
export interface ControlRow {
  readonly bit: number;
  /** As in the manual */
  readonly name: string;
  readonly implemented: boolean;
  readonly meaning: string;
}

/** One of the 32-bit control words. */
export interface ControlWord {
  readonly name: string;
  readonly section: string;
  /** VMCS encoding of the word */
  readonly encoding: number;
  /** Bits of the default1 class: 1 in the plain capability MSR (SDM vol. 3, A.2) */
  readonly default1: number;
  /** Bits of the default1 class that the TRUE capability MSR allows to be 0 */
  readonly relaxed: number;
  /** Capability MSR of the word, and the TRUE one where there is a default1 class (SDM vol. 3, A.3 to A.5) */
  readonly capability: VmxMsrSymbol;
  readonly trueCapability: VmxMsrSymbol | undefined;
  readonly controls: Readonly<Record<string, ControlRow>>;
}

const YES = true;
const NO = false;
const control = (bit: number, name: string, implemented: boolean, meaning: string): ControlRow => ({
  bit,
  name,
  implemented,
  meaning,
});

// prettier-ignore
const pin = {
  EXTERNAL_INTERRUPT_EXITING: control(0, 'External-interrupt exiting', YES, 'external interrupts cause VM exits instead of going through the guest IDT, whatever RFLAGS.IF says; with "acknowledge interrupt on exit" the vector is taken and reported'),
  NMI_EXITING: control(3, 'NMI exiting', YES, 'non-maskable interrupts cause VM exits unless NMIs are blocked, and IRET no longer ends blocking by NMI'),
  VIRTUAL_NMIS: control(5, 'Virtual NMIs', YES, 'NMIs are never blocked, so that each causes a VM exit; bit 3 of the interruptibility state is virtual-NMI blocking, which an injected NMI begins and IRET ends; needs "NMI exiting"'),
  ACTIVATE_PREEMPTION_TIMER: control(6, 'Activate VMX-preemption timer', YES, 'the VMX-preemption timer is loaded by VM entry, counts down at a rate that IA32_VMX_MISC tells, and causes a VM exit when it reaches 0, whatever the guest does'),
  PROCESS_POSTED_INTERRUPTS: control(7, 'Process posted interrupts', YES, 'an external interrupt with the notification vector moves the requests of the posted-interrupt descriptor to the virtual-APIC page instead of causing a VM exit'),
};

// prettier-ignore
const primary = {
  INTERRUPT_WINDOW_EXITING: control(2, 'Interrupt-window exiting', YES, 'a VM exit occurs at the first instruction boundary where RFLAGS.IF = 1 and neither STI nor MOV SS blocks interrupts: the moment to inject one'),
  USE_TSC_OFFSETTING: control(3, 'Use TSC offsetting', YES, 'RDTSC, RDTSCP and RDMSR of the time-stamp counter return it plus the TSC offset; root operation reads it as it is'),
  HLT_EXITING: control(7, 'HLT exiting', YES, 'HLT causes VM exits at CPL 0; without it the guest waits in the HLT activity state'),
  INVLPG_EXITING: control(9, 'INVLPG exiting', YES, 'INVLPG and INVPCID cause VM exits'),
  MWAIT_EXITING: control(10, 'MWAIT exiting', YES, 'MWAIT causes VM exits; the exit qualification tells whether MONITOR has armed an address range'),
  RDPMC_EXITING: control(11, 'RDPMC exiting', YES, 'RDPMC causes VM exits, before it checks the number of the counter'),
  RDTSC_EXITING: control(12, 'RDTSC exiting', YES, 'RDTSC and RDTSCP cause VM exits, after the check of CR4.TSD; TSC offset and multiplier do not matter then'),
  CR3_LOAD_EXITING: control(15, 'CR3-load exiting', YES, 'MOV to CR3 causes VM exits unless the value is a CR3-target value'),
  CR3_STORE_EXITING: control(16, 'CR3-store exiting', YES, 'MOV from CR3 causes VM exits'),
  ACTIVATE_TERTIARY_CONTROLS: control(17, 'Activate tertiary controls', NO, 'the tertiary processor-based controls are used'),
  CR8_LOAD_EXITING: control(19, 'CR8-load exiting', YES, 'MOV to CR8 causes VM exits'),
  CR8_STORE_EXITING: control(20, 'CR8-store exiting', YES, 'MOV from CR8 causes VM exits'),
  USE_TPR_SHADOW: control(21, 'Use TPR shadow', YES, 'the TPR, by MOV CR8, memory or MSR, is that of the virtual-APIC page'),
  NMI_WINDOW_EXITING: control(22, 'NMI-window exiting', YES, 'a VM exit occurs at the first instruction boundary without virtual-NMI blocking: the moment to inject an NMI; needs "virtual NMIs"'),
  MOV_DR_EXITING: control(23, 'MOV-DR exiting', YES, 'MOV to or from a debug register causes VM exits at every privilege level, before #GP of CPL and #UD of DR4 and DR5'),
  UNCONDITIONAL_IO_EXITING: control(24, 'Unconditional I/O exiting', YES, 'all I/O instructions cause VM exits; ignored when I/O bitmaps are used'),
  USE_IO_BITMAPS: control(25, 'Use I/O bitmaps', YES, 'the I/O bitmaps decide which ports cause VM exits'),
  MONITOR_TRAP_FLAG: control(27, 'Monitor trap flag', YES, 'a VM exit occurs after each instruction of the guest, or after the delivery of an event in its place: the guest runs in single steps that it cannot see'),
  USE_MSR_BITMAPS: control(28, 'Use MSR bitmaps', YES, 'the MSR bitmaps decide which RDMSR and WRMSR cause VM exits; without them all do'),
  MONITOR_EXITING: control(29, 'MONITOR exiting', YES, 'MONITOR causes VM exits, before it checks ECX and reads its operand'),
  PAUSE_EXITING: control(30, 'PAUSE exiting', YES, 'every PAUSE causes a VM exit; PAUSE-loop exiting does not matter then'),
  ACTIVATE_SECONDARY_CONTROLS: control(31, 'Activate secondary controls', YES, 'the secondary processor-based controls are used; otherwise all of them count as 0, whatever the field holds'),
};

// prettier-ignore
const secondary = {
  VIRTUALIZE_APIC_ACCESSES: control(0, 'Virtualize APIC accesses', YES, 'accesses to the APIC-access page cause VM exits or go to the virtual-APIC page'),
  ENABLE_EPT: control(1, 'Enable EPT', YES, 'guest-physical addresses are translated by the extended page tables at the EPT pointer (29.3); what that takes from the guest shows as EPT violations'),
  DESCRIPTOR_TABLE_EXITING: control(2, 'Descriptor-table exiting', YES, 'LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT and STR cause VM exits; the instruction information names instruction and operand'),
  ENABLE_RDTSCP: control(3, 'Enable RDTSCP', YES, 'RDTSCP is defined; otherwise it causes #UD in the guest, before CR4.TSD and "RDTSC exiting" are looked at'),
  VIRTUALIZE_X2APIC_MODE: control(4, 'Virtualize x2APIC mode', YES, 'RDMSR and WRMSR of the TPR, 808H, and with further controls of other registers in 800H-8FFH go to the virtual-APIC page'),
  ENABLE_VPID: control(5, 'Enable VPID', YES, 'cached translations of linear addresses are associated with a VPID, and VM entries and exits invalidate none; otherwise they invalidate those of VPID 0 (29.4.3.1)'),
  WBINVD_EXITING: control(6, 'WBINVD exiting', YES, 'WBINVD causes VM exits at CPL 0'),
  UNRESTRICTED_GUEST: control(7, 'Unrestricted guest', YES, 'the guest may run with CR0.PE or CR0.PG 0: unpaged or in real-address mode; needs "enable EPT"'),
  APIC_REGISTER_VIRTUALIZATION: control(8, 'APIC-register virtualization', YES, 'reads of most APIC registers come from the virtual-APIC page; writes go there and cause APIC-write VM exits afterwards'),
  VIRTUAL_INTERRUPT_DELIVERY: control(9, 'Virtual-interrupt delivery', YES, 'virtual interrupts pending on the virtual-APIC page are delivered to the guest, and its EOIs and self-IPIs are virtualized'),
  PAUSE_LOOP_EXITING: control(10, 'PAUSE-loop exiting', YES, 'PAUSE at CPL 0 causes a VM exit when it belongs to a loop that has run longer than PLE_Window; two PAUSE belong to one loop when at most PLE_Gap lies between them'),
  RDRAND_EXITING: control(11, 'RDRAND exiting', YES, 'RDRAND causes VM exits; the instruction information names destination and operand size'),
  ENABLE_INVPCID: control(12, 'Enable INVPCID', YES, 'INVPCID is defined, and exits with "INVLPG exiting"; otherwise it causes #UD'),
  ENABLE_VM_FUNCTIONS: control(13, 'Enable VM functions', YES, 'VMFUNC is defined in non-root operation, for the functions that the VM-function controls enable'),
  VMCS_SHADOWING: control(14, 'VMCS shadowing', YES, 'VMREAD and VMWRITE in non-root operation access the shadow VMCS at the VMCS link pointer, unless the bit of the field in the VMREAD or VMWRITE bitmap is 1: then they cause VM exits, as without this control'),
  ENABLE_ENCLS_EXITING: control(15, 'Enable ENCLS exiting', NO, 'the ENCLS-exiting bitmap decides about ENCLS'),
  RDSEED_EXITING: control(16, 'RDSEED exiting', YES, 'RDSEED causes VM exits; the instruction information names destination and operand size'),
  ENABLE_PML: control(17, 'Enable PML', YES, 'with accessed and dirty flags for EPT, the page of an access that sets a dirty flag is written to the page-modification log; a VM exit (62) occurs when an accessed or dirty flag is to be set and the PML index is not in 0 to 511 (29.3.6)'),
  EPT_VIOLATION_VE: control(18, 'EPT-violation #VE', YES, 'an EPT violation whose last EPT entry has bit 63 clear causes #VE (vector 20) instead of a VM exit, in protected mode, outside event delivery, and when the busy word of the information area is 0 (26.5.7)'),
  CONCEAL_VMX_FROM_PT: control(19, 'Conceal VMX from PT', NO, 'Intel PT does not tell of VMX'),
  ENABLE_XSAVES_XRSTORS: control(20, 'Enable XSAVES/XRSTORS', YES, 'XSAVES and XRSTORS are defined; otherwise #UD'),
  PASID_TRANSLATION: control(21, 'PASID translation', NO, 'ENQCMD translates PASIDs'),
  MODE_BASED_EXECUTE_CONTROL: control(22, 'Mode-based execute control for EPT', YES, 'bit 2 of EPT entries allows execution from supervisor-mode linear addresses and bit 10 from user-mode ones, whatever the CPL; an entry with bit 10 alone is present (29.3.2)'),
  SUB_PAGE_WRITE_PERMISSIONS: control(23, 'Sub-page write permissions for EPT', NO, 'EPT write permissions by 128 bytes'),
  PT_USES_GUEST_PHYSICAL: control(24, 'Intel PT uses guest physical addresses', NO, 'Intel PT output addresses are translated by EPT'),
  USE_TSC_SCALING: control(25, 'Use TSC scaling', YES, 'with "use TSC offsetting", the time-stamp counter that the guest reads is multiplied by the TSC multiplier, a number with 48 fraction bits, before the offset is added'),
  ENABLE_USER_WAIT_PAUSE: control(26, 'Enable user wait and pause', NO, 'TPAUSE, UMONITOR and UMWAIT are defined'),
  ENABLE_PCONFIG: control(27, 'Enable PCONFIG', NO, 'PCONFIG is defined'),
  ENABLE_ENCLV_EXITING: control(28, 'Enable ENCLV exiting', NO, 'the ENCLV-exiting bitmap decides about ENCLV'),
  BUS_LOCK_DETECTION: control(30, 'VMM bus-lock detection', NO, 'a VM exit occurs after a bus lock'),
  INSTRUCTION_TIMEOUT: control(31, 'Instruction timeout', NO, 'a VM exit occurs when an instruction boundary does not come'),
};

// prettier-ignore
const exit = {
  SAVE_DEBUG_CONTROLS: control(2, 'Save debug controls', YES, 'DR7 and IA32_DEBUGCTL are saved on VM exit'),
  HOST_ADDRESS_SPACE_SIZE: control(9, 'Host address-space size', YES, 'the processor is in 64-bit mode after VM exit'),
  LOAD_PERF_GLOBAL_CTRL: control(12, 'Load IA32_PERF_GLOBAL_CTRL', NO, 'IA32_PERF_GLOBAL_CTRL is loaded on VM exit'),
  ACKNOWLEDGE_INTERRUPT: control(15, 'Acknowledge interrupt on exit', YES, 'the interrupt controller is asked for the vector, which is recorded'),
  SAVE_PAT: control(18, 'Save IA32_PAT', YES, 'IA32_PAT is saved on VM exit'),
  LOAD_PAT: control(19, 'Load IA32_PAT', YES, 'IA32_PAT is loaded on VM exit'),
  SAVE_EFER: control(20, 'Save IA32_EFER', YES, 'IA32_EFER is saved on VM exit'),
  LOAD_EFER: control(21, 'Load IA32_EFER', YES, 'IA32_EFER is loaded on VM exit'),
  SAVE_PREEMPTION_TIMER: control(22, 'Save VMX-preemption timer value', YES, 'the VMX-preemption timer is saved on VM exit'),
  CLEAR_BNDCFGS: control(23, 'Clear IA32_BNDCFGS', NO, 'IA32_BNDCFGS is cleared on VM exit'),
  CONCEAL_VMX_FROM_PT: control(24, 'Conceal VMX from PT', NO, 'Intel PT does not tell of VM exits'),
  CLEAR_RTIT_CTL: control(25, 'Clear IA32_RTIT_CTL', NO, 'IA32_RTIT_CTL is cleared on VM exit'),
  CLEAR_LBR_CTL: control(26, 'Clear IA32_LBR_CTL', NO, 'IA32_LBR_CTL is cleared on VM exit'),
  CLEAR_UINV: control(27, 'Clear UINV', NO, 'UINV is cleared on VM exit'),
  LOAD_CET_STATE: control(28, 'Load CET state', NO, 'CET state and SSP are loaded on VM exit'),
  LOAD_PKRS: control(29, 'Load PKRS', NO, 'IA32_PKRS is loaded on VM exit'),
  SAVE_PERF_GLOBAL_CTRL: control(30, 'Save IA32_PERF_GLOBAL_CTRL', NO, 'IA32_PERF_GLOBAL_CTRL is saved on VM exit'),
  ACTIVATE_SECONDARY_EXIT_CONTROLS: control(31, 'Activate secondary controls', NO, 'the secondary VM-exit controls are used'),
};

// prettier-ignore
const entry = {
  LOAD_DEBUG_CONTROLS: control(2, 'Load debug controls', YES, 'DR7 and IA32_DEBUGCTL are loaded on VM entry'),
  IA32E_MODE_GUEST: control(9, 'IA-32e mode guest', YES, 'the guest is in IA-32e mode after VM entry'),
  ENTRY_TO_SMM: control(10, 'Entry to SMM', NO, 'the guest is in system-management mode after VM entry'),
  DEACTIVATE_DUAL_MONITOR: control(11, 'Deactivate dual-monitor treatment', NO, 'the default treatment of SMIs and SMM is in effect after VM entry'),
  LOAD_PERF_GLOBAL_CTRL: control(13, 'Load IA32_PERF_GLOBAL_CTRL', NO, 'IA32_PERF_GLOBAL_CTRL is loaded on VM entry'),
  LOAD_PAT: control(14, 'Load IA32_PAT', YES, 'IA32_PAT is loaded on VM entry'),
  LOAD_EFER: control(15, 'Load IA32_EFER', YES, 'IA32_EFER is loaded on VM entry'),
  LOAD_BNDCFGS: control(16, 'Load IA32_BNDCFGS', NO, 'IA32_BNDCFGS is loaded on VM entry'),
  CONCEAL_VMX_FROM_PT: control(17, 'Conceal VMX from PT', NO, 'Intel PT does not tell of VM entries'),
  LOAD_RTIT_CTL: control(18, 'Load IA32_RTIT_CTL', NO, 'IA32_RTIT_CTL is loaded on VM entry'),
  LOAD_UINV: control(19, 'Load UINV', NO, 'UINV is loaded on VM entry'),
  LOAD_CET_STATE: control(20, 'Load CET state', NO, 'CET state and SSP are loaded on VM entry'),
  LOAD_LBR_CTL: control(21, 'Load guest IA32_LBR_CTL', NO, 'IA32_LBR_CTL is loaded on VM entry'),
  LOAD_PKRS: control(22, 'Load PKRS', NO, 'IA32_PKRS is loaded on VM entry'),
};

const word = <T extends Readonly<Record<string, ControlRow>>>(
  name: string,
  section: string,
  encoding: number,
  default1: number,
  relaxed: number,
  capability: VmxMsrSymbol,
  trueCapability: VmxMsrSymbol | undefined,
  controls: T,
) => ({
  name,
  section,
  encoding,
  default1: default1 >>> 0,
  relaxed: relaxed >>> 0,
  capability,
  trueCapability,
  controls,
});

/** The five control words. Secondary controls have no default1 class. */
// prettier-ignore
export const CONTROL_WORDS = {
  pin: word('pin-based VM-execution controls', '25.6.1', 0x4000, 0x0000_0016, 0, 'IA32_VMX_PINBASED_CTLS', 'IA32_VMX_TRUE_PINBASED_CTLS', pin),
  primary: word('primary processor-based VM-execution controls', '25.6.2', 0x4002, 0x0401_e172, 0x0001_8000, 'IA32_VMX_PROCBASED_CTLS', 'IA32_VMX_TRUE_PROCBASED_CTLS', primary),
  secondary: word('secondary processor-based VM-execution controls', '25.6.2', 0x401e, 0, 0, 'IA32_VMX_PROCBASED_CTLS2', undefined, secondary),
  exit: word('primary VM-exit controls', '25.7.1', 0x400c, 0x0003_6dff, 0x0000_0004, 'IA32_VMX_EXIT_CTLS', 'IA32_VMX_TRUE_EXIT_CTLS', exit),
  entry: word('VM-entry controls', '25.8.1', 0x4012, 0x0000_11ff, 0x0000_0004, 'IA32_VMX_ENTRY_CTLS', 'IA32_VMX_TRUE_ENTRY_CTLS', entry),
} as const satisfies Record<string, ControlWord>;

export type ControlWordKey = keyof typeof CONTROL_WORDS;

const masks = <T extends Readonly<Record<string, ControlRow>>>(controls: T): { readonly [K in keyof T]: number } => {
  const result: Record<string, number> = {};
  for (const [symbol, row] of Object.entries(controls)) result[symbol] = (1 << row.bit) >>> 0;
  return result as { readonly [K in keyof T]: number };
};

/** Masks by symbol: `Primary.HLT_EXITING` is 0x80. Unsigned 32-bit. */
export const Pin = masks(pin);
export const Primary = masks(primary);
export const Secondary = masks(secondary);
export const Exit = masks(exit);
export const Entry = masks(entry);

/** Bits that may be 1: implemented controls and the default1 class. */
export function allowed1(key: ControlWordKey): number {
  const { controls, default1 } = CONTROL_WORDS[key];
  let mask: number = default1;
  for (const row of Object.values(controls)) if (row.implemented) mask |= 1 << row.bit;
  return mask >>> 0;
}

/** Bits that must be 1 by the plain capability MSR, or by the TRUE one. */
export function allowed0(key: ControlWordKey, trueMsr: boolean): number {
  const { default1, relaxed } = CONTROL_WORDS[key];
  return (trueMsr ? default1 & ~relaxed : default1) >>> 0;
}

/** Names of the controls that are 1, lowest bit first; default1 bits without a name are left out. */
export function describeControls(key: ControlWordKey, value: number): string[] {
  const rows: readonly ControlRow[] = Object.values(CONTROL_WORDS[key].controls);
  return rows.filter((row) => (value >>> row.bit) & 1).map((row) => row.name);
}
