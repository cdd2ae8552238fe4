import type { RunResult } from '../../emulator/machine/api';
import type { Finding } from '../../emulator/watch/isolation/finding';
import type { Severity } from '../../emulator/watch/isolation/policy';
import type { ResolvedPolicy } from '../../emulator/watch/isolation/sanitizer';
import { PolicyWatch } from '../../emulator/watch/policy-watch';
import type { Debuggee } from '../launch/debuggee';

export type FindingListener = (finding: Finding, severity: Exclude<Severity, 'off'>) => void;

/** The sanitizer of a machine that was launched with a policy, as the session and the command line use it. */
export class IsolationWatch {
  readonly checks: PolicyWatch;
  private readonly listeners = new Set<FindingListener>();
  private next: number;

  constructor(
    private readonly debuggee: Debuggee,
    private readonly resolved: ResolvedPolicy,
  ) {
    const { machine, layers, timeline } = debuggee;
    this.checks = new PolicyWatch(machine, resolved, {
      report: (finding, severity) => this.listeners.forEach((listener) => listener(finding, severity)),
      layerOf: (context) => layers.nameOf(context),
    });
    timeline.onBranch((at) => this.checks.forget(at));
    this.next = this.every;
  }

  onFinding(listener: FindingListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Instructions until tables are to be looked at again */
  get left(): number {
    return Math.max(1, this.next - this.debuggee.machine.instructions);
  }

  /** To be told after each piece of a run. */
  ran(result: RunResult): void {
    const { instructions } = this.debuggee.machine;
    const ended = result.why === 'ended' && this.resolved.policy.at.end;
    if (instructions < this.next && !ended) return;
    if (instructions >= this.next) this.next = instructions + this.every;
    this.checks.check();
  }

  private get every(): number {
    return this.resolved.policy.at.every || Infinity;
  }
}
