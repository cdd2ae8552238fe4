import type { InstructionRow } from './row';

/** How code is decoded: default operand and address size (SDM vol. 1, 3.6). */
export type CodeSize = 16 | 32 | 64;
export type AddressSize = 16 | 32 | 64;

/**
 * One decoded instruction. Made by the decoder once; helpers, the disassembler and views read it.
 * Register numbers are 0..15; -1 = none.
 */
export interface Instruction {
  readonly row: InstructionRow;
  /** Offset in the code segment of the first prefix byte */
  readonly rip: bigint;
  /** Bytes, 1..15 */
  readonly length: number;
  readonly codeSize: CodeSize;
  /** 8, 16, 32 or 64 bits */
  readonly operandSize: 8 | 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  /** ModRM fields with REX extension applied; `rm` is a register number when `isMemory` is false */
  readonly mod: number;
  readonly reg: number;
  readonly rm: number;
  readonly isMemory: boolean;
  readonly base: number;
  readonly index: number;
  /** log2 of the scale */
  readonly scale: number;
  /** Sign-extended. RIP-relative: `ripRelative` is true and base is -1 */
  readonly displacement: bigint;
  readonly ripRelative: boolean;
  /** Segment that the memory operand uses, overrides applied: 0 ES .. 5 GS */
  readonly segment: number;
  readonly immediate: bigint;
  /** ENTER's second immediate, far pointer's selector */
  readonly immediate2: number;
  readonly rex: number;
  readonly lock: boolean;
  readonly rep: boolean;
  readonly repne: boolean;
}
