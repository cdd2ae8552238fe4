/**
 * A decoded instruction as generated code reads it: 32 bytes. Records of a straight run are consecutive.
 *
 * Register fields are byte addresses in the state block; a byte register AH..BH is its register's address + 1.
 */
export const RECORD_SIZE = 32;

export const Field = {
  /** i32: number of the handler */
  HANDLER: 0,
  /** u16: ModRM.reg operand */
  REG: 4,
  /** u16: ModRM.rm register operand, or the register in the opcode */
  RM: 6,
  /** u16 x 2, u8: base and index (State.ZERO when absent), log2 of the scale */
  BASE: 8,
  INDEX: 10,
  SCALE: 12,
  /** u8: segment base slot of the memory operand (scratch.ts) */
  SEGMENT: 13,
  /** u16: offset of the instruction in its page */
  OFFSET: 14,
  /** i64: immediate; RIP of the next instruction for transfers; absolute offset of an O operand */
  IMMEDIATE: 16,
  /** i32: displacement; relative target; second immediate */
  DISPLACEMENT: 24,
  /** i32: record of the near target, 0 until linked; index of the instruction where a helper may execute it */
  LINK: 28,
} as const;

/** Handlers that are not instructions. They come first in the dispatch table and do not count as executed. */
export const enum Pseudo {
  /** Stops with the reason in IMMEDIATE */
  Exit,
  /** Stops with Stop.Region unless Scratch.PASS_REGIONS is set; the instruction follows */
  RegionEntry,
  /** Goes on at the RIP in IMMEDIATE: the page ends here */
  NextPage,
  /** Goes on at the record in LINK */
  GoTo,
  /** Asks the code cache where to go on: not decoded yet, dropped, or an instruction that crosses the page's end */
  Resolve,
  Count,
}

/** DISPLACEMENT of a Resolve record */
export const enum ResolveKind {
  Continue,
  Crossing,
}
