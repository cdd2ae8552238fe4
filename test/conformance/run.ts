// npm run conformance [-- [NAME ...] [--json FILE]]: see USAGE.
import { writeFileSync } from 'node:fs';
import { coverageRows } from './coverage';
import { entryCheckRows, GROUP as ENTRY_CHECKS } from './entry-checks';
import { machineCodeRows, GROUP as EXITS } from './machine-code';
import { randomEntryRows, GROUP as RANDOM } from './random-entries';
import type { ConformanceRow } from './row';

const USAGE = `Usage: npm run conformance [-- [NAME ...] [--json FILE]]

  Runs VM-entry checks, VM exits and controls as the same machine code on this platform and on Bochs, and random VM
  entries, and compares. NAME: a group, or a part of a case's name or of what it covers ("HLT", "exit.CPUID").
  --json FILE   one object for each case
  Ends with "N passed, N failed"; the exit code is 0 when nothing failed.
`;

const MACHINE_CODE_GROUPS = [ENTRY_CHECKS, EXITS];

function wants(names: readonly string[], row: ConformanceRow): boolean {
  const texts = [row.group, row.name, ...row.covers].map((text) => text.toLowerCase());
  return names.length === 0 || names.some((name) => texts.some((text) => text.includes(name.toLowerCase())));
}

async function collect(names: readonly string[]): Promise<ConformanceRow[]> {
  const rows = [...(await entryCheckRows()), ...(await machineCodeRows())];
  rows.push(...coverageRows(rows));
  const random = { group: RANDOM, name: RANDOM, covers: [], section: '', here: 'pass', bochs: 'not run' } as const;
  if (wants(names, random)) rows.push(...randomEntryRows());
  return rows.filter((row) => wants(names, row));
}

/** A case that fails here, or in which Bochs differs without an explanation, or agrees in spite of one */
function fails(row: ConformanceRow): boolean {
  if (row.here === 'fail') return true;
  if (row.bochs === 'not run' || row.group === 'coverage') return false;
  return (row.bochs === 'fail') !== (row.explanation !== undefined);
}

function table(rows: readonly ConformanceRow[]): string {
  const groups = [...new Set(rows.map((row) => row.group))];
  const lines = [['', 'cases', 'passed here', 'absent here', 'passed on Bochs', 'absent on Bochs']];
  for (const group of groups) {
    const members = rows.filter((row) => row.group === group);
    const count = (machine: 'here' | 'bochs', verdict: string): string =>
      members.every((row) => row[machine] === 'not run')
        ? '-'
        : String(members.filter((row) => row[machine] === verdict).length);
    lines.push([
      group,
      String(members.length),
      count('here', 'pass'),
      count('here', 'absent'),
      count('bochs', 'pass'),
      count('bochs', 'absent'),
    ]);
  }
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? [];
  return lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
}

function section(title: string, rows: readonly ConformanceRow[], detail: (row: ConformanceRow) => string): string {
  if (rows.length === 0) return `${title}: none\n`;
  return `${title}:\n${rows.map((row) => `  ${row.name}\n    ${detail(row)}\n`).join('')}`;
}

function report(rows: readonly ConformanceRow[]): void {
  const machineCode = rows.filter((row) => MACHINE_CODE_GROUPS.includes(row.group));
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  print(table(rows));
  print('');
  print(
    section(
      'Bochs passes, this platform does not',
      machineCode.filter((row) => row.bochs === 'pass' && row.here !== 'pass'),
      (row) => `${row.here}: ${row.hereDetail ?? ''}`,
    ),
  );
  print(
    section(
      'This platform passes, Bochs does not',
      machineCode.filter((row) => row.here === 'pass' && row.bochs !== 'pass' && row.bochs !== 'not run'),
      (row) =>
        row.bochs === 'absent'
          ? `not in Debian's Bochs: ${row.bochsDetail ?? ''}`
          : `${row.explanation ?? 'NOT EXPLAINED'} (Bochs: ${row.bochsDetail ?? ''})`,
    ),
  );
  const failed = rows.filter(fails);
  if (failed.length > 0)
    print(section('Failed', failed, (row) => row.hereDetail ?? `Bochs: ${row.bochsDetail ?? 'agrees'}`));
  print(`${rows.length - failed.length} passed, ${failed.length} failed`);
}

async function main(args: readonly string[]): Promise<number> {
  const at = args.indexOf('--json');
  const file = at < 0 ? undefined : args[at + 1];
  const names = args.filter((_, i) => at < 0 || (i !== at && i !== at + 1));
  const unknown = names.find((name) => name.startsWith('-'));
  if (unknown !== undefined || (at >= 0 && file === undefined)) {
    process.stderr.write(unknown === '--help' ? USAGE : `conformance: wrong use: ${unknown ?? '--json'}\n\n${USAGE}`);
    return 2;
  }
  const rows = await collect(names);
  if (rows.length === 0) {
    process.stderr.write(`conformance: nothing is named like ${names.join(', ')}\n`);
    return 2;
  }
  if (file !== undefined) writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  report(rows);
  return rows.some(fails) ? 1 : 0;
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));
