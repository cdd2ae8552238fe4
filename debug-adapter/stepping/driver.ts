import type { Taps } from '../../emulator/cpu/taps';
import type { Context, Outcome } from '../../emulator/machine/api';
import type { Moment } from '../../emulator/timeline/api';
import type { Debuggee } from '../launch/debuggee';
import type { Arrival, Done, EventKind, Go } from './verb';

/** What stops the machine besides a verb, forward and backward alike. */
export interface UserStops {
  /** Linear addresses of all user breakpoints */
  addresses(): ReadonlySet<bigint>;
  /**
   * Whether one of them stops here, in this context: asked once for each arrival. Counts hits and logs, but not when
   * `looking`: then the past is searched, and nothing may change.
   */
  decide(context: Context, linear: bigint, looking: boolean): Done | undefined;
  /** Exception filters and whatever else the platform sees. Undefined: run on */
  readonly taps: (stop: Stop) => Taps;
}

const NONE: ReadonlySet<bigint> = new Set();

/**
 * Decided when the machine stands: what an access did is only there then. `looking` as in `decide`; undefined: run on.
 */
export type LateStop = (looking: boolean) => { readonly done: Done; readonly vcpu: number } | undefined;

/** Asks for a stop, in taps */
export type Stop = (done: Done | LateStop) => void;

/** What one call of the machine led to. */
export type Advance =
  | { readonly why: 'ended'; readonly outcome: Outcome }
  /** The user wants it to stop here */
  | { readonly why: 'stop'; readonly done: Done; readonly vcpu: number }
  /** The verb gets it back */
  | { readonly why: 'arrival'; readonly arrival: Arrival }
  | { readonly why: 'on' };

/**
 * Runs the machine towards what a verb waits for and what the user stops at. The one place where it is decided that
 * something stops: the runner uses it forward, a search through the past uses it on what has run before.
 */
export class Driver {
  private go: Go = {};
  private active = false;
  private looking = false;
  /** What the user stops at does not count */
  private alone = false;
  /** Whose verb it is: its limits, events and stops are those of this vCPU alone. Undefined: of all */
  private vcpu: number | undefined;
  /** Instructions left of `go.limit` */
  private left = Infinity;
  /** Set by taps during `advance` */
  private seen: Done | LateStop | undefined;
  private event: Arrival | undefined;

  constructor(
    private readonly debuggee: Debuggee,
    private readonly user: UserStops,
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

  /**
   * `looking`: in what has run before, without counting or telling anything; `alone`: for the verb's sake only, whatever
   * the user stops at
   */
  begin(vcpu: number | undefined, looking = false, alone = false): void {
    this.active = true;
    this.looking = looking;
    this.alone = alone;
    this.vcpu = vcpu;
    this.go = {};
    this.left = Infinity;
    this.refreshStops();
  }

  end(): void {
    this.active = this.looking = this.alone = false;
    this.go = {};
    this.refreshStops();
  }

  /** What the verb waits for next */
  take(go: Go): void {
    const stopsChanged = go.stops !== this.go.stops;
    this.go = go;
    this.left = go.limit ?? Infinity;
    if (stopsChanged) this.refreshStops();
  }

  /** Breakpoints changed */
  refreshStops(): void {
    const own = this.go.stops;
    const user = this.alone ? NONE : this.user.addresses();
    this.debuggee.setStops(own && this.active ? new Set([...user, ...own]) : user, this.looking);
  }

  /** One call of the machine, of at most `most` instructions and not beyond the moment `until`. */
  advance(most: number, until?: Moment): Advance {
    const { debuggee } = this;
    const { machine } = debuggee;
    this.seen = this.event = undefined;
    const counted = this.left === Infinity ? undefined : this.vcpu;
    const before = debuggee.instructionsOf(counted);
    const result = debuggee.advance(Math.min(this.left, most), counted, until);
    this.left -= debuggee.instructionsOf(counted) - before;
    if (result.why === 'ended') return result;
    const seen = this.stopSeen();
    if (seen) return { why: 'stop', ...seen };
    if (result.why === 'breakpoint') {
      const here = machine.running(result.vcpu);
      const done = this.alone ? undefined : this.user.decide(here, result.linear, this.looking);
      if (done) return { why: 'stop', done: this.ofAnother(done, result.vcpu), vcpu: result.vcpu };
      if (this.isOurs(result.vcpu) && this.go.stops?.has(result.linear))
        return { why: 'arrival', arrival: { why: 'stop', linear: result.linear } };
    }
    if (this.event) return { why: 'arrival', arrival: this.event };
    return this.left <= 0 ? { why: 'arrival', arrival: { why: 'limit' } } : { why: 'on' };
  }

  private happened(kind: EventKind, vcpu: number): void {
    if (!this.active || this.event) return;
    if (this.isOurs(vcpu) && this.go.events?.includes(kind)) this.event = { why: kind };
    else if (kind !== 'delivery' && this.debuggee.machine.running(vcpu).id === this.go.context) {
      this.event = { why: 'context' };
    } else return;
    this.debuggee.machine.requestStop();
  }

  private stopSeen(): ReturnType<LateStop> {
    const { seen } = this;
    if (typeof seen === 'function') return seen(this.looking);
    return seen && { done: seen, vcpu: this.debuggee.machine.runningVcpu };
  }

  /** Something beside the machine, or a tap of it, asks for a stop while it runs. */
  stopFor(done: Done | LateStop): void {
    if (!this.active || this.alone) return;
    // What is certain goes before what is still to be decided.
    if (this.seen === undefined || typeof this.seen === 'function') this.seen = done;
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
}
