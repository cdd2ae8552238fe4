import type { InterruptSource, LocalApicAccess } from '../cpu/processor';
import type { LocalApic } from './local-apic';
import type { TimedDevice } from './timed-device';

/**
 * A processor's interrupts together with the board's devices that act by the clock: both bound how long it may run. The
 * clocks of several vCPUs differ by up to a quantum: a device can be told a `now` before an earlier one; nothing is due then.
 */
export class TimedInterrupts implements Required<InterruptSource> {
  constructor(
    private readonly apic: LocalApic,
    private readonly devices: TimedDevice,
  ) {}

  get localApic(): LocalApicAccess {
    return this.apic;
  }

  initialize(): void {
    this.apic.initialize();
  }

  pendingVector(): number {
    return this.apic.pendingVector();
  }

  acknowledge(): number {
    return this.apic.acknowledge();
  }

  nextDeadline(): number {
    return Math.min(this.apic.nextDeadline(), this.devices.nextDeadline());
  }

  advance(now: number): void {
    this.apic.advance(now);
    this.devices.advance(now);
  }

  get taskPriority(): number {
    return this.apic.taskPriority;
  }

  set taskPriority(value: number) {
    this.apic.taskPriority = value;
  }

  get tscDeadline(): bigint {
    return this.apic.tscDeadline;
  }

  set tscDeadline(value: bigint) {
    this.apic.tscDeadline = value;
  }
}
