import type { Meaning } from './context';

/**
 * Which rule decides about a VM exit of this instruction in VMX non-root operation (SDM vol. 3, "Instructions that
 * cause VM exits"). The rules themselves are rows in vmx/instruction-exits.ts under these names.
 */
export type ExitRule =
  | 'CPUID'
  | 'GETSEC'
  | 'INVD'
  | 'XSETBV'
  | 'VMX'
  | 'HLT'
  | 'INVLPG'
  | 'INVPCID'
  | 'MWAIT'
  | 'MONITOR'
  | 'RDPMC'
  | 'RDTSC'
  | 'RDTSCP'
  | 'RDRAND'
  | 'RDSEED'
  | 'PAUSE'
  | 'WBINVD'
  | 'MOV_TO_CR'
  | 'MOV_FROM_CR'
  | 'CLTS'
  | 'LMSW'
  | 'SMSW'
  | 'MOV_DR'
  | 'IO'
  | 'RDMSR'
  | 'WRMSR'
  | 'GDTR_IDTR'
  | 'LDTR_TR'
  | 'XSAVES'
  | 'VMCALL'
  | 'VMFUNC'
  | 'TASK_SWITCH'
  | 'RSM';

/** Names of the behaviours in TypeScript (cpu/ and vmx/); see cpu/helpers.ts. */
export type HelperName = string;

/**
 * Operand size in 64-bit mode (SDM vol. 2, appendix A superscripts): by prefixes, d64 = 64 by default, f64 = always 64;
 * max32: REX.W is ignored (port I/O).
 */
export type LongModeSize = 'prefixes' | 'd64' | 'f64' | 'max32';

/** Letters of the arithmetic flags: O S Z A P C */
export type FlagLetters = string;

/** One row of the instruction table. `notation` is the manual's ("81 /0 iz", "REX.W + 0F 01 /2"). */
export interface InstructionRow {
  readonly id: number;
  readonly mnemonic: string;
  readonly notation: string;
  /** Manual's operand codes in order, for example ['Ev', 'Gv'] */
  readonly operands: readonly string[];
  /**
   * Computation plus RAM: the meaning. Everything else: a helper. Both: the meaning is the common case, which leaves to
   * the helper (`Context.helperIf`) whatever is not; the helper can do all of it.
   */
  readonly meaning?: Meaning;
  readonly helper?: HelperName;
  readonly exit?: ExitRule;
  /** Modes in which the row exists */
  readonly modes: { readonly legacy: boolean; readonly long: boolean };
  readonly longModeSize: LongModeSize;
  /** LOCK is allowed with a memory destination */
  readonly lockable: boolean;
  /** F2/F3 repeat the instruction */
  readonly repeatable: boolean;
  /** Arithmetic flags that the manual leaves undefined after the instruction */
  readonly undefinedFlags: FlagLetters;
  /** One line for hover and views */
  readonly summary: string;
}

/** What a row's author writes; the rest has defaults. */
export interface RowOptions {
  readonly meaning?: Meaning;
  readonly helper?: HelperName;
  readonly exit?: ExitRule;
  /** 'legacy': not in 64-bit mode (i64); 'long': 64-bit mode only (o64). Default: both */
  readonly only?: 'legacy' | 'long';
  readonly size64?: LongModeSize;
  readonly lockable?: boolean;
  readonly repeatable?: boolean;
  readonly undefinedFlags?: FlagLetters;
}

/** A row before the table numbers it. */
export type RowDefinition = Omit<InstructionRow, 'id'>;

/** Defines one row; `operands` is a list separated by commas, empty for none. */
export function row(
  mnemonic: string,
  notation: string,
  operands: string,
  summary: string,
  options: RowOptions,
): RowDefinition {
  const { meaning, helper, exit, only } = options;
  if (meaning === undefined && helper === undefined)
    throw new Error(`${mnemonic} ${notation}: a row has a meaning or a helper`);
  return {
    mnemonic,
    notation,
    operands: operands === '' ? [] : operands.split(',').map((code) => code.trim()),
    ...(meaning && { meaning }),
    ...(helper !== undefined && { helper }),
    ...(exit && { exit }),
    modes: { legacy: only !== 'long', long: only !== 'legacy' },
    longModeSize: options.size64 ?? 'prefixes',
    lockable: options.lockable ?? false,
    repeatable: options.repeatable ?? false,
    undefinedFlags: options.undefinedFlags ?? '',
    summary,
  };
}
