import type { Meaning } from './context';

/**
 * Which rule decides about a VM exit of this instruction in VMX non-root operation (SDM vol. 3, "Instructions that
 * cause VM exits"). The rules themselves are rows in vmx/instruction-exits.ts under these names.
 */
export type ExitRule =
  | 'CPUID' | 'GETSEC' | 'INVD' | 'XSETBV' | 'VMX' | 'HLT' | 'INVLPG' | 'INVPCID' | 'MWAIT' | 'MONITOR' | 'RDPMC'
  | 'RDTSC' | 'RDTSCP' | 'RDRAND' | 'RDSEED' | 'PAUSE' | 'WBINVD' | 'MOV_TO_CR' | 'MOV_FROM_CR' | 'CLTS' | 'LMSW' | 'SMSW'
  | 'MOV_DR' | 'IO' | 'RDMSR' | 'WRMSR' | 'GDTR_IDTR' | 'LDTR_TR' | 'XSAVES' | 'VMCALL' | 'VMFUNC' | 'TASK_SWITCH' | 'RSM';

/** Names of the behaviours in TypeScript (cpu/ and vmx/); see cpu/helpers.ts. */
export type HelperName = string;

/** One row of the instruction table. `notation` is the manual's ("81 /0 id", "REX.W + 0F 01 /2"). */
export interface InstructionRow {
  readonly id: number;
  readonly mnemonic: string;
  readonly notation: string;
  /** Manual's operand codes in order, for example ['Ev', 'Gv'] */
  readonly operands: readonly string[];
  /** Computation plus RAM: the meaning. Everything else: a helper. Exactly one is set. */
  readonly meaning?: Meaning;
  readonly helper?: HelperName;
  readonly exit?: ExitRule;
  /** Modes in which the row exists */
  readonly modes: { readonly legacy: boolean; readonly long: boolean };
  /** LOCK is allowed with a memory destination */
  readonly lockable: boolean;
  /** One line for hover and views */
  readonly summary: string;
}
