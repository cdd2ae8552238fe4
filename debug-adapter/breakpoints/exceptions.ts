import type { DebugProtocol } from '@vscode/debugprotocol';
import { EXIT_REASONS, type ExitReasonSymbol } from '../../emulator/arch/exit-reasons';
import type { Taps } from '../../emulator/cpu/taps';
import type { Debuggee } from '../launch/debuggee';
import { checkedList } from '../session/router';
import { formatSymbol } from '../stack/layers';
import type { Done } from '../stepping/verb';
import { operandOf } from '../watch/exit-operand';
import { explainFinding, ISOLATION } from '../watch/explain-finding';
import { explainStale, STALE_TRANSLATION } from '../watch/explain-stale';
import { explainEntryFailure, explainExit, exitFilterId, type Explanation } from '../watch/explain';

export const ANY_EXIT = 'exit:any';
export const ENTRY_FAILED = 'entry:failed';
export const TRIPLE_FAULT = 'triple-fault';

/** What the user can stop at: each VM-exit reason of the manual is a row by itself. */
export const exceptionFilters: readonly DebugProtocol.ExceptionBreakpointsFilter[] = [
  { filter: ENTRY_FAILED, label: 'VM entry failed', description: 'A VM entry was refused by a check', default: true },
  { filter: TRIPLE_FAULT, label: 'Triple fault', description: 'A processor shut down', default: true },
  {
    filter: STALE_TRANSLATION,
    label: 'Stale translation',
    description: 'With "strictTranslation": a cached translation was used that the tables in memory contradict',
    default: true,
  },
  {
    filter: ISOLATION,
    label: 'Isolation broken',
    description: 'With a policy ("isolation"): one side reaches what is the other\'s, by the facts of the platform',
    default: true,
  },
  { filter: ANY_EXIT, label: 'Any VM exit', description: 'Every VM exit of every layer', default: false },
  ...(Object.keys(EXIT_REASONS) as ExitReasonSymbol[]).map((symbol) => ({
    filter: `exit:${symbol}`,
    label: `VM exit: ${EXIT_REASONS[symbol].name}`,
    description: EXIT_REASONS[symbol].explanation,
    default: false,
  })),
];

/** setExceptionBreakpoints, and the taps that they need. */
export class ExceptionFilters {
  private enabled: ReadonlySet<string> = new Set([ENTRY_FAILED, TRIPLE_FAULT, STALE_TRANSLATION, ISOLATION]);
  /** A filter that holds until its first stop */
  private once: string | undefined;
  /** What the last stop for a filter was about; undefined when it was something else */
  explanation: Explanation | undefined;
  /** Whom it was about */
  vcpu = 0;

  constructor(private readonly debuggee: Debuggee) {}

  set(args: DebugProtocol.SetExceptionBreakpointsArguments): DebugProtocol.SetExceptionBreakpointsResponse['body'] {
    const options = checkedList('setExceptionBreakpoints', 'filterOptions', args.filterOptions, { filterId: 'string' });
    const ids = [...args.filters.map(String), ...options.map((option) => option.filterId)];
    this.enabled = new Set(ids);
    return {
      breakpoints: ids.map((id) => {
        const known = exceptionFilters.some((row) => row.filter === id);
        return known ? { verified: true } : { verified: false, message: `no exception filter "${id}"` };
      }),
    };
  }

  /** Stops at the next VM exit of this filter, whether the user enabled it or not. False: no filter of VM exits. */
  stopOnce(filter: string): boolean {
    if (!filter.startsWith('exit:') || !exceptionFilters.some((row) => row.filter === filter)) return false;
    this.once = filter;
    return true;
  }

  wants(filter: string): boolean {
    return this.enabled.has(filter) || this.once === filter;
  }

  taps(stop: (done: Done) => void): Taps {
    this.debuggee.isolation?.onFinding((finding, severity) => {
      if (severity !== 'stop' || !this.wants(ISOLATION)) return;
      this.report(explainFinding(finding, this.debuggee), stop);
    });
    return {
      vmExit: (record) => {
        if (!this.wants(ANY_EXIT) && !this.wants(exitFilterId(record.reason))) return;
        const left = this.debuggee.machine.interrupted(record.vcpu)[0];
        const layer = left ? this.debuggee.layers.nameOf(left) : '';
        const symbol = left && this.debuggee.layers.symbolAt(left, record.rip);
        const operand = left ? operandOf(record, left, this.debuggee.machine) : 0n;
        this.report(explainExit(record, operand, layer, formatSymbol(symbol, record.rip)), stop);
      },
      vmEntryFailed: (failure) => {
        if (this.wants(ENTRY_FAILED)) this.report(explainEntryFailure(failure), stop);
      },
      staleTranslation: (use) => {
        if (this.wants(STALE_TRANSLATION)) this.report(explainStale(use, this.debuggee.placeOf(use)), stop);
      },
    };
  }

  /** Stops, and says why for exceptionInfo. */
  report(explanation: Explanation, stop: (done: Done) => void): void {
    stop({ reason: 'exception', description: explanation.title, text: explanation.title, explanation });
  }

  /** The machine has stopped: what for, and on which vCPU. */
  stopped({ explanation }: Done, vcpu: number): void {
    this.explanation = explanation;
    this.vcpu = vcpu;
    if (explanation) this.once = undefined;
  }
}
