import type { LineAddresses, LineRow } from './api';
import { At } from './dwarf-constants';
import { LineFlag, type LineSequence, LineTable } from './line-table';
import { matchPaths } from './paths';
import type { Program } from './program';
import { hasLocationLists, skipPrologue } from './prologue';
import type { Unit } from './unit';

/** From addresses to lines and back, over the line tables of all units of a program. */
export class LineIndex {
  private readonly tables = new Map<number, LineTable | undefined>();
  /** For each path, the sequences with code of it and the file's number there */
  private fileIndex: Map<string, { sequence: LineSequence; file: number }[]> | undefined;

  constructor(private readonly program: Program) {}

  /** The unit's line table; undefined when it has none or it cannot be read. Units may share one. */
  table(unit: Unit): LineTable | undefined {
    const list = unit.root.read(At.StmtList);
    if (list?.kind !== 'section') return undefined;
    if (!this.tables.has(list.offset)) {
      const { addressSize, name, directory } = unit;
      const read = () => LineTable.read(this.program.sections, list.offset, { addressSize, name, directory });
      this.tables.set(list.offset, this.program.guard(read, undefined));
    }
    return this.tables.get(list.offset);
  }

  at(address: bigint): LineRow | undefined {
    const unit = this.program.unitAt(address);
    const table = unit && this.table(unit);
    const sequence = table?.sequences.find((s) => address >= s.low && address < s.high);
    if (!table || !sequence) return undefined;
    return rowAt(table, sequence, statementRow(sequence, lastRow(sequence, Number(address - sequence.low))));
  }

  files(): string[] {
    return [...this.byFile().keys()];
  }

  linesWithCode(path: string): number[] {
    const lines = new Set<number>();
    for (const file of matchPaths(path, this.byFile().keys())) {
      for (const { line } of this.statements(file)) lines.add(line);
    }
    return [...lines].sort((a, b) => a - b);
  }

  addressesOf(path: string, line: number): LineAddresses[] {
    const results: LineAddresses[] = [];
    for (const file of matchPaths(path, this.byFile().keys())) {
      let best = Infinity;
      let found: bigint[] = [];
      for (const statement of this.statements(file)) {
        if (statement.line < line || statement.line > best) continue;
        if (statement.line < best) found = [];
        best = statement.line;
        found.push(statement.address);
      }
      if (found.length > 0) {
        results.push({ file, line: best, addresses: this.onePerBlock(found) });
      }
    }
    return results;
  }

  /** The entry of a function, moved behind its prologue as gdb does (see prologue.ts) */
  afterPrologue(entry: bigint): bigint {
    const unit = this.program.unitAt(entry);
    if (!unit) return entry;
    if (/clang|LLVM/.test(unit.producer)) {
      const second = this.secondLine(unit, entry);
      return second ?? entry;
    }
    if (hasLocationLists(unit)) return entry;
    const pc = skipPrologue(this.program.elf, entry);
    const row = this.at(pc);
    const subprogram = this.program.subprogramAt(entry);
    return row && row.address !== pc && subprogram?.contains(row.end) ? row.end : pc;
  }

  /** clang marks the end of the prologue, and always begins the body with a line of its own. */
  private secondLine(unit: Unit, entry: bigint): bigint | undefined {
    const sequence = this.table(unit)?.sequences.find((s) => entry >= s.low && entry < s.high);
    const subprogram = this.program.subprogramAt(entry);
    if (!sequence || !subprogram) return undefined;
    const last = lastRow(sequence, Number(entry - sequence.low));
    // Two lines at the entry: the body's first line is there already.
    if (sequence.offsets[last - 1] === sequence.offsets[last]) return entry;
    let second: bigint | undefined;
    for (let i = last + 1; i < sequence.offsets.length; i++) {
      const address = sequence.low + BigInt(sequence.offsets[i]!);
      if (!subprogram.contains(address)) break;
      if (sequence.flags[i]! & LineFlag.PrologueEnd) return address;
      second ??= address;
    }
    return second;
  }

  /** The lowest address of each block, addresses in a prologue moved behind it */
  private onePerBlock(addresses: bigint[]): bigint[] {
    addresses.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const seen = new Set<unknown>();
    const results = new Set<bigint>();
    for (const address of addresses) {
      const scopes = this.program.scopesAt(address);
      const innermost = scopes.at(-1)?.entry;
      if (innermost && seen.has(innermost)) continue;
      seen.add(innermost);
      const subprogram = this.program.subprogramAt(address);
      if (!subprogram) {
        results.add(address);
        continue;
      }
      const body = this.afterPrologue(subprogram.address);
      results.add(address >= subprogram.address && address < body ? body : address);
    }
    return [...results];
  }

  private *statements(file: string): Iterable<{ line: number; address: bigint }> {
    for (const { sequence, file: number } of this.byFile().get(file) ?? []) {
      for (let i = 0; i < sequence.offsets.length; i++) {
        if (sequence.files[i] !== number) continue;
        if ((sequence.flags[i]! & (LineFlag.Statement | LineFlag.Continuation)) !== LineFlag.Statement) continue;
        if (isEmpty(sequence, i)) continue;
        yield { line: sequence.lines[i]!, address: sequence.low + BigInt(sequence.offsets[i]!) };
      }
    }
  }

  private byFile() {
    if (this.fileIndex) return this.fileIndex;
    const index = new Map<string, { sequence: LineSequence; file: number }[]>();
    const seen = new Set<LineTable>();
    for (const unit of this.program.units.compile) {
      const table = this.program.guard(() => this.table(unit), undefined);
      if (!table || seen.has(table)) continue;
      seen.add(table);
      for (const sequence of this.program.guard(() => table.sequences, [])) {
        if (!this.program.isCode(sequence.low)) continue;
        for (const file of new Set(sequence.files)) {
          const path = table.files[file];
          if (path === undefined) continue;
          const uses = index.get(path);
          if (uses) uses.push({ sequence, file });
          else index.set(path, [{ sequence, file }]);
        }
      }
    }
    return (this.fileIndex = index);
  }
}

/** Whether a statement of another file takes the row's address, so that no code is left to the row. */
function isEmpty(sequence: LineSequence, row: number): boolean {
  const { offsets, files, flags } = sequence;
  for (let i = row + 1; offsets[i] === offsets[row]; i++) {
    if (files[i] !== files[row] && flags[i]! & LineFlag.Statement) return true;
  }
  return false;
}

/** Index of the last row at or before the offset */
function lastRow(sequence: LineSequence, offset: number): number {
  let low = 0;
  let high = sequence.offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sequence.offsets[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Of several rows at one address the last counts; but when that is no statement, a statement there does, so that a
 * breakpoint on a line is shown at that line. gdb does the same; addr2line takes the last in any case.
 */
function statementRow(sequence: LineSequence, row: number): number {
  const { offsets, flags } = sequence;
  for (let i = row; i >= 0 && offsets[i] === offsets[row]; i--) {
    if (flags[i]! & LineFlag.Statement) return i;
  }
  return row;
}

function rowAt(table: LineTable, sequence: LineSequence, index: number): LineRow | undefined {
  const { offsets } = sequence;
  const line = sequence.lines[index];
  const file = table.files[sequence.files[index] ?? -1];
  if (line === undefined || file === undefined) return undefined;
  let next = index + 1;
  while (next < offsets.length && offsets[next] === offsets[index]) next++;
  return {
    file,
    line,
    column: sequence.columns[index]!,
    address: sequence.low + BigInt(offsets[index]!),
    end: next < offsets.length ? sequence.low + BigInt(offsets[next]!) : sequence.high,
    isStatement: (sequence.flags[index]! & LineFlag.Statement) !== 0,
  };
}
