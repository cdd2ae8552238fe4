import { Vector, vectorName } from '../arch/exceptions';
import { InterruptionType } from '../arch/interruption';
import { linear as asLinear } from '../memory/address';
import { State } from '../memory/layout';
import { PendingEvent } from './boundary';
import type { Cpu } from './cpu';
import { deliverEvent } from './event-delivery';
import { combine, ExitTaken, type ProcessorFault } from './fault';
import { ExitKind } from './processor';

/** An event that is to be delivered. */
export interface EventRequest {
  readonly vector: number;
  /** VMCS interruption type */
  readonly type: number;
  readonly errorCode: number | undefined;
  /** #PF: the address for CR2; #DB: the bits for DR6 */
  readonly payload: bigint;
  /** Added to RIP for the return address: software events injected by VM entry */
  readonly length: number;
}

const DR6 = State.DR + 32;
const DR7 = State.DR + 40;
const DR7_GENERAL_DETECT = 0x2000n;
const DEBUGCTL_LBR = 1n;

export const hardwareException = (vector: number, errorCode: number | undefined, payload: bigint): EventRequest => ({
  vector,
  type: InterruptionType.HARDWARE_EXCEPTION,
  errorCode,
  payload,
  length: 0,
});

const isException = ({ type }: EventRequest): boolean => type === Number(InterruptionType.HARDWARE_EXCEPTION);

/**
 * Delivers an event and, where that raises exceptions, those (SDM vol. 3, 6.15, "Interrupt 8"). In VMX non-root operation
 * each exception is first shown to the exception bitmap, also the second one before it combines to a double fault.
 * @param fault the processor's fault object, which delivery throws
 * @param injected VM-entry injection: no bitmap intercepts it, and CR2 and DR6 stay as they are
 * @returns the names of all events when they ended in a triple fault, else undefined
 */
export function deliverChain(
  cpu: Cpu,
  event: EventRequest,
  fault: ProcessorFault,
  injected: boolean,
): readonly string[] | undefined {
  if (!injected && exits(cpu, event)) return undefined;
  if (!injected) recordException(cpu.state, event);
  if (deliverOne(cpu, event, fault, injected)) return undefined;
  const history = [vectorName(event.vector)];
  for (let first = event; ;) {
    const second = hardwareException(fault.vector, fault.errorCode, fault.payload);
    history.push(vectorName(second.vector));
    if (exits(cpu, second)) return undefined;
    const outcome = combine(isException(first) ? first.vector : undefined, second.vector);
    if (outcome === 'triple') return history;
    if (outcome === 'double') {
      first = hardwareException(Vector.DF, 0, 0n);
      history.push(vectorName(Vector.DF));
      if (exits(cpu, first)) return undefined;
    } else first = second;
    recordException(cpu.state, first);
    if (deliverOne(cpu, first, fault, false)) return undefined;
  }
}

/** True when the event was delivered, or its delivery ended in a VM exit; false when it raised `fault`. */
function deliverOne(cpu: Cpu, event: EventRequest, fault: ProcessorFault, injected: boolean): boolean {
  const { state, virtualization, taps } = cpu;
  const { vector, type, errorCode, payload, length } = event;
  if (virtualization.nonRoot) virtualization.beginDelivery(vector, type, errorCode, length);
  try {
    cpu.nextRip = state.rip;
    deliverEvent(cpu, { vector, type, errorCode, payload, returnRip: state.rip + BigInt(length), injected });
  } catch (error) {
    if (error instanceof ExitTaken) return true;
    if (error === fault) return false;
    throw error;
  }
  state.rip = cpu.nextRip;
  virtualization.endDelivery();
  // A delivered event counts as the monitor trap flag's instruction (SDM vol. 3, 26.5.2).
  if (virtualization.monitorTrap) cpu.raisePending(PendingEvent.MONITOR_TRAP);
  if (isException(event)) taps.exception?.(vector, errorCode, asLinear(payload), cpu.index);
  return true;
}

function exits({ virtualization }: Cpu, event: EventRequest): boolean {
  if (!virtualization.nonRoot || !isException(event)) return false;
  const { vector, errorCode, payload, type } = event;
  return virtualization.exception(vector, errorCode, payload, type, 0) === ExitKind.Taken;
}

/** CR2 for #PF; DR6, DR7.GD and DEBUGCTL.LBR for #DB (SDM vol. 3, 17.2.3 and 17.4.4). */
function recordException(state: Cpu['state'], event: EventRequest): void {
  if (!isException(event)) return;
  if (event.vector === Vector.PF) state.cr2 = event.payload;
  if (event.vector !== Vector.DB) return;
  state.set64(DR6, state.get64(DR6) | event.payload);
  state.set64(DR7, state.get64(DR7) & ~DR7_GENERAL_DETECT);
  state.set64(State.DEBUGCTL, state.get64(State.DEBUGCTL) & ~DEBUGCTL_LBR);
}
