import type { InterruptSource } from '../cpu/processor';
import { hostPhysical, type HostPhysicalAddress } from '../memory/address';
import type { MmioRange } from '../memory/bus';
import { AcceptedInterrupts } from './accepted-interrupts';
import type { ApicBus, ApicMessage } from './apic-bus';
import {
  APIC_VERSION,
  ApicRegister,
  Delivery,
  ESR_ILLEGAL_REGISTER,
  ESR_RECEIVE_ILLEGAL_VECTOR,
  ESR_SEND_ILLEGAL_VECTOR,
  LVT_MASKED,
  LVT_VECTOR,
  LVT_WRITABLE,
  SOFTWARE_ENABLE,
} from './apic-registers';
import { ApicTimer } from './apic-timer';
import type { Device, StateReader, StateWriter } from './device';

const APIC_BASE_ENABLE = 0x800n;
const APIC_BASE_ADDRESS = 0xffffff000n;

/** What the local APIC needs from its processor and the board. */
export interface LocalApicWiring {
  readonly id: number;
  readonly bus: ApicBus;
  /** IA32_APIC_BASE as the processor holds it */
  readonly apicBase: () => bigint;
  readonly clock: () => number;
  readonly tscBase: () => bigint;
  readonly nmi: () => void;
  readonly init: () => void;
  readonly startUp: (vector: number) => void;
  /** The legacy controllers' INTR output, and their acknowledge cycle */
  readonly externalPending: () => boolean;
  readonly externalAcknowledge: () => number;
  /** The processor must look at interrupts and deadlines before the next instruction. */
  readonly attention: () => void;
}

/** A local APIC in xAPIC mode (SDM vol. 3, chapter 12). */
export class LocalApic implements MmioRange, InterruptSource, Device {
  readonly name = 'local APIC';
  readonly timer: ApicTimer;
  private readonly accepted = new AcceptedInterrupts();
  private readonly lvt = new Map<number, number>();
  private spurious = 0xff;
  private logicalDestination = 0;
  private destinationFormat = 0xffffffff;
  private commandLow = 0;
  private commandHigh = 0;
  private errors = 0;
  private latchedErrors = 0;

  constructor(private readonly wiring: LocalApicWiring) {
    this.timer = new ApicTimer(wiring.clock, wiring.tscBase);
    this.reset();
    wiring.bus.attach(this);
  }

  get id(): number {
    return this.wiring.id;
  }

  get base(): HostPhysicalAddress {
    return hostPhysical(this.wiring.apicBase() & APIC_BASE_ADDRESS);
  }

  /** Globally disabled, it does not answer on the bus. */
  get size(): bigint {
    return this.enabled ? 0x1000n : 0n;
  }

  private get enabled(): boolean {
    return (this.wiring.apicBase() & APIC_BASE_ENABLE) !== 0n;
  }

  // --- Registers ---

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    const value = BigInt(this.readRegister(at & ~15)) >> BigInt((at & 15) * 8);
    return BigInt.asUintN(size * 8, value);
  }

  /** Only 32-bit stores at 16-byte boundaries are defined (12.4.1); others are lost. */
  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    if (size !== 4 || at & 15) return;
    this.writeRegister(at, Number(value));
    this.wiring.attention();
  }

  private readRegister(at: number): number {
    if (at >= (ApicRegister.InService as number) && at < (ApicRegister.ErrorStatus as number)) {
      const set =
        at < (ApicRegister.TriggerMode as number)
          ? this.accepted.inService
          : at < (ApicRegister.InterruptRequest as number)
            ? undefined
            : this.accepted.requests;
      // Every source here is edge-triggered: TMR stays zero.
      return set?.word((at >>> 4) & 7) ?? 0;
    }
    switch (at as ApicRegister) {
      case ApicRegister.Id:
        return (this.id << 24) >>> 0;
      case ApicRegister.Version:
        return APIC_VERSION;
      case ApicRegister.TaskPriority:
        return this.accepted.taskPriority;
      case ApicRegister.ProcessorPriority:
        return this.accepted.processorPriority;
      case ApicRegister.ArbitrationPriority:
      case ApicRegister.RemoteRead:
      case ApicRegister.EndOfInterrupt:
        return 0;
      case ApicRegister.LogicalDestination:
        return this.logicalDestination;
      case ApicRegister.DestinationFormat:
        return this.destinationFormat;
      case ApicRegister.SpuriousVector:
        return this.spurious;
      case ApicRegister.ErrorStatus:
        return this.latchedErrors;
      case ApicRegister.CommandLow:
        return this.commandLow;
      case ApicRegister.CommandHigh:
        return this.commandHigh;
      case ApicRegister.LvtTimer:
        return this.timer.lvt;
      case ApicRegister.InitialCount:
        return this.timer.initialCount;
      case ApicRegister.CurrentCount:
        return this.timer.currentCount();
      case ApicRegister.DivideConfiguration:
        return this.timer.getDivide();
      default: {
        const entry = this.lvt.get(at);
        if (entry === undefined) this.error(ESR_ILLEGAL_REGISTER);
        return entry ?? 0;
      }
    }
  }

  private writeRegister(at: number, value: number): void {
    switch (at as ApicRegister) {
      case ApicRegister.TaskPriority:
        this.accepted.taskPriority = value & 0xff;
        return;
      case ApicRegister.EndOfInterrupt:
        this.accepted.end();
        return;
      case ApicRegister.LogicalDestination:
        this.logicalDestination = (value & 0xff000000) >>> 0;
        return;
      case ApicRegister.DestinationFormat:
        this.destinationFormat = (value | 0x0fffffff) >>> 0;
        return;
      case ApicRegister.SpuriousVector:
        this.spurious = value & 0x1ff;
        if (!(value & SOFTWARE_ENABLE)) this.maskAll();
        return;
      case ApicRegister.ErrorStatus:
        // A write latches what happened since the previous one (12.5.3).
        this.latchedErrors = this.errors;
        this.errors = 0;
        return;
      case ApicRegister.CommandLow:
        this.commandLow = value & 0xccfff;
        this.send();
        return;
      case ApicRegister.CommandHigh:
        this.commandHigh = (value & 0xff000000) >>> 0;
        return;
      case ApicRegister.LvtTimer:
        this.timer.setLvt(this.lvtValue(at, value));
        return;
      case ApicRegister.InitialCount:
        this.timer.setInitialCount(value);
        return;
      case ApicRegister.DivideConfiguration:
        this.timer.setDivide(value);
        return;
      case ApicRegister.Id:
      case ApicRegister.Version:
      case ApicRegister.ProcessorPriority:
      case ApicRegister.ArbitrationPriority:
      case ApicRegister.RemoteRead:
      case ApicRegister.CurrentCount:
        return; // Read-only here; software cannot change the ID of this model.
      default:
        if (this.lvt.has(at)) this.lvt.set(at, this.lvtValue(at, value));
        else if (at < (ApicRegister.InService as number) || at >= (ApicRegister.ErrorStatus as number))
          this.error(ESR_ILLEGAL_REGISTER);
    }
  }

  /** While the APIC is disabled by software, mask bits stay set (12.4.7.2). */
  private lvtValue(at: number, value: number): number {
    return (value & (LVT_WRITABLE[at] ?? 0)) | (this.spurious & SOFTWARE_ENABLE ? 0 : LVT_MASKED);
  }

  private maskAll(): void {
    this.timer.setLvt(this.timer.lvt | LVT_MASKED);
    for (const [at, value] of this.lvt) this.lvt.set(at, value | LVT_MASKED);
  }

  // --- Acceptance and delivery (12.8) ---

  /** A fixed interrupt arrives. */
  accept(vector: number): void {
    if (vector < 16) {
      this.error(ESR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.accepted.accept(vector);
    this.wiring.attention();
  }

  pendingVector(): number {
    if (this.accepted.deliverable >= 0 && this.enabled) return this.accepted.deliverable;
    // The 8259's vector is known only after its acknowledge cycle; any vector number stands for "some".
    return this.externalWanted() ? this.spurious & LVT_VECTOR : -1;
  }

  acknowledge(): number {
    if (this.accepted.deliverable >= 0 && this.enabled) return this.accepted.acknowledge();
    return this.externalWanted() ? this.wiring.externalAcknowledge() : this.spurious & LVT_VECTOR;
  }

  /** INTR of the 8259 reaches the processor through LINT0 as ExtINT, or directly when the APIC is off. */
  private externalWanted(): boolean {
    if (!this.wiring.externalPending()) return false;
    if (!this.enabled) return true;
    const lint0 = this.lvt.get(ApicRegister.LvtLint0) ?? LVT_MASKED;
    return !(lint0 & LVT_MASKED) && ((lint0 >>> 8) & 7) === (Delivery.ExtInt as number);
  }

  get taskPriority(): number {
    return this.accepted.taskPriority >>> 4;
  }

  set taskPriority(value: number) {
    this.accepted.taskPriority = (value & 15) << 4;
  }

  // --- Timer ---

  nextDeadline(): number {
    return this.timer.nextDeadline();
  }

  advance(now: number): void {
    if (this.timer.advance(now)) this.accept(this.timer.lvt & LVT_VECTOR);
  }

  /** IA32_TSC_DEADLINE */
  get tscDeadline(): bigint {
    return this.timer.tscDeadline;
  }

  set tscDeadline(value: bigint) {
    this.timer.tscDeadline = value;
    this.wiring.attention();
  }

  // --- Interprocessor interrupts (12.6) ---

  private send(): void {
    const vector = this.commandLow & LVT_VECTOR;
    const delivery = (this.commandLow >>> 8) & 7;
    if (delivery <= (Delivery.LowestPriority as number) && vector < 16) {
      this.error(ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    this.wiring.bus.send(this, {
      vector,
      delivery,
      logical: (this.commandLow & 0x800) !== 0,
      level: (this.commandLow & 0x4000) !== 0,
      shorthand: (this.commandLow >>> 18) & 3,
      destination: this.commandHigh >>> 24,
    });
  }

  /** True when the destination of a message names this APIC (12.6.2). */
  matches(destination: number, logical: boolean): boolean {
    if (destination === 0xff) return true;
    if (!logical) return destination === this.id;
    const own = this.logicalDestination >>> 24;
    const flat = this.destinationFormat >>> 28 === 0xf;
    return flat ? (own & destination) !== 0 : own >>> 4 === destination >>> 4 && (own & destination & 15) !== 0;
  }

  receive(message: ApicMessage): void {
    switch (message.delivery as Delivery) {
      case Delivery.Fixed:
      case Delivery.LowestPriority:
        if (this.spurious & SOFTWARE_ENABLE) this.accept(message.vector);
        return;
      case Delivery.Nmi:
        this.wiring.nmi();
        break;
      case Delivery.Init:
        // "INIT level de-assert" only synchronises arbitration IDs, on processors that have them.
        if (message.level) this.wiring.init();
        break;
      case Delivery.StartUp:
        this.wiring.startUp(message.vector);
        break;
      case Delivery.Smi:
      case Delivery.Reserved:
      case Delivery.ExtInt:
        return;
    }
    this.wiring.attention();
  }

  private error(bit: number): void {
    this.errors |= bit;
    const entry = this.lvt.get(ApicRegister.LvtError) ?? LVT_MASKED;
    const vector = entry & LVT_VECTOR;
    if (!(entry & LVT_MASKED) && vector >= 16) this.accept(vector);
  }

  // --- Life ---

  /** Power-up and INIT state (12.4.7.1) */
  reset(): void {
    this.accepted.reset();
    this.timer.reset();
    this.lvt.clear();
    for (let at: number = ApicRegister.LvtThermal; at <= (ApicRegister.LvtError as number); at += 16)
      this.lvt.set(at, LVT_MASKED);
    this.spurious = 0xff;
    this.logicalDestination = 0;
    this.destinationFormat = 0xffffffff;
    this.commandLow = this.commandHigh = 0;
    this.errors = this.latchedErrors = 0;
  }

  save(out: StateWriter): void {
    this.accepted.save(out);
    for (const value of this.lvt.values()) out.u32(value);
    out.u32(this.spurious);
    out.u32(this.logicalDestination);
    out.u32(this.destinationFormat);
    out.u32(this.commandLow);
    out.u32(this.commandHigh);
    out.u32(this.errors);
    out.u32(this.latchedErrors);
    this.timer.save(out);
  }

  restore(from: StateReader): void {
    this.accepted.restore(from);
    for (const at of this.lvt.keys()) this.lvt.set(at, from.u32());
    this.spurious = from.u32();
    this.logicalDestination = from.u32();
    this.destinationFormat = from.u32();
    this.commandLow = from.u32();
    this.commandHigh = from.u32();
    this.errors = from.u32();
    this.latchedErrors = from.u32();
    this.timer.restore(from);
  }
}
