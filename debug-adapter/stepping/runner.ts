import type { Outcome } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import { linearRip } from '../stack/layers';
import { defer } from '../session/defer';
import { Driver, type UserStops } from './driver';
import type { Arrival, Done, Go, Verb } from './verb';

export type { UserStops } from './driver';

export interface RunnerListener {
  stopped(done: Done, vcpu: number): void;
  ended(outcome: Outcome): void;
  /** Between slices, while running */
  progress(): void;
  /** A fault of ours while running: the machine is stopped where it is */
  failed(error: unknown): void;
}

/** How long the machine runs before the event loop gets its turn. */
const SLICE_MS = 12;
const FIRST_CHUNK = 20_000;
const LARGEST_CHUNK = 1_000_000;

/**
 * Drives the machine for one verb at a time, in slices, so that requests are served while it runs. Everything that
 * can stop it comes together here: the verb itself, what the user stops at, pause, the machine's end.
 */
export class Runner {
  readonly driver: Driver;
  private verb: Verb | undefined;
  private vcpu: number | undefined;
  private chunk = FIRST_CHUNK;
  /** The vCPU that a pause is to show */
  private pauseWanted: number | undefined;
  private outcome: Outcome | undefined;

  constructor(
    private readonly debuggee: Debuggee,
    private readonly user: UserStops,
    private readonly listener: RunnerListener,
  ) {
    this.driver = new Driver(debuggee, user);
  }

  get running(): boolean {
    return this.verb !== undefined;
  }

  /** Set when the machine cannot go on */
  get ended(): Outcome | undefined {
    return this.outcome;
  }

  /** The machine has gone to another moment: whether it ended is seen when it goes on. */
  moved(): void {
    this.outcome = undefined;
  }

  /** Starts a verb, of one vCPU or of all. The machine must be stopped. */
  start(verb: Verb, vcpu?: number): void {
    if (this.verb) throw new Error('the machine runs already');
    this.verb = verb;
    this.vcpu = vcpu;
    this.pauseWanted = undefined;
    this.driver.begin(vcpu);
    defer(() => {
      if (this.outcome) this.finish(() => this.listener.ended(this.outcome as Outcome));
      else this.guarded(() => this.take(verb.next()) && this.slice());
    });
  }

  /** Asks for a stop; answered by `stopped` with reason 'pause' after the current slice. */
  pause(vcpu: number): void {
    if (this.verb) this.pauseWanted = vcpu;
  }

  /** Something beside the machine asks for a stop, while it runs. */
  stopBy(done: Done): void {
    this.driver.stopFor(done);
  }

  /** Drops the verb without a stop; for disconnect and restart. */
  abandon(): void {
    this.verb = undefined;
  }

  /** Breakpoints changed while running */
  refreshStops(): void {
    this.driver.refreshStops();
  }

  /** Runs until the verb is done or the time is up; then the event loop gets its turn. */
  private slice(): void {
    const end = clock() + SLICE_MS;
    while (this.verb) {
      const arrival = this.advance();
      if (!this.verb || (arrival && !this.take(this.verb.next(arrival)))) return;
      if (this.pauseWanted !== undefined) this.stop({ reason: 'pause' }, this.pauseWanted);
      else if (clock() >= end) {
        this.listener.progress();
        defer(() => this.guarded(() => this.slice()));
        return;
      }
    }
  }

  /** What the verb says next: true = how to go on, false = it is done and the machine has stopped. */
  private take(next: IteratorResult<Go, Done>): boolean {
    if (next.done) {
      this.stop(next.value, this.vcpu ?? this.debuggee.machine.runningVcpu);
      return false;
    }
    this.driver.take(next.value);
    return true;
  }

  /** One call of the machine. What of it concerns the verb is returned; the rest is dealt with here. */
  private advance(): Arrival | undefined {
    const { machine } = this.debuggee;
    const before = machine.instructions;
    const began = clock();
    const advance = this.driver.advance(this.chunk);
    this.adapt(clock() - began, machine.instructions - before);
    switch (advance.why) {
      case 'ended':
        this.outcome = advance.outcome;
        this.finish(() => this.listener.ended(advance.outcome));
        return undefined;
      case 'stop':
        this.stop(advance.done, advance.vcpu);
        return undefined;
      case 'arrival':
        return advance.arrival;
      case 'on':
        return undefined;
    }
  }

  private stop(done: Done, vcpu: number): void {
    // A step that ends at a breakpoint hits it: counted now, as it will be stepped over when execution goes on.
    const stop = (done.reason === 'step' ? this.breakpointHere(vcpu) : undefined) ?? done;
    this.finish(() => {
      this.debuggee.focus = vcpu;
      this.debuggee.settle(vcpu);
      this.listener.stopped(stop, vcpu);
    });
  }

  private breakpointHere(vcpu: number): Done | undefined {
    const context = this.debuggee.running(vcpu);
    const linear = linearRip(context);
    if (!this.user.addresses().has(linear) || this.debuggee.isSettled(vcpu)) return undefined;
    return this.user.decide(context, linear, false);
  }

  private finish(tell: () => void): void {
    this.verb = undefined;
    this.driver.end();
    this.debuggee.flushSerial();
    tell();
  }

  /** Large enough that a call costs nothing beside its work, small enough that a slice ends in time. */
  private adapt(ms: number, instructions: number): void {
    if (instructions < this.chunk) return;
    if (ms < SLICE_MS / 4) this.chunk = Math.min(this.chunk * 2, LARGEST_CHUNK);
    else if (ms > SLICE_MS / 2) this.chunk = Math.max(this.chunk >> 1, FIRST_CHUNK >> 4);
  }

  private guarded(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.finish(() => this.listener.failed(error));
    }
  }
}

const clock = (): number => performance.now();
