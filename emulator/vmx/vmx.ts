import { Pin, Primary, Secondary } from '../arch/controls';
import { ExitReason } from '../arch/exit-reasons';
import { interruptionInformation } from '../arch/interruption';
import {
  Boundary,
  ExitKind,
  type ApicVirtualization,
  type EptFault,
  type Processor,
  type Virtualization,
} from '../cpu/processor';
import type { Instruction } from '../isa/instruction';
import type { ExitRule } from '../isa/row';
import { State } from '../memory/layout';
import { apicAccessExit, VirtualApic } from './apic-virtualization';
import { capabilityMsr, cr0Allowed, cr4Allowed } from './capabilities';
import { VmxCore, type MsrAccess } from './core';
import { eptFaultExit, raisesVirtualizationException } from './ept-faults';
import { boundaryExit, exceptionExit } from './event-exits';
import { LOAD_HOST_STATE } from './host-state';
import { INSTRUCTION_EXITS, type InstructionExitRow } from './instruction-exits';
import { VmcsLog } from './page-modification-log';
import { Slot, writeFieldTable } from './vmcs';
import { createTransfers, type TransferPhases } from './state-transfer';
import { LOAD_GUEST_STATE, VmEntry } from './vm-entry';
import { SAVE_GUEST_STATE, vmExit } from './vm-exit';

/** Upper half of State.PREEMPTION_DEADLINE while the timer does not run */
const NEVER = 0xffff_ffff;
const TWO_32 = 0x1_0000_0000;
const INTERRUPTIBILITY_NMI = 8;
const TRANSFERS: TransferPhases = {
  saveGuest: SAVE_GUEST_STATE,
  loadGuest: LOAD_GUEST_STATE,
  loadHost: LOAD_HOST_STATE,
};

/** VT-x of one processor: where the processor's flow meets VMX non-root operation. */
export class Vmx implements Virtualization {
  readonly present = true;
  readonly core: VmxCore;
  readonly entry: VmEntry;
  private readonly exitRules: { readonly name: ExitRule; readonly rule: InstructionExitRow }[] = [];
  private readonly virtualApic: VirtualApic;

  constructor(cpu: Processor, msrs: MsrAccess) {
    writeFieldTable(cpu.physical.memory);
    this.core = new VmxCore(cpu, msrs, createTransfers(cpu.physical.memory, TRANSFERS));
    this.virtualApic = new VirtualApic(this.core);
    this.entry = new VmEntry(this.core, this.virtualApic);
    cpu.walker.ept.log = new VmcsLog(this.core);
  }

  get nonRoot(): boolean {
    // Asked at every turn of the run loop: no detour.
    const { state } = this.core.cpu;
    return state.get32(State.VMX_ON) !== 0 && state.get32(State.VMX_ROOT) === 0;
  }

  get blocksInit(): boolean {
    return this.core.on && this.core.root;
  }

  get monitorTrap(): boolean {
    return this.nonRoot && (this.primaryControls & Primary.MONITOR_TRAP_FLAG) !== 0;
  }

  private get primaryControls(): number {
    return this.core.current().get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  }

  private get pinControls(): number {
    return this.core.current().get32(Slot.PIN_BASED_CONTROLS);
  }

  private exit(): ExitKind {
    vmExit(this.core);
    return ExitKind.Taken;
  }

  instruction(insn: Instruction): ExitKind {
    const { exit } = insn.row;
    if (exit === undefined) return ExitKind.None;
    this.core.current();
    return this.ruleOf(insn.row.id, exit).exits(this.core, insn) ? this.exit() : ExitKind.None;
  }

  /** Looked up by the rule's name once a row. */
  private ruleOf(row: number, name: ExitRule): InstructionExitRow {
    const known = this.exitRules[row];
    return known?.name === name ? known.rule : (this.exitRules[row] = { name, rule: INSTRUCTION_EXITS[name] }).rule;
  }

  undefines(insn: Instruction): boolean {
    const needed = insn.row.exit && INSTRUCTION_EXITS[insn.row.exit].definedBy;
    return needed !== undefined && (this.secondaryControls & needed) === 0;
  }

  exception(
    vector: number,
    errorCode: number | undefined,
    payload: bigint,
    type: number,
    instructionLength: number,
  ): ExitKind {
    this.core.current();
    if (!exceptionExit(this.core, vector, errorCode, payload, type, instructionLength)) return ExitKind.None;
    return this.exit();
  }

  boundary(point: Boundary): ExitKind {
    this.core.current();
    if (point === Boundary.VirtualApic) return this.virtualApic.trapExit() ? this.exit() : ExitKind.None;
    if (point === Boundary.ExternalInterrupt && this.apic && this.virtualApic.processesPosted())
      return ExitKind.Handled;
    return boundaryExit(this.core, point) ? this.exit() : ExitKind.None;
  }

  get apic(): ApicVirtualization | undefined {
    return this.core.cpu.state.get32(State.APIC_VIRTUALIZATION) === 0 ? undefined : this.virtualApic;
  }

  apicAccess(qualification: number, instructionLength: number): ExitKind {
    if (!this.nonRoot) return ExitKind.None;
    this.core.current();
    apicAccessExit(this.core, qualification, instructionLength);
    return this.exit();
  }

  eptFault(fault: EptFault): ExitKind {
    if (!this.nonRoot) return ExitKind.None;
    this.core.current();
    if (raisesVirtualizationException(this.core, fault)) return ExitKind.VirtualizationException;
    eptFaultExit(this.core, fault);
    return this.exit();
  }

  /** A triple fault does not count as occurring during event delivery (SDM vol. 3, 28.2.4). */
  tripleFault(): ExitKind {
    if (!this.nonRoot) return ExitKind.None;
    this.core.current();
    this.core.delivery.active = false;
    this.core.exit.reset(ExitReason.TRIPLE_FAULT);
    return this.exit();
  }

  taskSwitch(selector: number, source: 0 | 1 | 2 | 3): ExitKind {
    if (!this.nonRoot) return ExitKind.None;
    this.core.current();
    const exit = this.core.exit.reset(ExitReason.TASK_SWITCH, BigInt(selector) | (BigInt(source) << 30n));
    if (source !== 3) exit.instructionLength = this.core.cpu.engine.instruction.length;
    return this.exit();
  }

  readCr0(): bigint {
    const { cr0 } = this.core.cpu.state;
    return this.nonRoot ? this.masked(cr0, Slot.CR0_GUEST_HOST_MASK, Slot.CR0_READ_SHADOW) : cr0;
  }

  readCr4(): bigint {
    const { cr4 } = this.core.cpu.state;
    return this.nonRoot ? this.masked(cr4, Slot.CR4_GUEST_HOST_MASK, Slot.CR4_READ_SHADOW) : cr4;
  }

  /** Bits that the host owns come from the read shadow (SDM vol. 3, 25.6.6). */
  private masked(value: bigint, maskSlot: number, shadowSlot: number): bigint {
    const vmcs = this.core.current();
    const mask = vmcs.get64(maskSlot);
    return (value & ~mask) | (vmcs.get64(shadowSlot) & mask);
  }

  ownedCr0(value: bigint): bigint {
    return this.nonRoot ? this.owned(value, this.core.cpu.state.cr0, Slot.CR0_GUEST_HOST_MASK) : value;
  }

  ownedCr4(value: bigint): bigint {
    return this.nonRoot ? this.owned(value, this.core.cpu.state.cr4, Slot.CR4_GUEST_HOST_MASK) : value;
  }

  private owned(value: bigint, current: bigint, maskSlot: number): bigint {
    const mask = this.core.current().get64(maskSlot);
    return (value & ~mask) | (current & mask);
  }

  readMsr(index: number): bigint | undefined {
    return capabilityMsr(index, this.core.cpu);
  }

  fixedCr0(value: bigint): boolean {
    if (!this.core.on) return true;
    const unrestricted = this.nonRoot && (this.secondaryControls & Secondary.UNRESTRICTED_GUEST) !== 0;
    return cr0Allowed(value, unrestricted);
  }

  fixedCr4(value: bigint): boolean {
    return !this.core.on || cr4Allowed(this.core.cpu, value);
  }

  private get secondaryControls(): number {
    this.core.current();
    return this.core.secondaryControls;
  }

  nextDeadline(): number {
    if (!this.nonRoot) return Infinity;
    const { state } = this.core.cpu;
    const high = state.get32(State.PREEMPTION_DEADLINE + 4);
    return high === NEVER ? Infinity : high * TWO_32 + state.get32(State.PREEMPTION_DEADLINE);
  }

  beginDelivery(vector: number, type: number, errorCode: number | undefined, instructionLength: number): void {
    const { delivery } = this.core;
    this.core.iretEnds();
    delivery.active = this.nonRoot;
    delivery.information = interruptionInformation(vector, type, errorCode !== undefined);
    delivery.errorCode = errorCode ?? 0;
    delivery.instructionLength = instructionLength;
  }

  endDelivery(): void {
    this.core.delivery.active = false;
  }

  restored(): void {
    this.core.restored();
  }

  /** SDM vol. 3, 26.3, IRET: with "NMI exiting" it ends virtual-NMI blocking if there is such, and nothing otherwise. */
  iretUnblocksNmi(): boolean {
    if (!this.nonRoot) return false;
    const { core } = this;
    const { state } = core.cpu;
    const pin = this.pinControls;
    const blocking = state.get32(State.INTERRUPTIBILITY);
    if (!(pin & Pin.NMI_EXITING)) {
      if (blocking & INTERRUPTIBILITY_NMI) core.iretUnblocks();
      return false;
    }
    if (pin & Pin.VIRTUAL_NMIS && blocking & INTERRUPTIBILITY_NMI) {
      core.iretUnblocks();
      state.set32(State.INTERRUPTIBILITY, blocking & ~INTERRUPTIBILITY_NMI);
    }
    return true;
  }
}

/** The VT-x of a processor; undefined when it has none. */
export const vmxOf = (cpu: Processor): Vmx | undefined =>
  cpu.virtualization instanceof Vmx ? cpu.virtualization : undefined;
