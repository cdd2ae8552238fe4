import { Activity } from '../arch/activity';
import { SaferMode } from '../arch/safer-mode';
import { Segment, State } from '../memory/layout';
import { PendingEvent } from './boundary';
import type { Cpu } from './cpu';

/** In the sleep that GETSEC[SENTER] brings only WAKEUP is heard (SDM vol. 2D, GETSEC[WAKEUP]). */
const asleep = ({ state }: Cpu): boolean => (state.get32(State.SAFER_MODE) & SaferMode.ASLEEP) !== 0;

/** An INIT signal arrives. A SIPI that came before it is lost with the state that it would have started from. */
export function raiseInit(cpu: Cpu): void {
  if (asleep(cpu)) return;
  cpu.clearPending(PendingEvent.SIPI);
  cpu.raisePending(PendingEvent.INIT);
}

/**
 * A start-up IPI arrives. It is remembered only by a processor that waits for one, or that will as soon as it takes the
 * INIT that came before (SDM vol. 3, 9.4.3, and 26.2, "Start-up IPIs"); the second SIPI of the usual sequence is lost.
 */
export function raiseStartUp(cpu: Cpu, vector: number): void {
  const { state, virtualization } = cpu;
  if (asleep(cpu)) return;
  const pending = state.get32(State.PENDING_EVENTS);
  const waits = state.get32(State.ACTIVITY) === Activity.WAIT_FOR_SIPI;
  const willWait = (pending & PendingEvent.INIT) !== 0 && !virtualization.blocksInit;
  if (pending & PendingEvent.SIPI || !(waits || willWait)) return;
  state.set32(State.SIPI_VECTOR, vector);
  cpu.raisePending(PendingEvent.SIPI);
}

/** The vector of the pending SIPI, which is pending no longer. */
export function takeStartUp(cpu: Cpu): number {
  cpu.clearPending(PendingEvent.SIPI);
  return cpu.state.get32(State.SIPI_VECTOR);
}

/** The processor leaves the wait-for-SIPI state at the start of the page that the vector names (SDM vol. 3, 9.4.4). */
export function startUp(cpu: Cpu, vector: number): void {
  const { state } = cpu;
  const code = state.segment(Segment.CS);
  state.setSegment(Segment.CS, { ...code, selector: vector << 8, base: BigInt(vector << 12) });
  state.rip = 0n;
  cpu.wake();
  cpu.contextChanged();
}
