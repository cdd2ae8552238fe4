import { ENGINE_SCRATCH, State } from '../memory/layout';

/** Words that generated code and the run loop share. Byte addresses; the translator's begin at +0x8000. */
export const Scratch = {
  /** i32: record at which generated code stopped, 0 when State.RIP already says where */
  RECORD: ENGINE_SCRATCH,
  /** i32: Stop */
  STOP: ENGINE_SCRATCH + 4,
  /** i32: identity of the mode that is running (see mode.ts) */
  MODE: ENGINE_SCRATCH + 8,
  /** i32: not zero when the interpreter is to pass the entries of translated regions */
  PASS_REGIONS: ENGINE_SCRATCH + 0xc,
  /** i64 x 2: linear address of a fetch = (RIP + base) & mask */
  LINEAR_BASE: ENGINE_SCRATCH + 0x10,
  LINEAR_MASK: ENGINE_SCRATCH + 0x18,
  /** i32: what is left of the budget after the instruction whose handler, in a module of its own, runs */
  LEFT: ENGINE_SCRATCH + 0x20,
  /**
   * 6 x 16, ES to GS, outside 64-bit mode: lowest and highest valid offset for reading, then for writing, u32.
   * A segment that may not be accessed so has low > high.
   */
  BOUNDS: ENGINE_SCRATCH + 0x40,
  /** 2 x i64 a code page: what RIP-relative addresses are relative to */
  ANCHORS: ENGINE_SCRATCH + 0x100,
  ANCHORS_END: ENGINE_SCRATCH + 0x8000,
} as const;

export const BOUNDS_SIZE = 16;

/** Why generated code stopped. */
export const enum Stop {
  Budget,
  Helper,
  Fault,
  Breakpoint,
  /** A translated region begins here */
  Region,
  /** The record arena is full: everything decoded must be dropped */
  ArenaFull,
}

/** Segment bases are addressed in records by a byte: address = SLOT_BASE + 8 * byte. Byte 0 is a base of zero. */
export const SLOT_BASE = State.ZERO;
export const segmentSlot = (segment: number): number => (State.SEGMENTS + segment * 32 + 16 - SLOT_BASE) / 8;
