/**
 * One image and what its symbols say. Usage:
 *
 *   const program = Program.open(bytes, 'vmm.elf');       // throws ElfError
 *   program.symbolAt(address)                             // name + offset, file, line
 *   program.addressesOf('/src/vmm.c', 12)                 // for a breakpoint
 *   program.functionsNamed('main')
 *   program.probes()
 *
 * All addresses are link addresses; `ProgramSet` adds load biases. Everything is read when first asked for. Debug
 * information that cannot be read is reported in `problems` and left out: the rest, and the ELF symbols, stay usable.
 */
import { type ElfFile, SectionFlag, SegmentType, parseElf } from '../../emulator/machine/elf';
import type { AddressRange, FunctionSymbol, LineAddresses, LineRow, Probe, SourcePlace, SymbolPlace } from './api';
import { CallFrames } from './call-frames';
import { Declarations } from './declarations';
import { Tag } from './dwarf-constants';
import type { Entry } from './entry';
import { InlinedCall, Subprogram, type Scope } from './functions';
import { LineIndex } from './line-index';
import { readProbes } from './probes';
import { rangesOf } from './ranges';
import { DwarfSections } from './sections';
import { SymbolTable } from './symbol-table';
import { TypeReader } from './type-reader';
import type { Unit } from './unit';
import { Units } from './units';

export class Program {
  readonly sections: DwarfSections;
  readonly units: Units;
  readonly lines: LineIndex;
  readonly elfSymbols: SymbolTable;
  /** File-scope variables, types and enumerators by name */
  readonly declarations = new Declarations(this);
  readonly types = new TypeReader(this);
  private readonly unitFunctions = new Map<Unit, readonly Subprogram[]>();
  private readonly code: readonly AddressRange[];
  private unitRanges: { low: bigint; high: bigint; unit: Unit }[] | undefined;
  private functionNames: Map<string, Subprogram[]> | undefined;
  private inlinedNames: Map<string, InlinedCall[]> | undefined;
  private frames: CallFrames | undefined;
  private probeList: readonly Probe[] | undefined;

  static open(bytes: Uint8Array, name: string): Program {
    return new Program(parseElf(bytes, name));
  }

  constructor(readonly elf: ElfFile) {
    this.sections = new DwarfSections(elf);
    this.code = executableRanges(elf);
    this.elfSymbols = new SymbolTable(elf);
    this.units = new Units(this.sections);
    this.lines = new LineIndex(this);
  }

  get name(): string {
    return this.elf.name;
  }

  get addressSize(): 4 | 8 {
    return this.elf.class === 64 ? 8 : 4;
  }

  /** What could not be read so far; grows as more is asked for. */
  get problems(): readonly string[] {
    return [...this.units.problems];
  }

  get hasDebugInformation(): boolean {
    return this.units.compile.length > 0;
  }

  /** Runs a reader of debug information; when that is broken, notes the problem and gives `otherwise`. */
  guard<T>(read: () => T, otherwise: T): T {
    return this.units.guard(read, otherwise);
  }

  /** Whether the address lies in an executable part of the image */
  isCode(address: bigint): boolean {
    return this.code.some((r) => address >= r.low && address < r.high);
  }

  /** Whether the address lies in a loaded part of the image */
  contains(address: bigint): boolean {
    return this.elf.segments.some(
      (s) => s.type === SegmentType.Load && address >= s.vaddr && address < s.vaddr + s.memsz,
    );
  }

  /** Drops ranges of code that the linker removed: those start at 0, 1 or -1, outside every executable part. */
  codeRanges(ranges: readonly AddressRange[]): AddressRange[] {
    return ranges.filter((r) => this.isCode(r.low));
  }

  /** The unit whose code contains the address */
  unitAt(address: bigint): Unit | undefined {
    const ranges = (this.unitRanges ??= this.readUnitRanges());
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle]!.low <= address) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0 && i >= low - 4; i--) {
      if (address < ranges[i]!.high) return ranges[i]!.unit;
    }
    return undefined;
  }

  /** Name and source place of an address in code or data; undefined when nothing covers it */
  symbolAt(address: bigint): SymbolPlace | undefined {
    const row = this.lineAt(address);
    const place = row && { file: row.file, line: row.line, column: row.column };
    const named = (name: string, start: bigint): SymbolPlace => ({
      name,
      address: start,
      offset: address - start,
      place,
    });
    const subprogram = this.subprogramAt(address);
    const entry = subprogram?.address;
    if (subprogram && entry !== undefined) {
      const range = subprogram.ranges.find((r) => address >= r.low && address < r.high)!;
      if (entry >= range.low && entry <= address) return named(subprogram.name, entry);
    }
    // A part that was moved away from its function (name.cold) has a symbol of its own.
    const symbol = this.elfSymbols.at(address);
    if (symbol) return named(symbol.name, symbol.value);
    if (!subprogram) return undefined;
    return named(subprogram.name, subprogram.ranges.find((r) => address >= r.low && address < r.high)!.low);
  }

  /** The row of the line table that covers the address */
  lineAt(address: bigint): LineRow | undefined {
    return this.guard(() => this.lines.at(address), undefined);
  }

  /** Paths of all source files that the line tables name and that have code */
  files(): readonly string[] {
    return this.guard(() => this.lines.files(), []);
  }

  /**
   * Addresses for a breakpoint on a line, by gdb's rule: when the line has no code, the next line that has. One result
   * a matching file. Paths match as `matchPaths` says.
   */
  addressesOf(path: string, line: number): readonly LineAddresses[] {
    return this.guard(() => this.lines.addressesOf(path, line), []);
  }

  /** Lines of a file that have code, ascending: the places where a breakpoint can be set */
  linesWithCode(path: string): readonly number[] {
    return this.guard(() => this.lines.linesWithCode(path), []);
  }

  /** Where execution stops for a breakpoint on this function: behind the prologue */
  afterPrologue(entry: bigint): bigint {
    return this.guard(() => this.lines.afterPrologue(entry), entry);
  }

  /** The function whose code contains the address, from DWARF or else from the symbol table */
  functionAt(address: bigint): FunctionSymbol | undefined {
    const subprogram = this.subprogramAt(address);
    if (subprogram) return describe(subprogram);
    const symbol = this.elfSymbols.at(address);
    if (!symbol || !this.elfSymbols.isCode(symbol)) return undefined;
    return {
      name: symbol.name,
      entry: symbol.value,
      ranges: [{ low: symbol.value, high: this.elfSymbols.end(symbol) }],
      place: this.lineAt(symbol.value),
      dwarf: undefined,
    };
  }

  /** Functions of this name (several when static), and else code symbols of this name */
  functionsNamed(name: string): readonly FunctionSymbol[] {
    const subprograms = this.subprogramsNamed(name);
    if (subprograms.length > 0) return subprograms.map(describe);
    return this.elfSymbols
      .named(name)
      .filter((s) => this.elfSymbols.isCode(s))
      .map((s) => ({
        name,
        entry: s.value,
        ranges: [{ low: s.value, high: this.elfSymbols.end(s) }],
        place: this.lineAt(s.value),
        dwarf: undefined,
      }));
  }

  /**
   * Addresses for a breakpoint on a function: behind the prologue of each function of this name, and the start of each
   * call of it that was inlined.
   */
  breakAddressesOf(name: string): readonly bigint[] {
    const bodies = this.functionsNamed(name).map((f) => this.afterPrologue(f.entry));
    const inlined = this.guard(() => this.inlinedCallsOf(name).map((call) => call.address), []);
    return [...new Set([...bodies, ...inlined])];
  }

  private inlinedCallsOf(name: string): InlinedCall[] {
    if (!this.inlinedNames) {
      const names = new Map<string, InlinedCall[]>();
      const visit = (scope: Scope) => {
        if (scope instanceof InlinedCall && scope.ranges.length > 0) {
          const same = names.get(scope.name);
          if (same) same.push(scope);
          else names.set(scope.name, [scope]);
        }
        scope.scopes.forEach(visit);
      };
      for (const unit of this.units.compile) {
        for (const f of this.functionsOf(unit)) this.guard(() => visit(f), undefined);
      }
      this.inlinedNames = names;
    }
    return this.inlinedNames.get(name) ?? [];
  }

  subprogramAt(address: bigint): Subprogram | undefined {
    return this.guard(() => {
      const unit = this.unitAt(address);
      return unit && this.functionsOf(unit).find((f) => f.contains(address));
    }, undefined);
  }

  subprogramsNamed(name: string): readonly Subprogram[] {
    if (!this.functionNames) {
      this.functionNames = new Map();
      for (const unit of this.units.compile) {
        for (const f of this.functionsOf(unit)) {
          const same = this.functionNames.get(f.name);
          if (same) same.push(f);
          else this.functionNames.set(f.name, [f]);
        }
      }
    }
    return this.functionNames.get(name) ?? [];
  }

  /** The function, inlined calls and blocks around the address, outermost first; empty without DWARF */
  scopesAt(address: bigint): readonly Scope[] {
    const subprogram = this.subprogramAt(address);
    return subprogram ? this.guard(() => subprogram.chainAt(address), [subprogram]) : [];
  }

  /** Functions with code in a unit */
  functionsOf(unit: Unit): readonly Subprogram[] {
    let functions = this.unitFunctions.get(unit);
    if (!functions) {
      const found: Subprogram[] = [];
      this.guard(() => {
        for (const entry of declarationsIn(unit.root)) {
          if (entry.tag !== Tag.Subprogram) continue;
          const ranges = this.codeRanges(rangesOf(entry));
          if (ranges.length > 0) found.push(new Subprogram(this, entry, ranges, undefined));
        }
      }, undefined);
      this.unitFunctions.set(unit, (functions = found));
    }
    return functions;
  }

  /** A file of the unit's line table by number, as DW_AT_decl_file and DW_AT_call_file use it */
  fileName(unit: Unit, index: number): string | undefined {
    return this.lines.table(unit)?.files[index];
  }

  /** How to find the caller's registers */
  callFrames(): CallFrames {
    return (this.frames ??= new CallFrames(this.sections, this.elf, (p) => this.units.problems.add(p)));
  }

  /** Static probes of .note.stapsdt */
  probes(): readonly Probe[] {
    return (this.probeList ??= readProbes(this.elf, this.elfSymbols, (read, otherwise) => this.guard(read, otherwise)));
  }

  private readUnitRanges() {
    const ranges: { low: bigint; high: bigint; unit: Unit }[] = [];
    for (const unit of this.units.compile) {
      this.guard(() => {
        let own = this.codeRanges(rangesOf(unit.root));
        if (own.length === 0) own = this.functionsOf(unit).flatMap((f) => f.ranges);
        for (const { low, high } of own) ranges.push({ low, high, unit });
      }, undefined);
    }
    return ranges.sort((a, b) => (a.low < b.low ? -1 : a.low > b.low ? 1 : 0));
  }
}

/** Entries at the top level of a unit, also inside namespaces */
export function* declarationsIn(parent: Entry): Iterable<Entry> {
  for (const child of parent.children) {
    yield child;
    if (child.tag === Tag.Namespace) yield* declarationsIn(child);
  }
}

function describe(f: Subprogram): FunctionSymbol {
  const place: SourcePlace | undefined = f.declared;
  return { name: f.name, entry: f.address, ranges: f.ranges, place, dwarf: f };
}

function executableRanges(elf: ElfFile): AddressRange[] {
  const sections = elf.sections.filter((s) => (s.flags & SectionFlag.Execute) !== 0 && s.size > 0);
  if (sections.length > 0) return sections.map((s) => ({ low: s.addr, high: s.addr + BigInt(s.size) }));
  return elf.segments
    .filter((s) => s.type === SegmentType.Load && (s.flags & 1) !== 0)
    .map((s) => ({ low: s.vaddr, high: s.vaddr + s.memsz }));
}
