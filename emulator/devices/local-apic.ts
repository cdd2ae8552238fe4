import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { apicOffsetOfMsr, x2ApicMsr } from '../arch/x2apic-msrs';
import type { InterruptSource, LocalApicAccess } from '../cpu/processor';
import { hostPhysical, type HostPhysicalAddress } from '../memory/address';
import type { MmioRange } from '../memory/bus';
import { AcceptedInterrupts } from './accepted-interrupts';
import { BROADCAST, type ApicBus, type ApicMessage } from './apic-bus';
import { ApicErrors } from './apic-errors';
import { ApicIdentity, ApicMode } from './apic-identity';
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
  Shorthand,
  SOFTWARE_ENABLE,
  SPURIOUS_WRITABLE,
  SUPPRESS_EOI_BROADCAST,
} from './apic-registers';
import { ApicTimer } from './apic-timer';
import type { Device, StateReader, StateWriter } from './device';
import { LocalVectors, type LocalPin } from './local-vectors';

const BASE_X2APIC = 0x400n;
const BASE_ENABLE = 0x800n;
const BASE_ADDRESS = (1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 0x1000n;
const FIRST_VECTOR = 16;
/** The 8259's vector is known only after its acknowledge cycle; this is none. */
const SOME_VECTOR = 0x100;

/** What the local APIC needs from its processor and the board. */
export interface LocalApicWiring {
  /** x2APIC ID, whose low 8 bits are the xAPIC ID */
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

/**
 * A local APIC (SDM vol. 3, chapter 11). In xAPIC mode its registers are memory, in x2APIC mode MSRs; IA32_APIC_BASE, which
 * the processor keeps, selects the mode. SMIs are lost: there is no system-management mode.
 */
export class LocalApic implements MmioRange, InterruptSource, LocalApicAccess, Device {
  readonly name = 'local APIC';
  readonly timer: ApicTimer;
  private readonly accepted = new AcceptedInterrupts();
  private readonly identity: ApicIdentity;
  private readonly vectors: LocalVectors;
  private readonly errors = new ApicErrors();
  private spurious = 0xff;
  private commandLow = 0;
  private commandHigh = 0;
  /** An I/O APIC sent ExtINT: the 8259 has a vector to be acknowledged. */
  private externalRequested = false;

  constructor(private readonly wiring: LocalApicWiring) {
    this.timer = new ApicTimer(wiring.clock, wiring.tscBase);
    this.identity = new ApicIdentity(wiring.id);
    this.vectors = new LocalVectors({
      fixed: (vector, levelTriggered) => this.accept(vector, levelTriggered),
      event: (delivery) => this.signal(delivery, 0),
    });
    this.reset();
    wiring.bus.attach(this);
  }

  get localApic(): LocalApicAccess {
    return this;
  }

  get id(): number {
    return this.identity.id;
  }

  get base(): HostPhysicalAddress {
    return hostPhysical(this.wiring.apicBase() & BASE_ADDRESS);
  }

  /** Only an xAPIC answers on the bus. */
  get size(): bigint {
    return this.mode === ApicMode.XApic ? 0x1000n : 0n;
  }

  get mode(): ApicMode {
    const base = this.wiring.apicBase();
    if ((base & BASE_ENABLE) === 0n) return ApicMode.Disabled;
    return base & BASE_X2APIC ? ApicMode.X2Apic : ApicMode.XApic;
  }

  /** IA32_APIC_BASE was written. Disabled, the APIC forgets everything (11.4.3); from xAPIC to x2APIC it keeps its state. */
  baseChanged(): void {
    if (this.mode === ApicMode.Disabled) this.reset();
    this.wiring.attention();
  }

  // --- Registers as memory ---

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    const value = BigInt(this.readRegister(at & ~15)) >> BigInt((at & 15) * 8);
    return BigInt.asUintN(size * 8, value);
  }

  /** Only 32-bit stores at 16-byte boundaries are defined (11.4.1); others are lost. */
  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    if (size !== 4 || at & 15) return;
    this.writeRegister(at, Number(value));
    this.wiring.attention();
  }

  // --- Registers as MSRs 800H to 8FFH ---

  readMsr(index: number): bigint | undefined {
    const row = x2ApicMsr(index);
    if (this.mode !== ApicMode.X2Apic || !row || row.access === 'write-only') return undefined;
    const at = apicOffsetOfMsr(index);
    const value = BigInt(this.readRegister(at));
    return at === (ApicRegister.CommandLow as number) ? value | (BigInt(this.commandHigh) << 32n) : value;
  }

  /** False, with nothing changed: #GP. */
  writeMsr(index: number, value: bigint): boolean {
    const row = x2ApicMsr(index);
    if (this.mode !== ApicMode.X2Apic || !row || row.access === 'read-only' || value & ~row.writable) return false;
    const at = apicOffsetOfMsr(index);
    if (at === (ApicRegister.CommandLow as number)) this.commandHigh = Number(value >> 32n);
    this.writeRegister(at, Number(value & 0xffffffffn));
    this.wiring.attention();
    return true;
  }

  private readRegister(at: number): number {
    if (at >= (ApicRegister.InService as number) && at < (ApicRegister.ErrorStatus as number)) {
      const { inService, levelTriggered, requests } = this.accepted;
      const set =
        at < (ApicRegister.TriggerMode as number)
          ? inService
          : at < (ApicRegister.InterruptRequest as number)
            ? levelTriggered
            : requests;
      return set.word((at >>> 4) & 7);
    }
    switch (at as ApicRegister) {
      case ApicRegister.Id:
        return this.identity.register(this.mode);
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
        return this.identity.logicalDestination(this.mode);
      case ApicRegister.DestinationFormat:
        return this.identity.destinationFormat;
      case ApicRegister.SpuriousVector:
        return this.spurious;
      case ApicRegister.ErrorStatus:
        return this.errors.value;
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
      default:
        if (this.vectors.has(at)) return this.vectors.get(at);
        this.error(ESR_ILLEGAL_REGISTER);
        return 0;
    }
  }

  private writeRegister(at: number, value: number): void {
    switch (at as ApicRegister) {
      case ApicRegister.TaskPriority:
        this.accepted.taskPriority = value & 0xff;
        return;
      case ApicRegister.EndOfInterrupt:
        this.endOfInterrupt();
        return;
      case ApicRegister.LogicalDestination:
        this.identity.setLogicalDestination(value);
        return;
      case ApicRegister.DestinationFormat:
        this.identity.destinationFormat = value;
        return;
      case ApicRegister.SpuriousVector:
        this.spurious = value & SPURIOUS_WRITABLE;
        if (!(value & SOFTWARE_ENABLE)) this.maskAll();
        return;
      case ApicRegister.ErrorStatus:
        this.errors.latch();
        return;
      case ApicRegister.CommandLow:
        this.commandLow = value & 0xccfff;
        this.sendCommand();
        return;
      case ApicRegister.CommandHigh:
        this.commandHigh = (value & 0xff000000) >>> 0;
        return;
      case ApicRegister.LvtTimer:
        this.timer.setLvt(this.lvtValue(value) & (LVT_WRITABLE[at] ?? 0));
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
        return; // Read-only here
      default:
        if (this.vectors.has(at)) this.vectors.set(at, this.lvtValue(value));
        else if (at === (ApicRegister.SelfIpi as number) && this.mode === ApicMode.X2Apic)
          this.sendToSelf(value & 0xff);
        else if (at < (ApicRegister.InService as number) || at >= (ApicRegister.ErrorStatus as number))
          this.error(ESR_ILLEGAL_REGISTER);
    }
  }

  /** While the APIC is disabled by software, mask bits stay set (11.4.7.2). */
  private lvtValue(value: number): number {
    return this.spurious & SOFTWARE_ENABLE ? value : value | LVT_MASKED;
  }

  private maskAll(): void {
    this.timer.setLvt(this.timer.lvt | LVT_MASKED);
    this.vectors.maskAll();
  }

  // --- Acceptance and delivery (11.8) ---

  /** A fixed interrupt arrives. */
  accept(vector: number, levelTriggered = false): void {
    if (vector < FIRST_VECTOR) {
      this.error(ESR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.accepted.accept(vector, levelTriggered);
    this.wiring.attention();
  }

  pendingVector(): number {
    if (this.accepted.deliverable >= 0 && this.mode !== ApicMode.Disabled) return this.accepted.deliverable;
    return this.externalWanted() ? SOME_VECTOR : -1;
  }

  acknowledge(): number {
    if (this.accepted.deliverable >= 0 && this.mode !== ApicMode.Disabled) return this.accepted.acknowledge();
    if (!this.externalWanted()) return this.spurious & LVT_VECTOR;
    this.externalRequested = false;
    return this.wiring.externalAcknowledge();
  }

  /** INTR of the 8259 reaches the processor by LINT0 or an I/O APIC as ExtINT, or directly when the APIC is off. */
  private externalWanted(): boolean {
    if (this.externalRequested) return true;
    return this.wiring.externalPending() && (this.vectors.passesExternal || this.mode === ApicMode.Disabled);
  }

  /** Write to the EOI register (11.8.5). */
  endOfInterrupt(): void {
    const vector = this.accepted.end();
    if (vector < 0 || !this.accepted.levelTriggered.has(vector)) return;
    this.vectors.end(vector);
    if (!(this.spurious & SUPPRESS_EOI_BROADCAST)) this.wiring.bus.eoi(vector);
  }

  get taskPriority(): number {
    return this.accepted.taskPriority >>> 4;
  }

  set taskPriority(value: number) {
    this.accepted.taskPriority = (value & 15) << 4;
  }

  /** A pin changes its voltage: LINT0 is the 8259's INTR, LINT1 the NMI wire. */
  setPin(pin: LocalPin, high: boolean): void {
    if (this.mode !== ApicMode.Disabled) this.vectors.setPin(pin, high);
    else if (pin === 1 && high) this.signal(Delivery.Nmi, 0);
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

  // --- Interprocessor interrupts (11.6) ---

  private sendCommand(): void {
    const vector = this.commandLow & LVT_VECTOR;
    const delivery = (this.commandLow >>> 8) & 7;
    if (delivery <= (Delivery.LowestPriority as number) && vector < FIRST_VECTOR) {
      this.error(ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    const logical = (this.commandLow & 0x800) !== 0;
    const x2apic = this.mode === ApicMode.X2Apic;
    const destination = x2apic ? this.commandHigh : this.commandHigh >>> 24;
    this.wiring.bus.send(this, {
      vector,
      delivery,
      logical,
      // Level and trigger mode mean something only for "INIT level de-assert": every IPI is edge-triggered (11.6.1).
      assert: (this.commandLow & 0xc000) !== 0x8000,
      levelTriggered: false,
      shorthand: (this.commandLow >>> 18) & 3,
      destination: !x2apic && !logical && destination === 0xff ? BROADCAST : destination,
    });
  }

  /** SELF IPI (11.12.11): as a fixed, edge-triggered IPI with the shorthand "self" */
  private sendToSelf(vector: number): void {
    if (vector < FIRST_VECTOR) {
      this.error(ESR_SEND_ILLEGAL_VECTOR);
      return;
    }
    this.wiring.bus.send(this, {
      vector, delivery: Delivery.Fixed, logical: false, assert: true, levelTriggered: false, shorthand: Shorthand.Self, destination: 0,
    }); // prettier-ignore
  }

  /** True when the destination of a message names this APIC (11.6.2). */
  matches(destination: number, logical: boolean): boolean {
    return this.identity.matches(this.mode, destination, logical);
  }

  /** Fixed and lowest-priority interrupts are accepted only while software has enabled the APIC (11.4.7.2). */
  get acceptsFixed(): boolean {
    return (this.spurious & SOFTWARE_ENABLE) !== 0 && this.mode !== ApicMode.Disabled;
  }

  get arbitrationPriority(): number {
    return this.accepted.arbitrationPriority;
  }

  /** @returns whether it was taken */
  receive(message: ApicMessage): boolean {
    const delivery: Delivery = message.delivery;
    if (!message.assert || this.mode === ApicMode.Disabled) return false;
    if (delivery === Delivery.Fixed || delivery === Delivery.LowestPriority) {
      if (!this.acceptsFixed) return false;
      this.accept(message.vector, message.levelTriggered);
      return true;
    }
    return this.signal(delivery, message.vector);
  }

  /** Everything but fixed interrupts goes past IRR and ISR to the processor. @returns whether it was taken */
  private signal(delivery: Delivery, vector: number): boolean {
    switch (delivery) {
      case Delivery.Nmi:
        this.wiring.nmi();
        break;
      case Delivery.Init:
        this.wiring.init();
        break;
      case Delivery.StartUp:
        this.wiring.startUp(vector);
        break;
      case Delivery.ExtInt:
        this.externalRequested = true;
        break;
      default:
        return false;
    }
    this.wiring.attention();
    return true;
  }

  private error(bit: number): void {
    if (!this.errors.record(bit)) return;
    this.vectors.raise(ApicRegister.LvtError);
  }

  // --- Life ---

  /** INIT of the processor: as after power-up, but for the ID and the mode (11.4.7.3, 11.12.5.1) */
  initialize(): void {
    this.reset();
  }

  /** Power-up state (11.4.7.1) */
  reset(): void {
    this.accepted.reset();
    this.timer.reset();
    this.identity.reset();
    this.vectors.reset();
    this.errors.reset();
    this.spurious = 0xff;
    this.commandLow = this.commandHigh = 0;
    this.externalRequested = false;
  }

  save(out: StateWriter): void {
    this.accepted.save(out);
    this.identity.save(out);
    this.vectors.save(out);
    this.errors.save(out);
    out.u32(this.spurious);
    out.u32(this.commandLow);
    out.u32(this.commandHigh);
    out.u8(this.externalRequested ? 1 : 0);
    this.timer.save(out);
  }

  restore(from: StateReader): void {
    this.accepted.restore(from);
    this.identity.restore(from);
    this.vectors.restore(from);
    this.errors.restore(from);
    this.spurious = from.u32();
    this.commandLow = from.u32();
    this.commandHigh = from.u32();
    this.externalRequested = from.u8() !== 0;
    this.timer.restore(from);
  }
}
