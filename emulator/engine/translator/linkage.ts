import { ENGINE_SCRATCH } from '../../memory/layout';
import type { FunctionType } from '../../wasm/module';
import { I32, I64 } from '../../wasm/opcodes';

/** How regions, their dispatcher and the translator in TypeScript reach each other. */

/** Words in the engine's scratch memory. */
export const REASON = ENGINE_SCRATCH + 0x8000;
export const EXIT_INDEX = ENGINE_SCRATCH + 0x8004;
/** The region that was left last */
export const EXIT_REGION = ENGINE_SCRATCH + 0x8008;

/** Why the dispatcher returned. */
export const enum Leave {
  /** Still in translated code */
  None,
  /** No region is known at State.RIP */
  Miss,
  /** A region left at the place EXIT_INDEX of region EXIT_REGION */
  Region,
}

/**
 * Jump cache, direct-mapped by linear address: +0 i64 linear address or NO_RIP, +8 i32 table element of the region's
 * function, +12 i32 the entry to pass to it.
 */
export const JUMP_CACHE_ENTRIES = 4096;
export const JUMP_CACHE_ENTRY_SIZE = 16;
/** Not canonical, so no region is ever there */
export const NO_RIP = 0x8000000000000001n;

export const jumpCacheIndex = (rip: bigint): number =>
  Number((rip ^ (rip >> 12n)) & BigInt(JUMP_CACHE_ENTRIES - 1)) * JUMP_CACHE_ENTRY_SIZE;

/** Functions that regions call through the table, so that their modules import nothing but memory and table. */
export const enum TableSlot {
  Refill = 1,
  Condition = 2,
  FirstRegion = 3,
}

/** Code for `condition` that only brings the flags into normal form. */
export const NORMALIZE = 16;

export const enum TypeIndex {
  /** (entry, left) -> left */
  Region,
  /** (linear, size, access) -> the TLB now has the page */
  Refill,
  /** (condition code, lazy kind, a, b) -> 0 or 1; NORMALIZE: aux word, and State.FLAGS_RESULT is written */
  Condition,
}

export const FUNCTION_TYPES: readonly FunctionType[] = [
  { parameters: [I32, I32], results: [I32] },
  { parameters: [I64, I32, I32], results: [I32] },
  { parameters: [I32, I32, I64, I64], results: [I32] },
];
