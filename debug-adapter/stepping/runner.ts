import type { Taps } from '../../emulator/cpu/taps';
import type { Context, Outcome } from '../../emulator/machine/api';
import type { Debuggee } from '../launch/debuggee';
import { linearRip } from '../stack/layers';
import { defer } from '../session/defer';
import type { Arrival, Done, EventKind, Go, Verb } from './verb';

/** What stops the machine besides a verb. */
export interface UserStops {
  /** Linear addresses of all user breakpoints */
  addresses(): ReadonlySet<bigint>;
  /** Whether one of them stops here, in this context: asked once for each arrival. Counts hits and logs. */
  decide(context: Context, linear: bigint): Done | undefined;
  /** Exception filters: what the taps saw. Undefined: run on */
  readonly taps: (stop: (done: Done) => void) => Taps;
}

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
 * can stop it comes together here: the verb itself, user breakpoints, exception filters, pause, the machine's end.
 */
export class Runner {
  private verb: Verb | undefined;
  /** Whose verb it is: its limits, events and stops are those of this vCPU alone. Undefined: of all */
  private vcpu: number | undefined;
  private go: Go = {};
  /** Instructions left of `go.limit` */
  private left = Infinity;
  private chunk = FIRST_CHUNK;
  /** The vCPU that a pause is to show */
  private pauseWanted: number | undefined;
  private outcome: Outcome | undefined;
  /** Set by taps during `advance` */
  private seen: Done | undefined;
  private event: Arrival | undefined;

  constructor(
    private readonly debuggee: Debuggee,
    private readonly user: UserStops,
    private readonly listener: RunnerListener,
  ) {
    const { machine } = debuggee;
    machine.addTaps(user.taps((done) => this.stopFor(done)));
    machine.addTaps({
      vmExit: (record) => this.happened('exit', record.vcpu),
      vmEntry: (record) => this.happened('entry', record.vcpu),
      interrupt: (_vector, vcpu) => this.happened('delivery', vcpu),
      exception: (_vector, _errorCode, _linear, vcpu) => this.happened('delivery', vcpu),
    });
  }

  get running(): boolean {
    return this.verb !== undefined;
  }

  /** Set when the machine cannot go on */
  get ended(): Outcome | undefined {
    return this.outcome;
  }

  /** Starts a verb, of one vCPU or of all. The machine must be stopped. */
  start(verb: Verb, vcpu?: number): void {
    if (this.verb) throw new Error('the machine runs already');
    this.verb = verb;
    this.vcpu = vcpu;
    this.pauseWanted = undefined;
    this.refreshStops();
    defer(() => {
      if (this.outcome) this.finish(() => this.listener.ended(this.outcome as Outcome));
      else this.guarded(() => this.take(verb.next()) && this.slice());
    });
  }

  /** Asks for a stop; answered by `stopped` with reason 'pause' after the current slice. */
  pause(vcpu: number): void {
    if (this.verb) this.pauseWanted = vcpu;
  }

  /** Drops the verb without a stop; for disconnect and restart. */
  abandon(): void {
    this.verb = undefined;
  }

  /** Breakpoints changed while running */
  refreshStops(): void {
    const own = this.go.stops;
    const user = this.user.addresses();
    this.debuggee.setStops(own && this.verb ? new Set([...user, ...own]) : user);
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
    const stopsChanged = next.value.stops !== this.go.stops;
    this.go = next.value;
    this.left = this.go.limit ?? Infinity;
    if (stopsChanged) this.refreshStops();
    return true;
  }

  /** One call of the machine. What of it concerns the verb is returned; the rest is dealt with here. */
  private advance(): Arrival | undefined {
    const { debuggee } = this;
    const { machine } = debuggee;
    this.seen = this.event = undefined;
    const before = machine.instructions;
    const counted = this.left === Infinity ? undefined : this.vcpu;
    const limited = debuggee.instructionsOf(counted);
    const began = clock();
    const result = debuggee.advance(Math.min(this.left, this.chunk), counted);
    this.left -= debuggee.instructionsOf(counted) - limited;
    this.adapt(clock() - began, machine.instructions - before);
    if (result.why === 'ended') {
      this.outcome = result.outcome;
      this.finish(() => this.listener.ended(result.outcome));
      return undefined;
    }
    if (this.seen) {
      this.stop(this.seen, machine.runningVcpu);
      return undefined;
    }
    if (result.why === 'breakpoint') {
      const done = this.user.decide(machine.running(result.vcpu), result.linear);
      if (done) {
        this.stop(this.ofAnother(done, result.vcpu), result.vcpu);
        return undefined;
      }
      if (this.isOurs(result.vcpu) && this.go.stops?.has(result.linear)) return { why: 'stop', linear: result.linear };
    }
    return this.event ?? (this.left <= 0 ? { why: 'limit' } : undefined);
  }

  private happened(kind: EventKind, vcpu: number): void {
    if (!this.verb || this.event) return;
    if (this.isOurs(vcpu) && this.go.events?.includes(kind)) this.event = { why: kind };
    else if (kind !== 'delivery' && this.debuggee.machine.running(vcpu).id === this.go.context) {
      this.event = { why: 'context' };
    } else return;
    this.debuggee.machine.requestStop();
  }

  private stopFor(done: Done): void {
    if (!this.verb || this.seen) return;
    this.seen = done;
    this.debuggee.machine.requestStop();
  }

  private isOurs(vcpu: number): boolean {
    return this.vcpu === undefined || this.vcpu === vcpu;
  }

  /** A stop that comes from another vCPU than the one that was being stepped says so. */
  private ofAnother(done: Done, vcpu: number): Done {
    if (this.isOurs(vcpu)) return done;
    return { ...done, description: `Breakpoint on vcpu${vcpu}, while vcpu${this.vcpu} was being stepped` };
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
    return this.user.decide(context, linear);
  }

  private finish(tell: () => void): void {
    this.verb = undefined;
    this.go = {};
    this.refreshStops();
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
