import { Activity } from '../arch/activity';
import type { Cpu } from '../cpu/cpu';
import { State } from '../memory/layout';
import type { Processors } from './processors';

/** Instructions of a turn when the configuration does not say */
export const DEFAULT_QUANTUM = 10_000;

/**
 * Whose turn it is among several vCPUs. Each has a clock of its own: instructions retired and ticks slept. The turn goes
 * to the one whose clock is lowest, the first of equals, for at most a quantum. One that sleeps would act next when
 * its timer, or one of the board's, is due; its clock jumps there when that is the earliest thing to happen. So the order
 * follows from the machine's state alone: not from how the caller slices its running, and not from any real clock.
 */
export class Scheduler {
  /** This vCPU may sleep, but has not looked since something could have arrived for it: it is to look first. */
  private called: boolean[];

  constructor(
    private readonly processors: Processors,
    private readonly quantum: number,
  ) {
    this.called = processors.states.map(() => false);
  }

  /** The machine was powered up: the first turn is that of the vCPU which runs. */
  start(): void {
    const { count, current } = this.processors;
    if (count > 1) giveTurn(current, current.clock + this.quantum);
  }

  /** The running vCPU has had its turn. */
  get over(): boolean {
    const { current } = this.processors;
    return current.clock >= current.turnEnd;
  }

  /** An interrupt has arrived for a vCPU. One that sleeps wakes at the sender's clock, unless its timer wakes it before. */
  attention(vcpu: number): void {
    const { processors } = this;
    if (vcpu === processors.running || processors.count === 1) return;
    const cpu = processors.cpu(vcpu);
    if (isActive(cpu)) return;
    const { clock } = processors.current;
    cpu.idleUntil(Math.min(clock, Math.max(cpu.wakeDeadline, cpu.clock)));
    this.called[vcpu] = true;
  }

  /**
   * Ends the turn and gives the next one away: a transition of the vCPU whose turn ends.
   * @param asleep the vCPU whose turn ends has looked, and there is nothing for it to do
   * @returns false when nothing can happen any more: all sleep, and nothing is due to wake one
   */
  next(asleep: boolean): boolean {
    const { processors } = this;
    if (processors.count === 1) return false;
    // Its last instruction may have been HLT, with an interrupt waiting already.
    this.called[processors.running] = !asleep;
    let chosen: Cpu | undefined;
    let earliest = Infinity;
    for (const cpu of processors.cpus) {
      const clock = this.nextAction(cpu);
      if (clock >= earliest) continue;
      earliest = clock;
      chosen = cpu;
    }
    if (!chosen) return false;
    processors.current.countEvent();
    processors.current.state.set64(State.TURN_END, 0n);
    processors.switchTo(chosen.index);
    this.called[chosen.index] = false;
    chosen.idleUntil(earliest);
    giveTurn(chosen, chosen.clock + this.quantum);
    return true;
  }

  keep(): readonly boolean[] {
    return this.called.slice();
  }

  takeBack(kept: readonly boolean[]): void {
    this.called = kept.slice();
  }

  /** Clock at which a vCPU would do something if nobody else did. */
  private nextAction(cpu: Cpu): number {
    const { clock } = cpu;
    if (isActive(cpu) || this.called[cpu.index]) return clock;
    return Math.max(clock, cpu.wakeDeadline);
  }
}

/** The state block keeps what the processor goes by, as part of the machine's state. */
function giveTurn(cpu: Cpu, end: number): void {
  cpu.turnEnd = end;
  cpu.state.set64(State.TURN_END, BigInt(end));
}

const isActive = ({ state }: Cpu): boolean => state.get32(State.ACTIVITY) === Activity.ACTIVE;
