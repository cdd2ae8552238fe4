import type { Context, Machine } from '../machine/api';
import type { Finding } from './isolation/finding';
import type { Severity } from './isolation/policy';
import { IsolationSanitizer, type ResolvedPolicy } from './isolation/sanitizer';
import { SecrecyWatch } from './secrecy/secrecy-watch';

export interface PolicyWatchHooks {
  report(finding: Finding, severity: Exclude<Severity, 'off'>): void;
  /** The layer that a context runs, for policies that tell the VMM by it */
  layerOf?(context: Context): string;
}

/** All that an isolation policy asks for: the sanitizer of tables, and with `secrecy` who follows the secrets. */
export class PolicyWatch {
  readonly sanitizer: IsolationSanitizer;
  readonly secrecy: SecrecyWatch | undefined;

  /** To be made before the machine has run. */
  constructor(machine: Machine, resolved: ResolvedPolicy, hooks: PolicyWatchHooks) {
    const layerOf = (context: Context) => hooks.layerOf?.(context) ?? '';
    const report = (finding: Finding, severity: Exclude<Severity, 'off'>) => hooks.report(finding, severity);
    // First: what it knows of tables explains how somebody reaches a secret.
    this.sanitizer = new IsolationSanitizer(machine, resolved, { report, layerOf });
    if (!resolved.secrecy) return;
    this.secrecy = new SecrecyWatch(machine, resolved.secrecy, {
      report,
      layerOf,
      waysTo: (runner, page) => (runner === 'root' ? [] : this.sanitizer.waysTo(runner === 'vmm' ? 0 : runner, page)),
    });
  }

  /** Found so far, by their moments */
  get findings(): readonly Finding[] {
    const all = [...this.sanitizer.findings, ...(this.secrecy?.findings ?? [])];
    return all.sort((a, b) => a.moment - b.moment);
  }

  /** Tables as they are now */
  check(): void {
    this.sanitizer.check();
  }

  /** Input was given in the past: what was behind this moment has not happened. */
  forget(after: number): void {
    this.sanitizer.forget(after);
    this.secrecy?.forget(after);
  }

  dispose(): void {
    this.sanitizer.dispose();
  }
}
