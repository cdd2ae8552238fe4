import type { Context, Machine } from '../../machine/api';
import type {
  DeclaredFunction,
  GuestRange,
  HostRange,
  Runner,
  SecrecyTracking,
  SecretLeak,
} from '../../machine/secrecy/api';
import type { Finding, PathStep } from '../isolation/finding';
import type { IsolationPolicy, Severity } from '../isolation/policy';
import { describeLeak } from './describe-leak';
import { shownBits } from './shown';

/** What of a policy concerns secrets, with its areas and functions found in the images. */
export interface ResolvedSecrecy {
  readonly policy: IsolationPolicy;
  readonly shared: readonly HostRange[];
  readonly sharedByGuests: readonly GuestRange[];
  readonly secrets: readonly HostRange[];
  readonly encryption: readonly DeclaredFunction[];
}

export interface SecrecyHooks {
  report(finding: Finding, severity: Exclude<Severity, 'off'>): void;
  /** The layer that a context runs, for policies that tell the VMM by it */
  layerOf?(context: Context): string;
  /** How somebody comes to reach a page: entries of tables, and who wrote them; for the end of a path */
  waysTo?(runner: Runner, page: number): readonly PathStep[];
}

/**
 * Follows secrets as a policy says (`secrecy`), and reports where one gets to somebody who must not have it. To be made
 * before the machine has run. Findings are kept by their moment: known history that runs again tells nothing anew.
 */
export class SecrecyWatch {
  /** Found so far, oldest first */
  readonly findings: Finding[] = [];
  readonly tracking: SecrecyTracking;
  private readonly told = new Map<string, number>();
  private readonly roles = new Map<bigint, Runner>();
  private readonly guests = new Map<bigint, number>();
  /** vCPUs that have entered their VMM */
  private readonly entered = new Set<number>();

  constructor(
    private readonly machine: Machine,
    private readonly resolved: ResolvedSecrecy,
    private readonly hooks: SecrecyHooks,
  ) {
    const { policy, shared, sharedByGuests, secrets, encryption } = resolved;
    this.tracking = machine.trackSecrecy({
      runnerOf: (vcpu, vmcs, eptp) => this.runnerOf(vcpu, vmcs, eptp),
      shows: (exit, register) => shownBits(policy, exit, register),
      shared,
      sharedByGuests,
      secrets,
      encryption,
      addresses: policy.addresses,
    });
    this.tracking.onLeak((leak) => this.found(leak));
  }

  /** Input was given in the past: what was behind this moment has not happened. */
  forget(after: number): void {
    while ((this.findings.at(-1)?.moment ?? 0) > after) this.findings.pop();
    for (const [key, moment] of this.told) if (moment > after) this.told.delete(key);
  }

  private runnerOf(vcpu: number, vmcs: bigint, eptp: bigint): Runner {
    const known = this.roles.get(vmcs);
    if (known !== undefined) return known;
    const runner = this.isVmm(vcpu) ? 'vmm' : this.guestOf(vmcs, eptp);
    this.roles.set(vmcs, runner);
    return runner;
  }

  private isVmm(vcpu: number): boolean {
    const { vmm } = this.resolved.policy;
    if (vmm === 'none') return false;
    if (vmm !== 'first') return vmm.layers.includes(this.hooks.layerOf?.(this.machine.running(vcpu)) ?? '');
    if (this.entered.has(vcpu)) return false;
    this.entered.add(vcpu);
    return true;
  }

  /** Virtual processors that share tables are of one guest. */
  private guestOf(vmcs: bigint, eptp: bigint): number {
    const key = eptp === 0n ? -vmcs : eptp;
    const known = this.guests.get(key);
    if (known !== undefined) return known;
    this.guests.set(key, this.guests.size + 1);
    return this.guests.size;
  }

  private found(leak: SecretLeak): void {
    const { rule, key, title, text, path } = describeLeak(leak, this.hooks.waysTo?.bind(this.hooks));
    const severity = this.resolved.policy.severity[rule];
    if (severity === 'off' || this.told.has(key)) return;
    this.told.set(key, leak.moment);
    const { moment, vcpu } = leak;
    const instruction = this.machine.vcpus[vcpu]?.instructions ?? 0;
    const finding: Finding = { rule, key, moment, vcpu, instruction, title, text, path };
    this.findings.push(finding);
    this.hooks.report(finding, severity);
  }
}
