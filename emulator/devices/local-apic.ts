import { PHYSICAL_ADDRESS_BITS } from '../arch/address-width';
import { apicOffsetOfMsr, x2ApicMsr } from '../arch/x2apic-msrs';
import type { InterruptSource, LocalApicAccess } from '../cpu/processor';
import { hostPhysical, type HostPhysicalAddress } from '../memory/address';
import type { MmioRange } from '../memory/bus';
import { AcceptedInterrupts } from './accepted-interrupts';
import type { ApicBus, ApicMessage } from './apic-bus';
import { ApicErrors } from './apic-errors';
import { ApicIdentity, ApicMode } from './apic-identity';
import {
  ApicRegister,
  Delivery,
  ESR_ILLEGAL_REGISTER,
  ESR_RECEIVE_ILLEGAL_VECTOR,
  ESR_SEND_ILLEGAL_VECTOR,
  LVT_VECTOR,
  SUPPRESS_EOI_BROADCAST,
} from './apic-registers';
import { ApicRegisterFile } from './apic-register-file';
import { ApicTimer } from './apic-timer';
import type { Device, StateReader, StateWriter } from './device';
import { InterprocessorCommand, selfIpi } from './interprocessor-command';
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
  private readonly command = new InterprocessorCommand();
  private readonly registers: ApicRegisterFile;
  /** An I/O APIC sent ExtINT: the 8259 has a vector to be acknowledged. */
  private externalRequested = false;

  constructor(private readonly wiring: LocalApicWiring) {
    this.timer = new ApicTimer(wiring.clock, wiring.tscBase);
    this.identity = new ApicIdentity(wiring.id);
    this.vectors = new LocalVectors({
      fixed: (vector, levelTriggered) => this.accept(vector, levelTriggered),
      event: (delivery) => this.signal(delivery, 0),
    });
    const { accepted, identity, vectors, errors, timer, command } = this;
    const parts = { accepted, identity, vectors, errors, timer, command };
    this.registers = new ApicRegisterFile(parts, {
      endOfInterrupt: () => this.endOfInterrupt(),
      sendCommand: () => this.send(this.command.message(this.mode === ApicMode.X2Apic)),
      sendToSelf: (vector) => this.send(selfIpi(vector)),
      illegalRegister: () => this.error(ESR_ILLEGAL_REGISTER),
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
    const value = BigInt(this.registers.read(at & ~15, this.mode)) >> BigInt((at & 15) * 8);
    return BigInt.asUintN(size * 8, value);
  }

  /** Only 32-bit stores at 16-byte boundaries are defined (11.4.1); others are lost. */
  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    if (size !== 4 || at & 15) return;
    this.registers.write(at, Number(value), this.mode);
    this.wiring.attention();
  }

  // --- Registers as MSRs 800H to 8FFH ---

  readMsr(index: number): bigint | undefined {
    const row = x2ApicMsr(index);
    if (this.mode !== ApicMode.X2Apic || !row || row.access === 'write-only') return undefined;
    const at = apicOffsetOfMsr(index);
    const value = BigInt(this.registers.read(at, ApicMode.X2Apic));
    return at === (ApicRegister.CommandLow as number) ? value | (BigInt(this.command.high) << 32n) : value;
  }

  /** False, with nothing changed: #GP. */
  writeMsr(index: number, value: bigint): boolean {
    const row = x2ApicMsr(index);
    if (this.mode !== ApicMode.X2Apic || !row || row.access === 'read-only' || value & ~row.writable) return false;
    const at = apicOffsetOfMsr(index);
    if (at === (ApicRegister.CommandLow as number)) this.command.setX2ApicDestination(Number(value >> 32n));
    this.registers.write(at, Number(value & 0xffffffffn), ApicMode.X2Apic);
    this.wiring.attention();
    return true;
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
    if (!this.externalWanted()) return this.registers.spurious & LVT_VECTOR;
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
    if (!(this.registers.spurious & SUPPRESS_EOI_BROADCAST)) this.wiring.bus.eoi(vector);
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

  /** @param message undefined: the vector is illegal */
  private send(message: ApicMessage | undefined): void {
    if (message) this.wiring.bus.send(this, message);
    else this.error(ESR_SEND_ILLEGAL_VECTOR);
  }

  /** True when the destination of a message names this APIC (11.6.2). */
  matches(destination: number, logical: boolean): boolean {
    return this.identity.matches(this.mode, destination, logical);
  }

  /** Fixed and lowest-priority interrupts are accepted only while software has enabled the APIC (11.4.7.2). */
  get acceptsFixed(): boolean {
    return this.registers.softwareEnabled && this.mode !== ApicMode.Disabled;
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
    this.command.reset();
    this.registers.reset();
    this.externalRequested = false;
  }

  save(out: StateWriter): void {
    this.accepted.save(out);
    this.identity.save(out);
    this.vectors.save(out);
    this.errors.save(out);
    this.command.save(out);
    out.u32(this.registers.spurious);
    out.u8(this.externalRequested ? 1 : 0);
    this.timer.save(out);
  }

  restore(from: StateReader): void {
    this.accepted.restore(from);
    this.identity.restore(from);
    this.vectors.restore(from);
    this.errors.restore(from);
    this.command.restore(from);
    this.registers.spurious = from.u32();
    this.externalRequested = from.u8() !== 0;
    this.timer.restore(from);
  }
}
