/**
 * What the symbol reader, the unwinder and the evaluator hand to the rest of the adapter.
 *
 * Every address is a `bigint`. In `Program` addresses are *link* addresses, as in the file. In `ProgramSet`, frames and
 * values they are *run-time* addresses (link address + bias), linear addresses of the layer the image belongs to.
 *
 * Registers are numbered as in DWARF. x86-64 psABI figure 3.36: 0 rax, 1 rdx, 2 rcx, 3 rbx, 4 rsi, 5 rdi, 6 rbp, 7 rsp,
 * 8..15 r8..r15, 16 return address (rip), 49 rflags, 50..55 es cs ss ds fs gs, 58 fs.base, 59 gs.base.
 * i386 psABI: 0 eax, 1 ecx, 2 edx, 3 ebx, 4 esp, 5 ebp, 6 esi, 7 edi, 8 eip, 9 eflags.
 */
import type { LoadedProgram } from './program-set';
import type { Subprogram, InlinedCall } from './functions';

/** Registers whose value is known, by DWARF number. */
export type RegisterValues = ReadonlyMap<number, bigint>;

/** Reads linear memory; returns fewer bytes where memory ends or is not mapped. Must not throw. */
export type MemoryReader = (address: bigint, length: number) => Uint8Array;

export interface SourcePlace {
  /** Path as compiled, joined with the compilation directory and normalised ("." and ".." removed) */
  readonly file: string;
  readonly line: number;
  /** 1-based; 0 when the compiler gave none */
  readonly column: number;
}

/** One row of the line table and the addresses it covers. */
export interface LineRow extends SourcePlace {
  readonly address: bigint;
  /** First address after it */
  readonly end: bigint;
  readonly isStatement: boolean;
}

export interface SymbolPlace {
  readonly name: string;
  /** Start of the function or object */
  readonly address: bigint;
  /** From the start */
  readonly offset: bigint;
  readonly place: SourcePlace | undefined;
}

/** Where a breakpoint on a source line goes. */
export interface LineAddresses {
  readonly file: string;
  /** The line that has code: the one asked for or the next */
  readonly line: number;
  /** Lowest statement of each function, inlined call or block that the line was compiled into */
  readonly addresses: readonly bigint[];
}

/** A function, from DWARF or else from the ELF symbol table. */
export interface FunctionSymbol {
  readonly name: string;
  readonly entry: bigint;
  /** Half-open address ranges; the first contains `entry` */
  readonly ranges: readonly AddressRange[];
  /** Where it is declared */
  readonly place: SourcePlace | undefined;
  /** Undefined for a function known from the symbol table only (assembly) */
  readonly dwarf: Subprogram | undefined;
}

export interface AddressRange {
  readonly low: bigint;
  readonly high: bigint;
}

/**
 * One frame as shown. A physical frame gives one Frame for the function and one for each call inlined into it at this
 * place, innermost first; those share pc, cfa and registers.
 */
export interface Frame {
  readonly pc: bigint;
  /** The address to look up: pc, or pc - 1 in a caller, whose pc is behind the call */
  readonly lookup: bigint;
  /** Number of the physical frame, 0 for the innermost; inlined frames share it */
  readonly depth: number;
  /** Canonical frame address; undefined when nothing tells it */
  readonly cfa: bigint | undefined;
  readonly registers: RegisterValues;
  /** Undefined where no symbol is known */
  readonly name: string | undefined;
  /** Of this frame's current line; for a caller of an inlined function, the call's place */
  readonly place: SourcePlace | undefined;
  /** True: inlined into the next frame */
  readonly inlined: boolean;
  readonly image: LoadedProgram | undefined;
  /** The DWARF function or inlined call whose variables this frame shows */
  readonly scope: Subprogram | InlinedCall | undefined;
  /** The physical frame that called this one, for values at function entry */
  readonly caller: () => Frame | undefined;
  /** What told the caller: 'cfi', 'epilogue' or 'frame pointer' (both without CFI), or why the walk ends here */
  readonly unwoundBy: string;
}

export interface ProbeArgument {
  /** As written in the note: "8@%rdi" */
  readonly text: string;
  /** Bytes */
  readonly size: number;
  readonly signed: boolean;
  /**
   * The value, sign- or zero-extended to 64 bits; undefined when a register or the memory is not there. Registers are
   * asked for by the assembler's name (edi, r8d, fs.base). `bias` is the image's load bias.
   */
  evaluate(registers: (name: string) => bigint | undefined, memory: MemoryReader, bias?: bigint): bigint | undefined;
}

export interface Probe {
  readonly provider: string;
  readonly name: string;
  /** Address of the no-op instruction */
  readonly pc: bigint;
  /** Address of the 16-bit semaphore, 0 when there is none */
  readonly semaphore: bigint;
  readonly arguments: readonly ProbeArgument[];
}

/** What an assignment asks the session to do; the evaluator itself changes nothing. */
export type WriteRequest =
  | { readonly kind: 'memory'; readonly address: bigint; readonly bytes: Uint8Array }
  /** Name as the machine's `Registers` know it, and the whole new value */
  | { readonly kind: 'register'; readonly name: string; readonly value: bigint };
