import type { VmEntryRecord, VmExitRecord } from '../../emulator/cpu/taps';
import type { Machine } from '../../emulator/machine/api';
import { linearRip } from '../stack/layers';

/**
 * Which arrival of a vCPU at a breakpoint or probe has been dealt with, so that each counts once. An instruction that is
 * taken back by a VM exit (an EPT violation) and executed anew after the VM entry arrives once only.
 */
class VcpuArrivals {
  /** "instructions:linear" of the last one */
  private last = '';
  private context = -1;
  private linear = 0n;
  private instruction = -1;
  /** A VM exit took the instruction back */
  private takenBack = false;
  /** Retired count of the VM entry that resumed it, -1 = none */
  private resumed = -1;

  constructor(
    private readonly machine: Machine,
    private readonly vcpu: number,
  ) {}

  private get instructions(): number {
    return this.machine.vcpus[this.vcpu]?.instructions ?? 0;
  }

  isHandled(): boolean {
    return this.last === this.place();
  }

  handle(linear: bigint): void {
    this.last = this.place();
    this.context = this.machine.running(this.vcpu).id;
    this.linear = linear;
    this.instruction = this.instructions;
    this.takenBack = false;
    this.resumed = -1;
  }

  exited(record: VmExitRecord): void {
    const left = this.machine.interrupted(this.vcpu)[0];
    if (left?.id === this.context && record.instruction === this.instruction) this.takenBack = true;
  }

  entered(record: VmEntryRecord): void {
    if (!this.takenBack || record.injected !== 0 || this.machine.running(this.vcpu).id !== this.context) return;
    this.resumed = record.instruction;
  }

  isResumption(linear: bigint): boolean {
    if (this.resumed < 0 || linear !== this.linear || this.machine.running(this.vcpu).id !== this.context) return false;
    // VMRESUME itself is the one instruction that may have been counted since.
    const same = this.instructions - this.resumed <= 1;
    this.takenBack = false;
    this.resumed = -1;
    if (same) {
      this.last = this.place();
      this.instruction = this.instructions;
    }
    return same;
  }

  private place(): string {
    return `${this.instructions}:${linearRip(this.machine.running(this.vcpu))}`;
  }
}

/** The arrivals of all vCPUs. */
export class Arrivals {
  private readonly vcpus: readonly VcpuArrivals[];

  constructor(machine: Machine) {
    this.vcpus = machine.vcpus.map(({ index }) => new VcpuArrivals(machine, index));
  }

  /** Whether the place where a vCPU stands is the one that was dealt with last. */
  isHandled(vcpu: number): boolean {
    return this.vcpus[vcpu]?.isHandled() ?? false;
  }

  handle(vcpu: number, linear: bigint): void {
    this.vcpus[vcpu]?.handle(linear);
  }

  /** To be told after each VM exit. */
  exited(record: VmExitRecord): void {
    this.vcpus[record.vcpu]?.exited(record);
  }

  /** To be told after each VM entry. */
  entered(record: VmEntryRecord): void {
    this.vcpus[record.vcpu]?.entered(record);
  }

  /** Whether this arrival is the same instruction again after it was taken back. Asked once for each arrival. */
  isResumption(vcpu: number, linear: bigint): boolean {
    return this.vcpus[vcpu]?.isResumption(linear) ?? false;
  }
}
