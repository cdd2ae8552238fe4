import type { Instruction } from '../isa/instruction';

/** Why generated code returned. */
export const enum EngineExit {
  /** The budget is used up; the machine is between two instructions. */
  Budget,
  /** The next instruction is not computation plus RAM: execute `Engine.instruction` with a helper. Not retired yet. */
  Helper,
  /** The slow path recorded a fault or VM exit in State.FAULT*; nothing of the instruction was committed. */
  Fault,
  /** The next instruction's address is one of the breakpoints, and it was not stepped over. Not retired yet. */
  Breakpoint,
}

export const enum Access {
  Read,
  Write,
  Execute,
}

/**
 * What the engine asks of the processor above it. Called from generated code, so nothing here may throw: a fault is
 * recorded in the state block (State.FAULT and following) and reported by the return value.
 */
export interface EngineHost {
  /**
   * A data read that missed the software TLB. Returns the zero-extended value. Refills the TLB when the page is RAM.
   * `forWrite`: a read-modify-write; permission to write is checked too.
   * `size` in bytes: 1, 2, 4, 8.
   */
  slowLoad(linear: bigint, size: number, forWrite: boolean): bigint;
  slowStore(linear: bigint, size: number, value: bigint): void;
  /**
   * Only refills the TLB (translated code's slow path): true when the access can now be made by the addend of its entry (a
   * store perhaps only this once) and has no side effect besides accessed/dirty bits; false when the instruction must be left to the interpreter. Records nothing.
   */
  refill(linear: bigint, size: number, access: Access): boolean;
  /**
   * Translates an instruction fetch of one page. Returns the wasm address of the page's first byte in RAM, or -1 after
   * recording a fault.
   */
  fetch(linear: bigint): number;
}

/** What the layers above may ask of the engine. Implemented by engine/engine.ts. */
export interface EngineControl {
  /** The decoded instruction after EngineExit.Helper; valid until the next run. */
  readonly instruction: Instruction;
  /** Another processor runs from now on, with its state block at address 0: what it needs is asked of this host. */
  attach(host: EngineHost): void;
  /**
   * Runs at most `budget` instructions from State.RIP. On return State is exact (RIP, flags normalised, RETIRED).
   * `skipBreakpoint`: do not report a breakpoint on the very first instruction.
   */
  run(budget: number, skipBreakpoint: boolean): EngineExit;
  /**
   * As `run`, with secrecy moved along (SHADOW in memory/layout.ts): at least one instruction, and then as many as there is
   * a register that depends on a secret.
   */
  runTracked(budget: number, skipBreakpoint: boolean): EngineExit;
  readonly holdsSecret: boolean;
  /** What is loaded from an address that depends on a secret is secret. To be set before anything is tracked */
  tracksAddresses: boolean;
  /** Linear addresses that are told before the instruction there executes, perhaps several times */
  setEntries(linear: ReadonlySet<bigint>, reached: (linear: bigint) => void): void;
  /** CR0, EFER, CS, SS or RFLAGS.VM changed: decode mode and addressing mode are taken from State again. */
  modeChanged(): void;
  /** Cached linear-to-code lookups are stale (TLB bank switched or flushed). Decoded pages stay. */
  translationChanged(): void;
  /** RAM bytes changed from outside generated code (DMA, debugger, loader): drop what was decoded from them. */
  codeChanged(wasmAddress: number, length: number): void;
  /** True when decoded instructions exist for this page; such a page gets no write tag in the TLB. */
  isCodePage(wasmPageAddress: number): boolean;
  /** A write reached a code page: drop its records and regions. Called by the slow path after the store. */
  codeWritten(wasmAddress: number, length: number): void;
  /**
   * Replaces the set of breakpoint linear addresses. Matching is by linear address at execution, whatever page is
   * mapped there.
   */
  setBreakpoints(linear: ReadonlySet<bigint>): void;
  /** Decodes one instruction at a linear address from given bytes, without executing (disassembly, tests). */
  decodeAt(bytes: Uint8Array, rip: bigint, codeSize: 16 | 32 | 64): Instruction | undefined;
  translatorEnabled: boolean;
  /** Executed instructions in a region before it is translated; tests lower it. */
  hotThreshold: number;
  readonly statistics: EngineStatistics;
}

export interface EngineStatistics {
  interpreted: number;
  translated: number;
  /** Executed with secrecy moved along */
  tracked: number;
  regionsCompiled: number;
  regionsDropped: number;
  recordsDecoded: number;
  slowLoads: number;
  slowStores: number;
}
