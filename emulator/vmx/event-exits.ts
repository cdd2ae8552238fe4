import { Exit, Pin, Primary } from '../arch/controls';
import { Vector } from '../arch/exceptions';
import { ExitReason } from '../arch/exit-reasons';
import { InterruptionInformation, interruptionInformation, InterruptionType } from '../arch/interruption';
import { Boundary } from '../cpu/processor';
import { State } from '../memory/layout';
import { savedResumeFlag, type VmxCore } from './core';
import { Slot } from './vmcs';

const PENDING_NMI = 1;
const PENDING_INIT = 2;
const PENDING_SIPI = 4;
const PENDING_MTF = 8;
const INTERRUPTIBILITY_NMI = 8;
const WAIT_FOR_SIPI = 3;

/**
 * Exceptions (SDM vol. 3, 26.2 and 25.6.3): bit of the exception bitmap; for page faults its meaning is inverted when
 * the masked error code does not match.
 * @returns true when the exception exits; `core.exit` is filled
 */
export function exceptionExit(
  core: VmxCore,
  vector: number,
  errorCode: number | undefined,
  payload: bigint,
  type: number,
  instructionLength: number,
): boolean {
  if (!exceptionIntercepted(core, vector, errorCode ?? 0)) return false;
  // A double fault that exits directly does not count as occurring during delivery of the first event (28.2.4).
  if (vector === Vector.DF) core.delivery.active = false;
  const exit = core.exit.reset(ExitReason.EXCEPTION_OR_NMI);
  if (vector === Vector.PF || vector === Vector.DB) exit.qualification = payload;
  // Undefined for #DF and with IDT-vectoring information (28.2.2); here 0.
  const unblocking = core.unblockedByIret && vector !== Vector.DF;
  exit.interruptionInformation =
    interruptionInformation(vector, type, errorCode !== undefined) +
    (unblocking ? InterruptionInformation.NMI_UNBLOCKING_DUE_TO_IRET : 0);
  exit.interruptionErrorCode = errorCode ?? 0;
  exit.instructionLength = instructionLength;
  exit.resumeFlag = savedResumeFlag(type, vector);
  return true;
}

function exceptionIntercepted(core: VmxCore, vector: number, errorCode: number): boolean {
  const { vmcs } = core;
  const bit = (vmcs.get32(Slot.EXCEPTION_BITMAP) >>> vector) & 1;
  if (vector !== Vector.PF) return bit === 1;
  const mask = vmcs.get32(Slot.PAGE_FAULT_ERROR_CODE_MASK);
  const matches = (errorCode & mask) >>> 0 === vmcs.get32(Slot.PAGE_FAULT_ERROR_CODE_MATCH);
  return matches === (bit === 1);
}

/** One point of an instruction boundary (SDM vol. 3, 26.2). @returns true when it exits; `core.exit` is filled */
export function boundaryExit(core: VmxCore, point: Boundary): boolean {
  const { vmcs } = core;
  const { state } = core.cpu;
  const pin = vmcs.get32(Slot.PIN_BASED_CONTROLS);
  const primary = vmcs.get32(Slot.PRIMARY_PROCESSOR_CONTROLS);
  const activity = state.get32(State.ACTIVITY);
  const blockedByNmi = (state.get32(State.INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI) !== 0;
  switch (point) {
    case Boundary.VirtualApic:
      return false; // apic-virtualization/ decides.
    case Boundary.Init:
      if (activity === WAIT_FOR_SIPI) return false;
      acceptEvent(core, PENDING_INIT);
      core.exit.reset(ExitReason.INIT_SIGNAL);
      return true;
    case Boundary.Sipi:
      acceptEvent(core, PENDING_SIPI);
      if (activity !== WAIT_FOR_SIPI) return false;
      core.exit.reset(ExitReason.SIPI, BigInt(state.get32(State.SIPI_VECTOR) & 0xff));
      return true;
    case Boundary.MonitorTrap:
      acceptEvent(core, PENDING_MTF);
      core.exit.reset(ExitReason.MONITOR_TRAP_FLAG);
      return true;
    case Boundary.PreemptionTimer:
      if (!(pin & Pin.ACTIVATE_PREEMPTION_TIMER) || activity === WAIT_FOR_SIPI) return false;
      core.exit.reset(ExitReason.PREEMPTION_TIMER);
      return true;
    case Boundary.NmiWindow:
      if (!(primary & Primary.NMI_WINDOW_EXITING) || blockedByNmi || activity === WAIT_FOR_SIPI) return false;
      core.exit.reset(ExitReason.NMI_WINDOW);
      return true;
    case Boundary.Nmi:
      // Without virtual NMIs bit 3 blocks NMIs themselves; with them, nothing does.
      if (!(pin & Pin.NMI_EXITING) || (!(pin & Pin.VIRTUAL_NMIS) && blockedByNmi)) return false;
      acceptEvent(core, PENDING_NMI);
      core.exit.reset(ExitReason.EXCEPTION_OR_NMI);
      core.exit.interruptionInformation = interruptionInformation(Vector.NMI, InterruptionType.NMI, false);
      return true;
    case Boundary.InterruptWindow:
      if (!(primary & Primary.INTERRUPT_WINDOW_EXITING)) return false;
      core.exit.reset(ExitReason.INTERRUPT_WINDOW);
      return true;
    case Boundary.ExternalInterrupt:
      return externalInterrupt(core, pin);
  }
}

/** With "acknowledge interrupt on exit" the vector is taken and recorded, otherwise it stays pending (28.2.2). */
function externalInterrupt(core: VmxCore, pin: number): boolean {
  if (!(pin & Pin.EXTERNAL_INTERRUPT_EXITING)) return false;
  const exit = core.exit.reset(ExitReason.EXTERNAL_INTERRUPT);
  if (core.vmcs.get32(Slot.EXIT_CONTROLS) & Exit.ACKNOWLEDGE_INTERRUPT) {
    const vector = core.cpu.interrupts.acknowledge();
    exit.interruptionInformation = interruptionInformation(vector, InterruptionType.EXTERNAL_INTERRUPT, false);
  }
  return true;
}

function acceptEvent(core: VmxCore, bit: number): void {
  const { state } = core.cpu;
  state.set32(State.PENDING_EVENTS, state.get32(State.PENDING_EVENTS) & ~bit);
}
