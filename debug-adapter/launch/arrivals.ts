import type { VmEntryRecord, VmExitRecord } from '../../emulator/cpu/taps';
import type { Machine } from '../../emulator/machine/api';
import { linearRip } from '../stack/layers';

/**
 * Which arrival at a breakpoint or probe has been dealt with, so that each counts once. An instruction that is taken
 * back by a VM exit (an EPT violation) and executed anew after the VM entry arrives once only.
 */
export class Arrivals {
  /** "instructions:vcpu:linear" of the last one */
  private last = '';
  private context = -1;
  private linear = 0n;
  private instruction = -1;
  /** A VM exit took the instruction back */
  private takenBack = false;
  /** Retired count of the VM entry that resumed it, -1 = none */
  private resumed = -1;

  constructor(private readonly machine: Machine) {}

  /** Whether the place where a vCPU stands is the one that was dealt with last. */
  isHandled(vcpu: number): boolean {
    return this.last === this.place(vcpu);
  }

  handle(vcpu: number, linear: bigint): void {
    this.last = this.place(vcpu);
    this.context = this.machine.running(vcpu).id;
    this.linear = linear;
    this.instruction = this.machine.instructions;
    this.takenBack = false;
    this.resumed = -1;
  }

  /** To be told after each VM exit. */
  exited(record: VmExitRecord): void {
    const left = this.machine.interrupted(record.vcpu)[0];
    if (left?.id === this.context && record.instruction === this.instruction) this.takenBack = true;
  }

  /** To be told after each VM entry. */
  entered(record: VmEntryRecord): void {
    if (!this.takenBack || record.injected !== 0 || this.machine.running(record.vcpu).id !== this.context) return;
    this.resumed = record.instruction;
  }

  /** Whether this arrival is the same instruction again after it was taken back. Asked once for each arrival. */
  isResumption(vcpu: number, linear: bigint): boolean {
    if (this.resumed < 0 || linear !== this.linear || this.machine.running(vcpu).id !== this.context) return false;
    // VMRESUME itself is the one instruction that may have been counted since.
    const same = this.machine.instructions - this.resumed <= 1;
    this.takenBack = false;
    this.resumed = -1;
    if (same) {
      this.last = this.place(vcpu);
      this.instruction = this.machine.instructions;
    }
    return same;
  }

  private place(vcpu: number): string {
    return `${this.machine.instructions}:${vcpu}:${linearRip(this.machine.running(vcpu))}`;
  }
}
