import type { Outcome } from '../../emulator/machine/api';
import type { StaleTranslation, VmEntryFailure, VmEntryRecord } from '../../emulator/cpu/taps';
import { hex } from '../memory/reference';
import { without } from '../protocol/without';
import type { ExitRow, PageRow } from '../protocol/requests';
import { formatSymbol } from '../stack/layers';
import type { Finding } from '../../emulator/watch/isolation/finding';
import { findingStep, stepText, type FindingStep } from '../watch/explain-finding';
import { explainEntryFailure } from '../watch/explain';
import { entryInWords } from '../watch/explain-stale';
import { exitRow } from '../watch/exit-rows';
import { pageRow } from '../watch/page-log';
import type { Debuggee } from './debuggee';
import { describeOutcome, exitCodeOf, exitStatusOf, NO_QEMU_STATUS, qemuStatusOf } from './outcome';

/** One line of a headless run. Addresses are hexadecimal strings, counts numbers. */
export type HeadlessRow =
  | ({ kind: 'exit' } & ExitRow)
  | EntryRow
  | FailedEntryRow
  | ({ kind: 'page' } & Omit<PageRow, 'n'>)
  | { kind: 'serial'; layer: string; text: string }
  | { kind: 'boot'; protocol: string; reason: string }
  | StaleRow
  | { kind: 'recorded'; moment: number }
  | IsolationRow
  | EndRow;

/** A place that used a stale translation, once for each page and changed entry */
interface StaleRow {
  kind: 'stale';
  vcpu: number;
  instruction: number;
  place: string;
  access: string;
  linear: string;
  hostPhysical: string;
  difference: string;
  entry: string;
  missing: string;
}

/** A breach of isolation */
interface IsolationRow {
  kind: 'isolation';
  rule: string;
  severity: string;
  moment: number;
  vcpu: number;
  instruction: number;
  /** Who was entered, or runs, when it was found */
  place: string;
  title: string;
  text: string;
  path: FindingStep[];
}

interface EndRow {
  kind: 'end';
  outcome: string;
  description: string;
  instructions: number;
  stateHash: string;
  /** The process status of QEMU with isa-debug-exit for the value written to the exit port */
  qemuStatus?: number;
}

interface EntryRow {
  kind: 'entry';
  n: number;
  instruction: number;
  vcpu: number;
  layer: string;
  launch: boolean;
  rip: string;
  symbol: string;
}

/** A VM entry that a check refused */
interface FailedEntryRow {
  kind: 'entry-failed';
  instruction: number;
  vcpu: number;
  layer: string;
  /** What failed, in words: field, value, rule */
  title: string;
  /** Identifier for `undervisor explain vmentry` */
  check: string;
  field: string;
  value: string;
  section: string;
}

export interface HeadlessOptions {
  readonly maxInstructions: number;
  readonly write: (row: HeadlessRow) => void;
  /** The exit code is what QEMU's would be, not ours. */
  readonly exitStatus?: boolean;
  /** Called between slices, so that output gets out and signals get in */
  readonly breathe: () => Promise<void>;
}

const SLICE = 2_000_000;
/**
 * A machine that comes back so often in a row without an instruction is not going to wake. Each time some million timer
 * events have passed, with several processors a thousand.
 */
const MOST_ASLEEP = 1;
const MOST_ASLEEP_OF_SEVERAL = 1000;

/** Exit code when isolation was found broken */
const ISOLATION_BROKEN = 99;

/** Hears of all rows of a run but its end, as they happen. To be called before the machine runs. */
export function watchRows(debuggee: Debuggee, write: (row: HeadlessRow) => void): void {
  const { machine } = debuggee;
  const told = new Set<string>();
  debuggee.watcher = {
    exit: (index) => {
      const record = debuggee.exits.get(index);
      if (record) write({ kind: 'exit', ...exitRow(record, debuggee) });
    },
    entry: (record) => write(entryRow(record, debuggee)),
    page: (event) => write({ kind: 'page', ...without(pageRow(event), 'n') }),
    serial: (layer, text) => write({ kind: 'serial', layer, text }),
    stale: (use) => {
      const row = staleRow(use, debuggee);
      const key = `${row.place} ${row.access} ${row.linear} ${row.entry}`;
      if (told.has(key)) return;
      told.add(key);
      write(row);
    },
    finding: (finding, severity) => {
      write(isolationRow(finding, severity, debuggee));
    },
  };
  machine.addTaps({ vmEntryFailed: (failure) => write(failedEntryRow(failure, debuggee)) });
  write({ kind: 'boot', ...machine.boot });
  // What the file has, whatever happens to this process from here on
  debuggee.tape.written = (moment) => write({ kind: 'recorded', moment });
}

/** Runs to the end or to the limit. Resolves with the exit code: 0 = the guest announced success (see `exitStatus`). */
export async function runHeadless(debuggee: Debuggee, options: HeadlessOptions): Promise<number> {
  const { write } = options;
  const { machine } = debuggee;
  watchRows(debuggee, write);
  let found = false;
  let broken: Finding | undefined;
  debuggee.isolation?.onFinding((finding, severity) => {
    found = true;
    if (severity !== 'stop') return;
    broken ??= finding;
    machine.requestStop();
  });
  let outcome: Outcome | undefined;
  let before = -1;
  const patience = machine.vcpus.length > 1 ? MOST_ASLEEP_OF_SEVERAL : MOST_ASLEEP;
  for (let asleep = 0; !outcome && !broken && machine.instructions < options.maxInstructions && asleep < patience;) {
    asleep = machine.instructions === before ? asleep + 1 : 0;
    before = machine.instructions;
    const result = debuggee.advance(Math.min(SLICE, options.maxInstructions - machine.instructions));
    if (result.why === 'ended') outcome = result.outcome;
    await options.breathe();
  }
  debuggee.flushSerial();
  debuggee.tape.close(outcome);
  const { instructions } = machine;
  const stateHash = machine.stateHash();
  if (broken) {
    const description = `Isolation is broken: ${broken.title}`;
    write({ kind: 'end', outcome: 'isolation', description, instructions, stateHash });
    return options.exitStatus ? NO_QEMU_STATUS : ISOLATION_BROKEN;
  }
  if (!outcome) {
    const limited = machine.instructions >= options.maxInstructions;
    const description = limited
      ? `Stopped after ${instructions} instructions: the limit given by --max-instructions.`
      : `Asleep for ever: timers run, but none of their interrupts reaches a processor (masked, or no way to it).`;
    write({
      kind: 'end',
      outcome: limited ? 'instruction-limit' : 'asleep',
      description,
      instructions,
      stateHash,
    });
    return options.exitStatus ? NO_QEMU_STATUS : 1;
  }
  const description = describeOutcome(outcome, debuggee).text;
  const status = outcome.kind === 'exit-port' ? { qemuStatus: qemuStatusOf(outcome.code) } : {};
  write({ kind: 'end', outcome: outcomeName(outcome), description, instructions, stateHash, ...status });
  if (options.exitStatus) return exitStatusOf(outcome);
  return exitCodeOf(outcome) || (found ? ISOLATION_BROKEN : 0);
}

function entryRow(record: VmEntryRecord, debuggee: Debuggee): EntryRow {
  const context = debuggee.running(record.vcpu);
  return {
    kind: 'entry',
    n: record.n,
    instruction: record.instruction,
    vcpu: record.vcpu,
    layer: debuggee.layers.nameOf(context),
    launch: record.launch,
    rip: hex(record.rip),
    symbol: formatSymbol(debuggee.layers.symbolAt(context, record.rip), record.rip),
  };
}

function failedEntryRow(failure: VmEntryFailure, debuggee: Debuggee): FailedEntryRow {
  return {
    kind: 'entry-failed',
    instruction: failure.instruction,
    vcpu: failure.vcpu,
    layer: debuggee.layers.nameOf(debuggee.running(failure.vcpu)),
    title: explainEntryFailure(failure).title,
    check: failure.check,
    field: failure.field,
    value: hex(failure.value),
    section: failure.section,
  };
}

function isolationRow(finding: Finding, severity: string, debuggee: Debuggee): IsolationRow {
  const { rule, moment, vcpu, instruction, title, text, path } = finding;
  const place = debuggee.layers.nameOf(debuggee.running(vcpu));
  const steps = path.map((step) => findingStep(step, debuggee));
  return { kind: 'isolation', rule, severity, moment, vcpu, instruction, place, title, text, path: steps };
}

function staleRow(use: StaleTranslation, debuggee: Debuggee): StaleRow {
  return {
    kind: 'stale',
    vcpu: use.vcpu,
    instruction: use.instruction,
    place: debuggee.placeOf(use),
    access: use.access,
    linear: hex(use.linear),
    hostPhysical: hex(use.hostPhysical),
    difference: use.difference,
    entry: use.entry ? entryInWords(use.entry) : 'another table at the root',
    missing: use.invalidation,
  };
}

/** One word */
export const outcomeName = (outcome: Outcome): string =>
  outcome.kind === 'exit-port' ? (outcome.code === 0 ? 'success' : 'failure') : outcome.kind;

/** The first needs no name: most machines have one processor */
const vcpuOf = ({ vcpu }: { vcpu: number }): string => (vcpu === 0 ? '' : `vcpu${vcpu} `);

/** For people: exits, page decisions, serial lines, the end; entries follow from the exits and are left out. */
export function textOf(row: HeadlessRow): string | undefined {
  switch (row.kind) {
    case 'exit': {
      const words = row.qualification === '' ? '' : `  ${row.qualification}`;
      return `exit ${String(row.n).padStart(6)}  ${vcpuOf(row)}${row.layer.padEnd(8)} ${row.name} (${row.reason}) at ${row.symbol}${words}`;
    }
    case 'entry-failed':
      return `${row.title}  [${vcpuOf(row)}${row.layer}; undervisor explain vmentry ${row.check}]`;
    case 'page':
      return `page ${row.decision.padEnd(9)} hpa ${row.hpa} gpa ${row.gpa} vm ${row.vm}  ${row.why}  [${row.symbol}]`;
    case 'serial':
      return `serial ${row.layer.padEnd(8)} ${row.text}`;
    case 'stale':
      return `stale ${row.access} of ${row.linear} by ${row.place} uses ${row.hostPhysical}: ${row.difference}; ${row.entry}; missing ${row.missing}`;
    case 'isolation':
      return [
        `isolation ${row.rule}: ${row.title}  [moment ${row.moment}]`,
        ...row.path.map((step) => `     ${stepText(step)}`),
      ].join('\n');
    case 'boot':
      return `boot ${row.protocol.padEnd(9)} ${row.reason}`;
    case 'end': {
      const status = row.qemuStatus === undefined ? '' : `, QEMU's exit status ${row.qemuStatus}`;
      return `end  ${row.outcome}: ${row.description}\n     ${row.instructions} instructions, state ${row.stateHash}${status}`;
    }
    case 'entry':
    case 'recorded':
      return undefined;
  }
}
