import type { AddressRange, SourcePlace } from './api';
import { At, Tag } from './dwarf-constants';
import type { Entry } from './entry';
import type { Program } from './program';
import { rangesOf } from './ranges';

const contains = (ranges: readonly AddressRange[], address: bigint) =>
  ranges.some((r) => address >= r.low && address < r.high);

/** What a function, an inlined call and a lexical block share: addresses, and entries of variables below `entry`. */
export abstract class Scope {
  private inner: readonly Scope[] | undefined;

  constructor(
    readonly program: Program,
    readonly entry: Entry,
    readonly ranges: readonly AddressRange[],
    readonly parent: Scope | undefined,
  ) {}

  /** First instruction; only for a scope that has code */
  get address(): bigint {
    const entryPc = this.entry.read(At.EntryPc);
    if (entryPc?.kind === 'address') return entryPc.value;
    const low = this.ranges[0]!.low;
    // DW_AT_entry_pc may also be an offset from the lowest address (DWARF 5, 2.18).
    return entryPc?.kind === 'constant' ? low + entryPc.value : low;
  }

  contains(address: bigint): boolean {
    return contains(this.ranges, address);
  }

  /** Blocks and inlined calls directly inside */
  get scopes(): readonly Scope[] {
    return (this.inner ??= this.readScopes());
  }

  /** Entries of variables and parameters that belong to this very scope, in order of declaration */
  get declarations(): readonly Entry[] {
    return [...this.ownEntries()].filter((e) => e.tag === Tag.Variable || e.tag === Tag.FormalParameter);
  }

  /** Children, and those of blocks that have no addresses: such a block is transparent. */
  private *ownEntries(parent = this.entry): Iterable<Entry> {
    for (const child of parent.children) {
      if (child.tag === Tag.LexicalBlock && rangesOf(child).length === 0) yield* this.ownEntries(child);
      else yield child;
    }
  }

  private readScopes(): Scope[] {
    const scopes: Scope[] = [];
    for (const child of this.ownEntries()) {
      if (child.tag === Tag.InlinedSubroutine) {
        scopes.push(new InlinedCall(this.program, child, this.program.codeRanges(rangesOf(child)), this));
      } else if (child.tag === Tag.LexicalBlock) {
        scopes.push(new LexicalBlock(this.program, child, this.program.codeRanges(rangesOf(child)), this));
      }
    }
    return scopes;
  }

  /** Scopes that contain the address, this one first, innermost last */
  chainAt(address: bigint): Scope[] {
    const chain: Scope[] = [this];
    for (;;) {
      const inner = chain.at(-1)!.scopes.find((s) => s.contains(address));
      if (!inner) return chain;
      chain.push(inner);
    }
  }
}

export class LexicalBlock extends Scope {}

/** A function with code. */
export class Subprogram extends Scope {
  get name(): string {
    return this.entry.string(At.Name) ?? this.entry.string(At.LinkageName) ?? '';
  }

  get declared(): SourcePlace | undefined {
    return declarationPlace(this.program, this.entry);
  }
}

/** A call that was inlined: the callee's body inside the caller's code (DWARF 5, 3.3.8.2). */
export class InlinedCall extends Scope {
  /** Of the function that was inlined */
  get name(): string {
    return this.entry.string(At.Name) ?? this.entry.string(At.LinkageName) ?? '';
  }

  get declared(): SourcePlace | undefined {
    return declarationPlace(this.program, this.entry);
  }

  /** Where the call stands in the caller's source */
  get call(): SourcePlace | undefined {
    const file = this.entry.number(At.CallFile);
    const line = this.entry.number(At.CallLine);
    if (file === undefined || line === undefined) return undefined;
    const path = this.program.fileName(this.entry.unit, file);
    return path === undefined ? undefined : { file: path, line, column: this.entry.number(At.CallColumn) ?? 0 };
  }
}

/** DW_AT_decl_file and _line; through the origin, whose file numbers belong to the origin's unit. */
export function declarationPlace(program: Program, entry: Entry): SourcePlace | undefined {
  for (let e: Entry | undefined = entry, hops = 0; e && hops < 8; e = e.origin, hops++) {
    const line = e.read(At.DeclLine);
    if (line?.kind !== 'constant') continue;
    const file = e.number(At.DeclFile);
    const path = file === undefined ? undefined : program.fileName(e.unit, file);
    if (path === undefined) return undefined;
    return { file: path, line: Number(line.value), column: e.number(At.DeclColumn) ?? 0 };
  }
  return undefined;
}
