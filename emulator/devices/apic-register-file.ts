import type { AcceptedInterrupts } from './accepted-interrupts';
import type { ApicErrors } from './apic-errors';
import { ApicMode, type ApicIdentity } from './apic-identity';
import {
  APIC_VERSION,
  ApicRegister,
  LVT_MASKED,
  LVT_WRITABLE,
  SOFTWARE_ENABLE,
  SPURIOUS_WRITABLE,
} from './apic-registers';
import type { ApicTimer } from './apic-timer';
import type { InterprocessorCommand } from './interprocessor-command';
import type { LocalVectors } from './local-vectors';

/** What the registers show and change. */
export interface ApicParts {
  readonly accepted: AcceptedInterrupts;
  readonly identity: ApicIdentity;
  readonly vectors: LocalVectors;
  readonly errors: ApicErrors;
  readonly timer: ApicTimer;
  readonly command: InterprocessorCommand;
}

/** Writes with consequences beyond the parts */
export interface ApicActions {
  endOfInterrupt(): void;
  sendCommand(): void;
  sendToSelf(vector: number): void;
  /** An access to a register that is not there */
  illegalRegister(): void;
}

/** The registers of a local APIC by their offset in the page (SDM vol. 3, 11.4.1), for both ways to reach them. */
export class ApicRegisterFile {
  /** Spurious-interrupt vector register */
  spurious = 0xff;

  constructor(
    private readonly parts: ApicParts,
    private readonly actions: ApicActions,
  ) {}

  get softwareEnabled(): boolean {
    return (this.spurious & SOFTWARE_ENABLE) !== 0;
  }

  read(at: number, mode: ApicMode): number {
    const { accepted, identity, vectors, errors, timer, command } = this.parts;
    if (at >= (ApicRegister.InService as number) && at < (ApicRegister.ErrorStatus as number)) return this.readSet(at);
    switch (at as ApicRegister) {
      case ApicRegister.Id:
        return identity.register(mode);
      case ApicRegister.Version:
        return APIC_VERSION;
      case ApicRegister.TaskPriority:
        return accepted.taskPriority;
      case ApicRegister.ProcessorPriority:
        return accepted.processorPriority;
      case ApicRegister.ArbitrationPriority:
      case ApicRegister.RemoteRead:
      case ApicRegister.EndOfInterrupt:
        return 0;
      case ApicRegister.LogicalDestination:
        return identity.logicalDestination(mode);
      case ApicRegister.DestinationFormat:
        return identity.destinationFormat;
      case ApicRegister.SpuriousVector:
        return this.spurious;
      case ApicRegister.ErrorStatus:
        return errors.value;
      case ApicRegister.CommandLow:
        return command.low;
      case ApicRegister.CommandHigh:
        return command.high;
      case ApicRegister.LvtTimer:
        return timer.lvt;
      case ApicRegister.InitialCount:
        return timer.initialCount;
      case ApicRegister.CurrentCount:
        return timer.currentCount();
      case ApicRegister.DivideConfiguration:
        return timer.getDivide();
      default:
        if (vectors.has(at)) return vectors.get(at);
        this.actions.illegalRegister();
        return 0;
    }
  }

  write(at: number, value: number, mode: ApicMode): void {
    const { accepted, identity, errors, timer, command } = this.parts;
    switch (at as ApicRegister) {
      case ApicRegister.TaskPriority:
        accepted.taskPriority = value & 0xff;
        return;
      case ApicRegister.EndOfInterrupt:
        this.actions.endOfInterrupt();
        return;
      case ApicRegister.LogicalDestination:
        identity.setLogicalDestination(value);
        return;
      case ApicRegister.DestinationFormat:
        identity.destinationFormat = value;
        return;
      case ApicRegister.SpuriousVector:
        this.spurious = value & SPURIOUS_WRITABLE;
        if (!this.softwareEnabled) this.maskAll();
        return;
      case ApicRegister.ErrorStatus:
        errors.latch();
        return;
      case ApicRegister.CommandLow:
        command.low = value;
        this.actions.sendCommand();
        return;
      case ApicRegister.CommandHigh:
        command.setXApicDestination(value);
        return;
      case ApicRegister.LvtTimer:
        timer.setLvt(this.lvtValue(value) & (LVT_WRITABLE[at] ?? 0));
        return;
      case ApicRegister.InitialCount:
        timer.setInitialCount(value);
        return;
      case ApicRegister.DivideConfiguration:
        timer.setDivide(value);
        return;
      case ApicRegister.Id:
      case ApicRegister.Version:
      case ApicRegister.ProcessorPriority:
      case ApicRegister.ArbitrationPriority:
      case ApicRegister.RemoteRead:
      case ApicRegister.CurrentCount:
        return; // Read-only here
      default:
        this.writeOther(at, value, mode);
    }
  }

  reset(): void {
    this.spurious = 0xff;
  }

  private readSet(at: number): number {
    const { inService, levelTriggered, requests } = this.parts.accepted;
    const set =
      at < (ApicRegister.TriggerMode as number)
        ? inService
        : at < (ApicRegister.InterruptRequest as number)
          ? levelTriggered
          : requests;
    return set.word((at >>> 4) & 7);
  }

  private writeOther(at: number, value: number, mode: ApicMode): void {
    const { vectors } = this.parts;
    const readOnlySet = at >= (ApicRegister.InService as number) && at < (ApicRegister.ErrorStatus as number);
    if (vectors.has(at)) vectors.set(at, this.lvtValue(value));
    else if (at === (ApicRegister.SelfIpi as number) && mode === ApicMode.X2Apic) this.actions.sendToSelf(value & 0xff);
    else if (!readOnlySet) this.actions.illegalRegister();
  }

  /** While the APIC is disabled by software, mask bits stay set (11.4.7.2). */
  private lvtValue(value: number): number {
    return this.softwareEnabled ? value : value | LVT_MASKED;
  }

  private maskAll(): void {
    const { timer, vectors } = this.parts;
    timer.setLvt(timer.lvt | LVT_MASKED);
    vectors.maskAll();
  }
}
