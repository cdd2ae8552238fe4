import { Field } from '../../emulator/arch/vmcs-fields';
import type { Context, Machine } from '../../emulator/machine/api';
import type { Moment } from '../../emulator/timeline/api';
import { linearRip } from '../stack/layers';
import type { LoggedExit } from '../watch/exit-log';

const VALID = 0x8000_0000n;
const NMI = 2;

/**
 * Exits that leave the guest before the instruction that its RIP names has begun (SDM vol. 3, appendix C and 26.2):
 * external events and windows, the monitor trap flag, and those that come behind an instruction, as a trap does.
 */
const NOT_BEGUN: ReadonlySet<number> = new Set([1, 3, 4, 5, 6, 7, 8, 37, 43, 45, 52, 56, 74]);

const notBegun = ({ reason, interruptionInformation }: LoggedExit): boolean =>
  NOT_BEGUN.has(reason & 0xffff) || ((reason & 0xffff) === 0 && ((interruptionInformation >> 8) & 7) === NMI);

/**
 * Which arrival of a vCPU at a breakpoint or probe has been dealt with, so that each counts once. An instruction that is
 * taken back by a VM exit (an EPT violation) and executed anew after the VM entry arrives once only. All but the place
 * that was dealt with last follows from the machine and the log of exits, and so is right at any moment of its history.
 */
export class Arrivals {
  /** For each vCPU "instructions:linear" of the last one */
  private handled: string[] = [];
  /** Addresses that are new, and since when: what an instruction was taken back from before has not been told */
  private readonly fresh = new Map<bigint, Moment>();

  constructor(
    private readonly machine: Machine,
    private readonly lastExitOf: (context: Context) => LoggedExit | undefined,
  ) {}

  /** Whether the place where a vCPU stands is the one that was dealt with last. */
  isHandled(vcpu: number): boolean {
    return this.handled[vcpu] === this.place(vcpu);
  }

  handle(vcpu: number): void {
    this.handled[vcpu] = this.place(vcpu);
  }

  /** Execution is to stop at these addresses, and did not at some of them so far. */
  watch(addresses: ReadonlySet<bigint>, before: ReadonlySet<bigint>): void {
    for (const address of before) if (!addresses.has(address)) this.fresh.delete(address);
    for (const address of addresses) if (!before.has(address)) this.fresh.set(address, this.machine.moment);
  }

  /** The machine has gone to another moment. */
  moved(): void {
    this.handled = [];
    this.fresh.clear();
  }

  /** Gives back what it knows now, for when the machine is back here. */
  keep(): () => void {
    const handled = [...this.handled];
    const fresh = [...this.fresh];
    return () => {
      this.handled = handled;
      this.fresh.clear();
      for (const [address, since] of fresh) this.fresh.set(address, since);
    };
  }

  /** Whether this arrival is the same instruction again after it was taken back; then it is dealt with. */
  isResumption(vcpu: number, linear: bigint): boolean {
    const context = this.machine.running(vcpu);
    if (context.vmcs === undefined) return false;
    const entry = this.machine.interrupted(vcpu)[0]?.lastLeft;
    // VMRESUME itself is the one instruction that may have been counted since.
    if (entry?.kind !== 'entry' || this.instructions(vcpu) - entry.instruction > 1) return false;
    const exit = this.lastExitOf(context);
    if (!exit || notBegun(exit) || exit.moment <= (this.fresh.get(linear) ?? -1)) return false;
    const { registers } = context;
    if (exit.rip !== registers.read('rip') || exit.csBase !== (registers.read('cs.base') ?? 0n)) return false;
    // An event was on its way to the guest: its instruction comes for the first time.
    const field = (encoding: number) => this.machine.readVmcs(context.vmcs!, encoding) ?? 0n;
    if (field(Field.ENTRY_INTERRUPTION_INFORMATION) & VALID) return false;
    if (field(Field.IDT_VECTORING_INFORMATION) & VALID) return false;
    this.handle(vcpu);
    return true;
  }

  private instructions(vcpu: number): number {
    return this.machine.vcpus[vcpu]?.instructions ?? 0;
  }

  private place(vcpu: number): string {
    return `${this.instructions(vcpu)}:${linearRip(this.machine.running(vcpu))}`;
  }
}
