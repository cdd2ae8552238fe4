import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Context, Outcome } from '../../emulator/machine/api';
import { ExceptionFilters, TRIPLE_FAULT } from '../breakpoints/exceptions';
import { DataBreakpoints } from '../breakpoints/data';
import { BreakpointStore, type Evaluation } from '../breakpoints/store';
import type { Debuggee } from '../launch/debuggee';
import type { Opened } from '../launch/open';
import type { TapeStop } from '../launch/tape';
import { describeOutcome, exitCodeOf } from '../launch/outcome';
import type { SourceMap } from '../launch/source-map';
import { evaluatorAt, isTrue } from '../scopes/evaluators';
import { References } from '../scopes/container';
import { callStack, type StackEntry } from '../stack/call-stack';
import { Runner } from '../stepping/runner';
import type { Done, Verb } from '../stepping/verb';
import { Bookmarks } from '../time/bookmarks';
import type { Landing, Past } from '../time/search';
import { TaskRunner } from '../time/task-runner';
import type { Moment, Task } from '../../emulator/timeline/api';
import type { BranchedEventBody, ChangedEventBody } from '../protocol/requests';
import { without } from '../protocol/without';
import { explainFinding, ISOLATION } from '../watch/explain-finding';
import { isRunning, messageOf, RequestError, silentError } from './errors';
import { ExitFilter } from '../watch/exit-filter';

/** Events of a running session; the session gives them to its client. */
export interface Emit {
  (event: string, body?: unknown): void;
}

/** How this launch is to be. */
export interface LiveOptions {
  /** The client shows progress (DAP supportsProgressReporting) */
  readonly reportsProgress?: boolean;
  /** A machine that ends with success stops first */
  readonly stopAtEnd?: boolean;
}

const CHANGED_INTERVAL_MS = 250;

/** A launched machine with everything that belongs to this launch. A restart makes a new one. */
export class Live {
  readonly breakpoints: BreakpointStore;
  readonly dataBreakpoints: DataBreakpoints;
  readonly exceptions: ExceptionFilters;
  readonly references = new References();
  readonly runner: Runner;
  readonly exitFilter: ExitFilter;
  /** Drives what moves through the past, and what asks it something */
  readonly tasks: TaskRunner;
  readonly bookmarks: Bookmarks;
  lastStop: Done | undefined;
  private entries = new Map<number, StackEntry>();
  private stacks = new Map<number, { readonly id: number; readonly entry: StackEntry }[]>();
  private nextFrame = 1;
  private endTold = false;
  private lastChanged = -Infinity;
  private branches = 0;

  constructor(
    readonly debuggee: Debuggee,
    readonly sources: SourceMap,
    readonly noDebug: boolean,
    private readonly emit: Emit,
    private readonly options: LiveOptions = {},
  ) {
    this.exceptions = new ExceptionFilters(debuggee);
    this.exitFilter = new ExitFilter(debuggee);
    const evaluation: Evaluation = {
      isTrue: (expression, context) => isTrue(evaluatorAt(debuggee, context), expression),
      text: (expression, context) => evaluatorAt(debuggee, context).evaluate(expression).text,
      log: (text) => this.emit('output', { category: 'console', output: `${text}\n` }),
    };
    this.breakpoints = new BreakpointStore(debuggee, evaluation);
    this.dataBreakpoints = new DataBreakpoints(debuggee, evaluation);
    const none: ReadonlySet<bigint> = new Set();
    this.runner = new Runner(
      debuggee,
      {
        addresses: () => (noDebug ? none : this.breakpoints.addresses),
        decide: (context, linear, looking) => (noDebug ? undefined : this.breakpoints.decide(context, linear, looking)),
        taps: (stop) => {
          if (noDebug) return {};
          this.dataBreakpoints.stopBy(stop);
          return this.exceptions.taps(stop);
        },
      },
      {
        stopped: (done, vcpu) => this.stopped(done, vcpu),
        ended: (outcome) => this.ended(outcome),
        progress: () => this.changed(false),
        failed: (error) => this.failed(error),
      },
    );
    this.bookmarks = new Bookmarks(debuggee);
    const progressWanted = (): boolean => options.reportsProgress ?? false;
    this.tasks = new TaskRunner(debuggee.timeline, {
      events: {
        get wanted() {
          return progressWanted();
        },
        emit: (event, body) => this.emit(event, body),
      },
      keep: () => this.keep(),
    });
    debuggee.onBranch((at) => this.branched(at));
    debuggee.watcher = {
      serial: (_layer, text) => this.emit('output', { category: 'stdout', output: `${text}\n` }),
      tape: (stop) => this.tapeStopped(stop),
      finding: (finding, severity) => {
        if (debuggee.timeline.replaying || (severity === 'stop' && this.exceptions.wants(ISOLATION))) return;
        this.emit('output', { category: 'important', output: `${explainFinding(finding, debuggee).text}\n` });
      },
    };
    debuggee.tape.tell = (text) => this.emit('output', { category: 'important', output: `${text}\n` });
  }

  /** Recordings begin: the one that is followed, and the one that is made. */
  begin(opened: Opened): void {
    const { recording } = opened;
    opened.begin();
    if (!recording) return;
    const { end, instructions, loss } = recording;
    const say = (output: string) => this.emit('output', { category: 'important', output: `${output}\n` });
    say(`A recording of ${instructions} instructions, up to moment ${end}: the machine does what it did then.`);
    if (loss !== undefined) say(loss);
  }

  /** The machine is not needed any more. */
  end(): void {
    this.abandon();
    this.debuggee.tape.close(this.runner.ended);
  }

  private tapeStopped(stop: TapeStop): void {
    const done: Done =
      stop.why === 'end'
        ? { reason: 'pause', description: 'End of the recording', text: 'What is run from here on is new.' }
        : { reason: 'pause', description: 'The run diverges from the recording', text: stop.divergence.text };
    this.runner.stopBy(done);
  }

  /** The vCPU of a thread; throws RequestError when there is none. */
  vcpuOf(threadId: number): number {
    const vcpu = threadId - 1;
    if (!this.debuggee.machine.vcpus[vcpu]) throw silentError(`there is no thread ${threadId}`);
    return vcpu;
  }

  requireStopped(command: string): void {
    if (this.runner.running) throw isRunning(command);
  }

  /** Asks whatever moves the machine to stop: `vcpu` is what the stop is to show. */
  pause(vcpu: number): void {
    if (!this.tasks.cancel()) this.runner.pause(vcpu);
  }

  /** Nothing runs any more. */
  abandon(): void {
    this.runner.abandon();
    this.tasks.abandon();
  }

  /** Starts a verb, of one vCPU or of all: every reference that was given out is void from here on. */
  resume(verb: Verb, vcpu?: number): void {
    this.entries.clear();
    this.stacks.clear();
    this.references.clear();
    this.exceptions.explanation = undefined;
    this.runner.start(verb, vcpu);
  }

  /** What moves in time, for the verbs that do. */
  get past(): Past {
    return { debuggee: this.debuggee, driver: this.runner.driver };
  }

  /** Throws RequestError when there is no past to move in. */
  requireHistory(command: string): void {
    if (!this.debuggee.timeline.recording) throw silentError(`"${command}" needs history: launch with "history": true`);
  }

  /**
   * Moves to another moment and stops there. A cancel or a failure leaves the machine where it is, and a stop says so.
   * Every reference that was given out is void.
   */
  async travel(title: string, task: Task<Landing>): Promise<void> {
    this.entries.clear();
    this.stacks.clear();
    this.references.clear();
    const { focus } = this.debuggee;
    try {
      this.arrived(await this.tasks.run(task, { title, stay: true }));
    } catch (error) {
      if (error instanceof RequestError && error.id === 2005) {
        if (!this.tasks.abandoned) this.stopped({ reason: 'pause', description: `${title}: cancelled` }, focus);
      } else if (error instanceof RequestError) {
        this.emit('output', { category: 'important', output: `${title}: ${error.message}\n` });
        this.stopped({ reason: 'pause', description: error.message }, focus);
      } else this.failed(error);
    }
  }

  /** The machine stands where a movement through time has led. */
  arrived({ done, vcpu }: Landing): void {
    this.entries.clear();
    this.stacks.clear();
    this.references.clear();
    this.debuggee.focus = vcpu;
    this.debuggee.settle(vcpu);
    this.stopped(done, vcpu);
  }

  /** What has to be as it was when a task has moved the machine about and back. */
  private keep(): (moved: boolean) => void {
    const { debuggee, runner } = this;
    const arrivals = debuggee.keepArrivals();
    return (moved) => {
      if (moved) {
        debuggee.moved();
        runner.moved();
        this.endTold = false;
      } else arrivals();
      runner.refreshStops();
    };
  }

  /** The user has changed the past: what was behind it is forgotten. */
  private branched(at: Moment): void {
    this.breakpoints.cut(at);
    for (const breakpoint of this.dataBreakpoints.breakpoints) breakpoint.hits.cut(at);
    this.runner.moved();
    const lost = this.bookmarks.cut(at);
    const { machine } = this.debuggee;
    const branch = ++this.branches;
    const also = lost.length === 0 ? '' : ` Bookmarks that went with it: ${lost.join(', ')}.`;
    const output = `Branch ${branch} begins at instruction ${machine.instructions} (moment ${at}): what was recorded behind it is forgotten.${also}\n`;
    this.emit('output', { category: 'important', output });
    const body: BranchedEventBody = { moment: at, instructions: machine.instructions, branch, bookmarks: lost };
    this.emit('undervisor/branched', body);
  }

  /** The stack of a vCPU with frame ids, made once a stop. */
  stack(vcpu: number): readonly { readonly id: number; readonly entry: StackEntry }[] {
    let stack = this.stacks.get(vcpu);
    if (!stack) {
      stack = callStack(this.debuggee, vcpu).map((entry) => ({ id: this.nextFrame++, entry }));
      for (const { id, entry } of stack) this.entries.set(id, entry);
      this.stacks.set(vcpu, stack);
    }
    return stack;
  }

  /** Something was written: stacks are made anew, ids that were given out stay. */
  written(): void {
    this.stacks.clear();
  }

  entry(frameId: number): StackEntry {
    const entry = this.entries.get(frameId);
    if (!entry) throw silentError(`there is no frame ${frameId}: execution has gone on since`);
    return entry;
  }

  /** The context of a frame; without one that of the vCPU which the last stop was about. */
  contextOf(frameId: number | undefined): Context {
    return frameId === undefined ? this.debuggee.running() : this.entry(frameId).context;
  }

  /** 'undervisor/changed': at each stop, and at most four times a second while running. */
  changed(now: boolean): void {
    const time = performance.now();
    if (!now && time - this.lastChanged < CHANGED_INTERVAL_MS) return;
    this.lastChanged = time;
    const { exits, pages, machine, timeline, tape } = this.debuggee;
    const { recorded } = tape;
    const { now: moment, first, end, branch, recording } = timeline;
    const body: ChangedEventBody = {
      exits: exits.total,
      pages: pages.total,
      instructions: machine.instructions,
      recording,
      moment,
      first,
      end,
      past: moment < end,
      branch,
      ...(recorded === undefined ? {} : { recorded }),
    };
    this.emit('undervisor/changed', body);
  }

  private stopped(done: Done, vcpu: number): void {
    this.lastStop = done;
    this.debuggee.tape.flush();
    this.exceptions.stopped(done, vcpu);
    const body: DebugProtocol.StoppedEvent['body'] = {
      ...without(done, 'explanation'),
      threadId: vcpu + 1,
      allThreadsStopped: true,
    };
    this.emit('stopped', body);
    this.changed(true);
  }

  /** The machine cannot go on. Shown once as a stop, so that one can look why; going on from there ends the session. */
  private ended(outcome: Outcome): void {
    const { recording } = this.debuggee.timeline;
    // What went wrong is worth a look back; a program that says that it succeeded is done, unless the user wants to look.
    const failed = outcome.kind !== 'exit-port' || (recording && outcome.code !== 0);
    const look = (failed || (this.options.stopAtEnd ?? false)) && !this.noDebug && !this.endTold;
    const wanted = outcome.kind !== 'triple-fault' || this.exceptions.wants(TRIPLE_FAULT);
    const { title, text } = describeOutcome(outcome, this.debuggee);
    const advice = look && wanted && recording ? ' Step back from here, or restart.' : '';
    if (!this.endTold) this.emit('output', { category: 'important', output: `${text}${advice}\n` });
    this.endTold = true;
    if (look && wanted) {
      const vcpu = 'vcpu' in outcome ? outcome.vcpu : this.debuggee.machine.runningVcpu;
      this.debuggee.focus = vcpu;
      this.exceptions.report({ id: outcome.kind, title, text }, (done) => this.stopped(done, vcpu));
      return;
    }
    this.changed(true);
    this.emit('exited', { exitCode: exitCodeOf(outcome) });
    this.emit('terminated');
  }

  private failed(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.emit('output', { category: 'stderr', output: `The debugger failed while running: ${text}\n` });
    const { focus } = this.debuggee;
    this.stopped({ reason: 'exception', description: 'Debugger error', text: messageOf(error) }, focus);
  }
}
