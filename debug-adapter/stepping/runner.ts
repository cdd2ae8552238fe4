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
  stopped(done: Done): void;
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
  private go: Go = {};
  /** Instructions left of `go.limit` */
  private left = Infinity;
  private chunk = FIRST_CHUNK;
  private pauseWanted = false;
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
      interrupt: () => this.happened('delivery', 0),
      exception: () => this.happened('delivery', 0),
    });
  }

  get running(): boolean {
    return this.verb !== undefined;
  }

  /** Set when the machine cannot go on */
  get ended(): Outcome | undefined {
    return this.outcome;
  }

  /** Starts a verb. The machine must be stopped. */
  start(verb: Verb): void {
    if (this.verb) throw new Error('the machine runs already');
    this.verb = verb;
    this.pauseWanted = false;
    this.refreshStops();
    defer(() => {
      if (this.outcome) this.finish(() => this.listener.ended(this.outcome as Outcome));
      else this.guarded(() => this.take(verb.next()) && this.slice());
    });
  }

  /** Asks for a stop; answered by `stopped` with reason 'pause' after the current slice. */
  pause(): void {
    if (this.verb) this.pauseWanted = true;
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
      if (this.pauseWanted) this.stop({ reason: 'pause' });
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
      this.stop(next.value);
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
    const began = clock();
    const result = debuggee.advance(Math.min(this.left, this.chunk));
    this.left -= machine.instructions - before;
    this.adapt(clock() - began, machine.instructions - before);
    if (result.why === 'ended') {
      this.outcome = result.outcome;
      this.finish(() => this.listener.ended(result.outcome));
      return undefined;
    }
    if (this.seen) {
      this.stop(this.seen);
      return undefined;
    }
    if (result.why === 'breakpoint') {
      const done = this.user.decide(machine.running(result.vcpu), result.linear);
      if (done) {
        this.stop(done);
        return undefined;
      }
      if (this.go.stops?.has(result.linear)) return { why: 'stop', linear: result.linear };
    }
    return this.event ?? (this.left <= 0 ? { why: 'limit' } : undefined);
  }

  private happened(kind: EventKind, vcpu: number): void {
    if (!this.verb || this.event) return;
    if (this.go.events?.includes(kind)) this.event = { why: kind };
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

  private stop(done: Done): void {
    // A step that ends at a breakpoint hits it: counted now, as it will be stepped over when execution goes on.
    const stop = (done.reason === 'step' ? this.breakpointHere() : undefined) ?? done;
    this.finish(() => {
      this.debuggee.settle();
      this.listener.stopped(stop);
    });
  }

  private breakpointHere(): Done | undefined {
    const context = this.debuggee.running();
    const linear = linearRip(context);
    if (!this.user.addresses().has(linear) || this.debuggee.isSettled()) return undefined;
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
