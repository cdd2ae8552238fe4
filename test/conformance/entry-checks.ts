import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createMachine } from '../../emulator/machine/machine';
import { ENTRY_CHECKS } from '../../emulator/vmx';
import { agrees, caseModule, entryCases, outcomes, type EntryCase } from '../vmx/cases';
import { buildChecks, OUT } from '../vmx/checks-program';
import { ENTRY_CHECK_DISAGREEMENTS } from './disagreements';
import type { ConformanceRow, Verdict } from './row';
import { onBochs } from './tools';

export const GROUP = 'VM-entry checks';

/** Every check violated alone, and what must be accepted, as machine code on both machines. */
export async function entryCheckRows(): Promise<ConformanceRow[]> {
  const cases = entryCases();
  const program = await buildChecks();
  const module = caseModule(cases);
  const file = path.join(OUT, 'cases.bin');
  writeFileSync(file, module);
  const here = outcomes(runHere(program, module));
  const bochs = await onBochs(program, [{ file, name: 'cases' }], 150);
  const theirs = typeof bochs === 'string' ? undefined : outcomes(bochs.serial);
  const sections = new Map(ENTRY_CHECKS.map(({ id, section }) => [id, section]));
  return cases.map((entry, i) => {
    const explanation = ENTRY_CHECK_DISAGREEMENTS[entry.name];
    const mine = judge(entry, here[i]);
    const other: Verdict = theirs ? judge(entry, theirs[i]) : 'not run';
    return {
      group: GROUP,
      name: entry.name,
      covers: sections.has(entry.name) ? [`check.${entry.name}`] : [],
      section: sections.get(entry.name) ?? '27.3',
      here: mine,
      bochs: other,
      ...(mine === 'fail' && { hereDetail: detail(entry, here[i]) }),
      ...(other === 'fail' && { bochsDetail: detail(entry, theirs?.[i]) }),
      ...(explanation !== undefined && { explanation }),
    };
  });
}

const judge = (entry: EntryCase, outcome: string | undefined): Verdict => (agrees(entry, outcome) ? 'pass' : 'fail');
const detail = (entry: EntryCase, outcome: string | undefined): string =>
  `got ${outcome ?? 'nothing'}, wanted ${entry.expected ?? 'an entry'}`;

function runHere(program: string, module: Uint8Array): string {
  const machine = createMachine({
    memory: 64,
    kernel: { name: 'checks', bytes: new Uint8Array(readFileSync(program)) },
    modules: [{ name: 'cases', bytes: module, commandLine: 'cases' }],
    commandLine: '',
    translator: false,
  });
  const bytes: number[] = [];
  machine.onSerial((byte) => bytes.push(byte));
  machine.run(100_000_000);
  return Buffer.from(bytes).toString('latin1');
}
