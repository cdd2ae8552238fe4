import assert from 'node:assert/strict';
import type { CallFrameRow, RegisterRule } from '../../debug-adapter/symbols/call-frame-program';
import { runCallFrameProgram } from '../../debug-adapter/symbols/call-frame-program';
import type { FrameDescription } from '../../debug-adapter/symbols/call-frames';
import { type Compiled, compile, tool, variants, PATIENCE } from './compiled';

const NAMES = ['rax', 'rdx', 'rcx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'];
const nameOf = (register: number, returnAddress: number) =>
  register === returnAddress ? 'ra' : (NAMES[register] ?? (register < 16 ? `r${register}` : `reg${register}`));

/** A rule as readelf writes it */
function text(rule: RegisterRule | undefined): string {
  switch (rule?.kind) {
    case undefined:
    case 'undefined':
      return 'u';
    case 'same':
      return 's';
    case 'offset':
      return `c${rule.offset >= 0n ? '+' : ''}${rule.offset}`;
    case 'valueOffset':
      return `v${rule.offset >= 0n ? '+' : ''}${rule.offset}`;
    case 'register':
      return `r${rule.register}`;
    case 'expression':
      return 'exp';
    case 'valueExpression':
      return 'vexp';
  }
}

function cfaText(row: CallFrameRow): string {
  if (row.cfa === undefined) return '';
  if (row.cfa.kind === 'expression') return 'exp';
  return `${nameOf(row.cfa.register, -1)}+${row.cfa.offset}`;
}

/** Descriptions as "low..high", and under each the rows by address: column name -> rule */
function readelfRows(file: string) {
  const found: { low: bigint; high: bigint; rows: { address: bigint; columns: Map<string, string> }[] }[] = [];
  let header: string[] = [];
  let inCommon = true;
  for (const line of tool('readelf', ['-wF', file]).split('\n')) {
    const fde = /FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)/.exec(line);
    if (fde) found.push({ low: BigInt(`0x${fde[1]}`), high: BigInt(`0x${fde[2]}`), rows: [] });
    if (/ (CIE|FDE) /.test(line)) {
      header = [];
      inCommon = !fde;
    }
    if (/^\s+LOC/.test(line)) header = line.trim().split(/\s+/);
    const row = /^([0-9a-f]{16}) (.*)$/.exec(line);
    if (!row || header.length === 0 || inCommon) continue;
    // A register is written as "r9 (r9)".
    const cells = row[2]!
      .replace(/ \(\w+\)/g, '')
      .trim()
      .split(/\s+/);
    const columns = new Map(header.slice(1).map((name, i) => [name, cells[i] ?? '']));
    found.at(-1)!.rows.push({ address: BigInt(`0x${row[1]}`), columns });
  }
  return found;
}

function compare({ file, program }: Compiled, least: number): void {
  const frames = program.callFrames();
  const byLow = new Map<string, FrameDescription>(frames.descriptions.map((d) => [`${d.low}..${d.high}`, d]));
  let rows = 0;
  for (const theirs of readelfRows(file)) {
    const ours = byLow.get(`${theirs.low}..${theirs.high}`);
    assert(ours, `no description for 0x${theirs.low.toString(16)}`);
    const table = runCallFrameProgram(ours);
    for (const { address, columns } of theirs.rows) {
      const row = table.filter((r) => r.address <= address).at(-1);
      assert(row, `no row at 0x${address.toString(16)}`);
      const where = `row at 0x${address.toString(16)}`;
      for (const [column, cell] of columns) {
        if (column === 'CFA') assert.equal(cfaText(row), cell, `CFA, ${where}`);
        else {
          const rule: RegisterRule | undefined = [...row.rules].find(
            ([r]) => nameOf(r, ours.common.returnAddress) === column,
          )?.[1];
          assert.equal(text(rule), cell, `${column}, ${where}`);
        }
      }
      const named = new Set(columns.keys());
      for (const [register, rule] of row.rules) {
        const name = nameOf(register, ours.common.returnAddress);
        assert(named.has(name) || text(rule) === 'u', `${where}: a rule for ${name} that readelf does not show`);
      }
      rows++;
    }
  }
  assert(rows >= least, `only ${rows} rows were compared`);
  assert.deepEqual(program.problems, []);
}

describe('call frame information equals readelf -wF in every row', function () {
  this.timeout(PATIENCE);
  for (const flags of variants) {
    it(flags.join(' '), () => compare(compile(['shapes.c'], flags), 5000));
  }
  it('in .debug_frame', () => {
    const flags = ['-g', '-O2', '-static', '-fno-asynchronous-unwind-tables', '-fno-unwind-tables'];
    const compiled = compile(['shapes.c'], flags);
    assert(compiled.program.elf.section('.debug_frame'), 'the compiler made no .debug_frame');
    compare(compiled, 5000);
  });
});
