import { Field } from '../../emulator/arch/vmcs-fields';
import type { StaleTranslation, VmEntryRecord, VmExitRecord } from '../../emulator/cpu/taps';
import type { Context, Machine, RunResult } from '../../emulator/machine/api';
import type { Moment, Timeline } from '../../emulator/timeline/api';
import { createTimeline } from '../../emulator/timeline/timeline';
import { Arrivals } from './arrivals';
import type { Image } from '../stack/image';
import { formatSymbol, Layers, linearRip } from '../stack/layers';
import type { ResolvedPolicy } from '../../emulator/watch/isolation/sanitizer';
import { IsolationWatch, type FindingListener } from '../watch/isolation';
import { ExitLog, type LoggedExit } from '../watch/exit-log';
import { operandOf } from '../watch/exit-operand';
import { PageLog, type PageEvent } from '../watch/page-log';
import { pageDecision } from '../watch/page-probes';
import { ProbeSites, type ProbeHit } from '../watch/probe-sites';
import { SerialLines } from '../watch/serial-lines';
import { Tape, type TapeStop } from './tape';

/** What happens while the machine runs, for those who print or show it as it comes. */
export interface Watcher {
  /** `index` in the exit log */
  exit?(index: number): void;
  /** The record is reused */
  entry?(record: VmEntryRecord): void;
  page?(event: PageEvent): void;
  probe?(hit: ProbeHit): void;
  serial?(layer: string, text: string): void;
  /** Strict mode */
  stale?(use: StaleTranslation): void;
  /** A recording is at its end, or is left; `advance` comes back as if a stop were requested */
  tape?(stop: TapeStop): void;
  finding?: FindingListener;
}

/** Who an exit was of: a name, and the image that gives its addresses symbols */
export interface LoggedLayer {
  readonly name: string;
  readonly image: Image | undefined;
}

/** SDM vol. 3, appendix C: external interrupt, INIT, SIPI, SMIs, the two windows, preemption timer. */
const ASYNCHRONOUS: ReadonlySet<number> = new Set([1, 3, 4, 5, 6, 7, 8, 52]);

/** Whether an exit has nothing to do with the instruction that the guest stood at. */
export const isAsynchronous = (reason: number): boolean => ASYNCHRONOUS.has(reason & 0xffff);

const LIMIT: RunResult = { why: 'limit' };
const REQUESTED: RunResult = { why: 'requested' };

/**
 * A loaded machine together with what the debugger knows about it: images, layers, probes and what they announced.
 * The session and the command line run the same one.
 */
export class Debuggee {
  readonly layers: Layers;
  readonly exits = new ExitLog();
  readonly pages = new PageLog();
  readonly probes: ProbeSites;
  readonly tape: Tape;
  watcher: Watcher = {};
  /** With a policy: what checks isolation below everything that runs */
  isolation: IsolationWatch | undefined;
  /** The vCPU that the last stop was about: what is meant where a request names no frame */
  focus = 0;
  private readonly logged: LoggedLayer[] = [];
  private readonly loggedNumbers = new Map<string, number>();
  private readonly serial = new SerialLines((layer, text) => this.watcher.serial?.(layer, text));
  private readonly console = new SerialLines((layer, text) => this.watcher.serial?.(layer, text));
  private stops: ReadonlySet<bigint> = new Set();
  private readonly arrivals: Arrivals;
  /** The last moment at which a probe was told; before it none is new */
  private told: Moment = -1;
  private readonly branchListeners = new Set<(at: Moment) => void>();

  constructor(
    readonly machine: Machine,
    readonly images: readonly Image[],
    /** Where relative source paths begin */
    readonly folder: string,
    /** All running goes through it */
    readonly timeline: Timeline = createTimeline(machine, { recording: false }),
  ) {
    this.arrivals = new Arrivals(machine, (context) => this.lastExitOf(context));
    this.tape = new Tape(machine, timeline);
    this.layers = new Layers(machine, images);
    this.probes = new ProbeSites(machine, images);
    machine.addTaps({
      vmExit: (record) => this.logExit(record),
      vmEntry: (record) => this.isNew && this.watcher.entry?.(record),
      staleTranslation: (use) => this.isNew && this.watcher.stale?.(use),
    });
    const nameOf = (vcpu: number) => this.layers.nameOf(machine.running(vcpu));
    machine.onSerial((byte, vcpu) => this.isNew && this.serial.add(byte, nameOf(vcpu)));
    machine.onDebugConsole((byte, vcpu) => this.isNew && this.console.add(byte, nameOf(vcpu)));
    timeline.onBranch((at) => this.branch(at));
    this.setStops(new Set());
  }

  /** From now on isolation is checked by this policy; before the first instruction. */
  checkIsolation(policy: ResolvedPolicy): void {
    this.isolation = new IsolationWatch(this, policy);
    this.isolation.onFinding((finding, severity) => this.watcher.finding?.(finding, severity));
  }

  /** The context whose instruction comes next on a vCPU */
  running(vcpu = this.focus): Context {
    return this.machine.running(vcpu);
  }

  /** "guest at guest_main+0x10": who makes an access now */
  placeOf({ vcpu, rip }: { readonly vcpu: number; readonly rip: bigint }): string {
    const context = this.running(vcpu);
    return `${this.layers.nameOf(context)} at ${formatSymbol(this.layers.symbolAt(context, rip), rip)}`;
  }

  /** The layer that an exit-log record names by number */
  loggedLayer(number: number): LoggedLayer {
    return this.logged[number] ?? { name: '', image: undefined };
  }

  /** Name of the layer and basic exit reason that a kind of the exit log stands for */
  exitKind(kind: number): { readonly layer: string; readonly reason: number } {
    return { layer: this.loggedLayer(Math.floor(kind / 0x10000)).name, reason: kind % 0x10000 };
  }

  /** What runs now runs for the first time: else the logs have it already. */
  private get isNew(): boolean {
    return !this.timeline.replaying;
  }

  /** The moment at which the machine stands */
  get moment(): Moment {
    return this.timeline.now;
  }

  /** To be told when what was behind a moment has been forgotten, after the logs have forgotten it. */
  onBranch(listener: (at: Moment) => void): () => void {
    this.branchListeners.add(listener);
    return () => this.branchListeners.delete(listener);
  }

  private branch(at: Moment): void {
    this.exits.cut(at);
    this.pages.cut(at);
    this.told = Math.min(this.told, at);
    for (const listener of this.branchListeners) listener(at);
  }

  /**
   * Whether the VM entry that a vCPU's guest began with delivered an event, so that it began in its handler. The next VM
   * exit clears the field (SDM vol. 3, 28.2), so it tells until then.
   */
  injectedOnEntry(vcpu: number): boolean {
    const { vmcs } = this.running(vcpu);
    const field = vmcs === undefined ? 0n : this.machine.readVmcs(vmcs, Field.ENTRY_INTERRUPTION_INFORMATION);
    return ((field ?? 0n) & 0x8000_0000n) !== 0n;
  }

  /** Whether the context was left by a VM exit that has nothing to do with the instruction it stood at. */
  leftAsynchronously(context: Context): boolean {
    const left = context.lastLeft;
    return left?.kind === 'exit' && isAsynchronous(left.reason);
  }

  /**
   * Linear addresses at which `advance` comes back, in any context. `looking`: in what has run before; its probes have
   * been told.
   */
  setStops(addresses: ReadonlySet<bigint>, looking = false): void {
    if (!looking) this.arrivals.watch(addresses, this.stops);
    this.stops = addresses;
    this.machine.setBreakpoints(looking ? addresses : new Set([...addresses, ...this.probes.addresses]));
  }

  /** The machine has gone to another moment without running there. */
  moved(): void {
    this.arrivals.moved();
  }

  /** Gives back which places have been dealt with, for when the machine is back here. */
  keepArrivals(): () => void {
    return this.arrivals.keep();
  }

  /**
   * Runs at most `limit` instructions, of all vCPUs together or of one while the others run beside it, and not beyond the
   * moment `until`. Probes on the way are recorded and passed; comes back at an address of `setStops` before its
   * instruction, once for each arrival there.
   */
  advance(limit: number, vcpu?: number, until?: Moment): RunResult {
    const { machine, timeline } = this;
    const end = this.instructionsOf(vcpu) + limit;
    for (;;) {
      const left = end - this.instructionsOf(vcpu);
      if (left <= 0) return LIMIT;
      const held = this.tape.until;
      const bound = held === undefined ? until : Math.min(held, until ?? Infinity);
      const piece = this.isolation ? Math.min(left, this.isolation.left) : left;
      const result = timeline.run(piece, this.arrivals.isHandled(machine.runningVcpu), vcpu, bound);
      this.isolation?.ran(result);
      const stop = this.tape.ran(result.why === 'ended');
      if (stop && result.why !== 'ended') {
        // Where the recording ends the machine may have ended as well: that is what there is to be told.
        const now = machine.run(0);
        if (stop.why === 'end' && now.why === 'ended') return now;
        this.watcher.tape?.(stop);
        return REQUESTED;
      }
      // Held back for the recording alone it goes on at once.
      if (result.why === 'limit' && held === machine.moment && held !== until && this.tape.until !== held) continue;
      if (result.why === 'limit' && piece < left && (bound === undefined || machine.moment < bound)) continue;
      if (result.why !== 'breakpoint') return result;
      // It stood there already when its turn ended.
      if (this.arrivals.isHandled(result.vcpu) || this.arrivals.isResumption(result.vcpu, result.linear)) continue;
      this.arrive(result.vcpu, result.linear);
      if (this.stops.has(result.linear)) return result;
    }
  }

  /** Retired instructions of one vCPU, or of all */
  instructionsOf(vcpu: number | undefined): number {
    return vcpu === undefined ? this.machine.instructions : (this.machine.vcpus[vcpu]?.instructions ?? 0);
  }

  /**
   * Deals with the probe at the place where a vCPU stands, and makes the next `advance` leave it. Called when the user is
   * shown this place.
   */
  settle(vcpu: number): void {
    if (!this.isSettled(vcpu)) this.arrive(vcpu, linearRip(this.running(vcpu)));
  }

  /** Whether breakpoints and probes of the place where a vCPU stands have been dealt with. */
  isSettled(vcpu: number): boolean {
    return this.arrivals.isHandled(vcpu);
  }

  /** The logged VM exit by which a context was left last */
  lastExitOf(context: Context): LoggedExit | undefined {
    if (context.vmcs === undefined) return undefined;
    return this.exits.lastOf(context.vcpu, context.vmcs, this.moment);
  }

  flushSerial(): void {
    this.serial.flush();
    this.console.flush();
  }

  private arrive(vcpu: number, linear: bigint): void {
    this.arrivals.handle(vcpu);
    const { moment } = this;
    if (!this.probes.has(linear) || moment <= this.told) return;
    this.told = moment;
    for (const hit of this.probes.hitsAt(this.running(vcpu), linear)) {
      this.watcher.probe?.(hit);
      const decision = pageDecision(hit, this.machine);
      if (!decision) continue;
      const event = this.pages.add({ ...decision, moment });
      this.watcher.page?.(event);
    }
  }

  private logExit(record: VmExitRecord): void {
    if (!this.isNew) return;
    const left = this.machine.interrupted(record.vcpu)[0];
    const name = left ? this.layers.nameOf(left) : '';
    let number = this.loggedNumbers.get(name);
    if (number === undefined) {
      number = this.logged.push({ name, image: left && this.layers.imageOf(left) }) - 1;
      this.loggedNumbers.set(name, number);
    }
    // The exit is counted when it is complete, behind this.
    const moment = this.machine.moment + 1;
    this.exits.add(record, number, left ? operandOf(record, left, this.machine) : 0n, moment);
    this.watcher.exit?.(this.exits.total - 1);
  }
}
