import type { Outcome } from '../../emulator/machine/api';
import type { Moment, Task } from '../../emulator/timeline/api';
import type { Debuggee } from '../launch/debuggee';
import { describeOutcome } from '../launch/outcome';
import { outcomeName } from '../launch/headless';
import { exportRows } from './rows';
import { exportWriter, type ExportFormat } from './writer';

export interface ExportOptions {
  readonly format: ExportFormat;
  readonly write: (text: string) => void;
  /** Moments; the whole run when absent */
  readonly from?: Moment;
  readonly to?: Moment;
  /** The last moment that is known, for progress; absent: nobody knows */
  readonly end?: Moment;
  readonly maxInstructions?: number;
}

export interface ExportSummary {
  /** The range that was written */
  readonly from: Moment;
  readonly to: Moment;
  readonly rows: number;
  /** The run is another than the recorded one: what, in words */
  readonly divergence: string | undefined;
}

const SLICE = 300_000;
/** Each time without an instruction: what runs are timers that wake nobody (see launch/headless.ts) */
const MOST_ASLEEP = 1000;

/**
 * Runs a machine from power-on and writes what happened. It is one of its own: of a session that goes on, the run is gone
 * through again beside it.
 * @throws RangeError when the run has no such range
 */
export function* exportRun(debuggee: Debuggee, options: ExportOptions): Task<ExportSummary> {
  const { machine, tape } = debuggee;
  const { from = 0, to = Infinity, maxInstructions = Infinity } = options;
  if (from > to) throw new RangeError(`the range begins at moment ${from} and ends before that, at ${to}`);
  const writer = exportWriter(options.format, options.write);
  const clocks = () => machine.vcpus.map(({ clock }) => clock);
  let rows = 0;
  let counting = false;
  for (const { index, activity, clock } of machine.vcpus) {
    if (activity === 'waiting for SIPI') continue;
    const layer = debuggee.layers.nameOf(machine.running(index));
    writer.row({ kind: 'begin', moment: machine.moment, time: clock, vcpu: index, layer });
  }
  const begin = () => {
    counting = true;
    writer.begin(clocks(), machine.moment);
  };
  if (from === 0) begin();
  exportRows(debuggee, (row) => {
    writer.row(row);
    if (counting) rows++;
  });
  const fraction = () => (options.end ? Math.min(1, machine.moment / Math.min(options.end, to)) : 0);
  let outcome: Outcome | undefined;
  function* runTo(bound: Moment): Generator<number, void, void> {
    tape.bound = bound;
    let asleep = 0;
    while (!outcome && machine.moment < bound && machine.instructions < maxInstructions && asleep < MOST_ASLEEP) {
      const before = machine.instructions;
      const result = debuggee.advance(Math.min(SLICE, maxInstructions - machine.instructions));
      if (result.why === 'ended') outcome = result.outcome;
      // The run is not the one that was recorded. At the end of its input it goes on to `bound`.
      else if (tape.divergence) return;
      asleep = machine.instructions === before ? asleep + 1 : 0;
      yield fraction();
    }
  }
  if (from > 0) {
    yield* runTo(from);
    if (machine.moment < from)
      throw new RangeError(`the run ends at moment ${machine.moment}, before ${from}, where the export was to begin`);
    begin();
  }
  yield* runTo(to);
  const now = machine.run(0);
  if (now.why === 'ended') outcome = now.outcome;
  debuggee.flushSerial();
  if (outcome && 'vcpu' in outcome) debuggee.focus = outcome.vcpu;
  const vcpu = outcome && 'vcpu' in outcome ? outcome.vcpu : machine.runningVcpu;
  const { instructions, moment } = machine;
  writer.row({
    kind: 'end',
    moment,
    time: machine.vcpus[vcpu]?.clock ?? 0,
    vcpu,
    outcome: outcome ? outcomeName(outcome) : 'range',
    description: outcome ? describeOutcome(outcome, debuggee).text : `The export ends at moment ${moment}.`,
    instructions,
    stateHash: machine.stateHash(),
  });
  writer.end(clocks());
  return { from, to: moment, rows, divergence: tape.divergence?.text };
}
