import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Context, Outcome } from '../../emulator/machine/api';
import { ExceptionFilters, TRIPLE_FAULT } from '../breakpoints/exceptions';
import { BreakpointStore } from '../breakpoints/store';
import type { Debuggee } from '../launch/debuggee';
import { describeOutcome, exitCodeOf } from '../launch/outcome';
import type { SourceMap } from '../launch/source-map';
import { evaluatorAt, isTrue } from '../scopes/evaluators';
import { References } from '../scopes/container';
import { callStack, type StackEntry } from '../stack/call-stack';
import { Runner } from '../stepping/runner';
import type { Done, Verb } from '../stepping/verb';
import { isRunning, messageOf, silentError } from './errors';
import { ExitFilter } from '../watch/exit-filter';

/** Events of a running session; the session gives them to its client. */
export interface Emit {
  (event: string, body?: unknown): void;
}

const CHANGED_INTERVAL_MS = 250;

/** A launched machine with everything that belongs to this launch. A restart makes a new one. */
export class Live {
  readonly breakpoints: BreakpointStore;
  readonly exceptions: ExceptionFilters;
  readonly references = new References();
  readonly runner: Runner;
  readonly exitFilter: ExitFilter;
  lastStop: Done | undefined;
  private entries = new Map<number, StackEntry>();
  private stacks = new Map<number, { readonly id: number; readonly entry: StackEntry }[]>();
  private nextFrame = 1;
  private endTold = false;
  private lastChanged = -Infinity;

  constructor(
    readonly debuggee: Debuggee,
    readonly sources: SourceMap,
    readonly noDebug: boolean,
    private readonly emit: Emit,
  ) {
    this.exceptions = new ExceptionFilters(debuggee);
    this.exitFilter = new ExitFilter(debuggee);
    this.breakpoints = new BreakpointStore(debuggee, {
      isTrue: (expression, context) => isTrue(evaluatorAt(debuggee, context), expression),
      text: (expression, context) => evaluatorAt(debuggee, context).evaluate(expression).text,
      log: (text) => this.emit('output', { category: 'console', output: `${text}\n` }),
    });
    const none: ReadonlySet<bigint> = new Set();
    this.runner = new Runner(
      debuggee,
      {
        addresses: () => (noDebug ? none : this.breakpoints.addresses),
        decide: (context, linear) => (noDebug ? undefined : this.breakpoints.decide(context, linear)),
        taps: (stop) => (noDebug ? {} : this.exceptions.taps(stop)),
      },
      {
        stopped: (done, vcpu) => this.stopped(done, vcpu),
        ended: (outcome) => this.ended(outcome),
        progress: () => this.changed(false),
        failed: (error) => this.failed(error),
      },
    );
    debuggee.watcher = {
      serial: (_layer, text) => this.emit('output', { category: 'stdout', output: `${text}\n` }),
    };
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

  /** Starts a verb, of one vCPU or of all: every reference that was given out is void from here on. */
  resume(verb: Verb, vcpu?: number): void {
    this.entries.clear();
    this.stacks.clear();
    this.references.clear();
    this.exceptions.explanation = undefined;
    this.runner.start(verb, vcpu);
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
    const { exits, pages, machine } = this.debuggee;
    this.emit('undervisor/changed', { exits: exits.total, pages: pages.total, instructions: machine.instructions });
  }

  private stopped(done: Done, vcpu: number): void {
    this.lastStop = done;
    const body: DebugProtocol.StoppedEvent['body'] = { ...done, threadId: vcpu + 1, allThreadsStopped: true };
    this.emit('stopped', body);
    this.changed(true);
  }

  /** The machine cannot go on. Shown once as a stop, so that one can look why; going on from there ends the session. */
  private ended(outcome: Outcome): void {
    const look = outcome.kind !== 'exit-port' && !this.noDebug && !this.endTold;
    const wanted = outcome.kind !== 'triple-fault' || this.exceptions.wants(TRIPLE_FAULT);
    const { title, text } = describeOutcome(outcome, this.debuggee);
    if (!this.endTold) this.emit('output', { category: 'important', output: `${text}\n` });
    this.endTold = true;
    if (look && wanted) {
      const vcpu = 'vcpu' in outcome ? outcome.vcpu : this.debuggee.machine.runningVcpu;
      this.debuggee.focus = vcpu;
      this.exceptions.report({ id: outcome.kind, title, text }, vcpu, (done) => this.stopped(done, vcpu));
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
