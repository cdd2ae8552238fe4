import type { DebugProtocol } from '@vscode/debugprotocol';
import { exceptionFilters } from '../breakpoints/exceptions';
import { functionLocations, setFunctionBreakpoints } from '../breakpoints/function';
import { dataBreakpointInfo } from '../breakpoints/data-info';
import { setInstructionBreakpoints } from '../breakpoints/instruction';
import { breakpointLocations, pathOf, setSourceBreakpoints } from '../breakpoints/source';
import { resolveLaunch, type ResolvedLaunch } from '../launch/description';
import { open, type Opened } from '../launch/open';
import { Exports } from '../export/exports';
import { SourceMap } from '../launch/source-map';
import { completions, isCommand, runCommand } from '../console/console';
import { disassemble } from '../memory/disassemble';
import { readMemory, writeMemory } from '../memory/access';
import { translate } from '../memory/translate';
import type {
  ContinueToArguments,
  ExitsArguments,
  ExitsBetweenArguments,
  ExportArguments,
  ExportResponse,
  GoToArguments,
  LastTrueArguments,
  LastWriteArguments,
  OwnerHistoryArguments,
  PagesArguments,
  RemoveBookmarkArguments,
  SetBookmarkArguments,
  StepBackArguments,
  TranslateArguments,
} from '../protocol/requests';
import { exitsBetween } from '../questions/exits-between';
import { lastTrue } from '../questions/last-true';
import { lastWriteOf } from '../questions/last-write';
import { ownerHistory } from '../questions/owner-history';
import { evaluate, setExpression } from '../scopes/evaluate';
import { scopes, setVariable, variables } from '../scopes/variables';
import { layerRows } from '../stack/layer-rows';
import { stackTrace } from '../stack/stack-trace';
import { continueRun } from '../stepping/continue';
import { continueToEntry } from '../stepping/continue-to-entry';
import { continueToExit } from '../stepping/continue-to-exit';
import { runToLocations, stopAtOnce } from '../stepping/entry';
import { nextInstruction, stepInstruction } from '../stepping/step-instruction';
import { stepLine } from '../stepping/step-line';
import { stepOut } from '../stepping/step-out';
import { backTo } from '../time/back-to';
import { goTo } from '../time/go-to';
import { reverseContinue } from '../time/reverse-continue';
import { stepBack, stepBackInto, stepBackOut, type Granularity } from '../time/step-back';
import { exitKinds, exitRows } from '../watch/exit-rows';
import { pageRows } from '../watch/page-rows';
import { capabilities } from './capabilities';
import type { Task } from '../../emulator/timeline/api';
import type { Landing, Past } from '../time/search';
import type { Environment } from './environment';
import { badArguments, notLaunched, userError } from './errors';
import { exceptionInfo } from './exception-info';
import { Live } from './live';
import { loadedSources, modules, modulesPage } from './modules';
import { directoryOf } from './paths';
import { route, Router, urgent, type Reply, type Route, type Send } from './router';
import { threads } from './threads';

/** Requests that set breakpoints: kept as they came, to be made again after a restart. */
type BreakpointRequest = (live: Live) => unknown;

/**
 * One debug session: messages in by `receive`, messages out by `send`. It knows nothing of streams, so that it runs the
 * same over stdio, TCP, in a worker, or inside the client.
 */
export class DebugSession {
  readonly router: Router;
  private live: Live | undefined;
  private launchArguments: unknown;
  private launched: ResolvedLaunch | undefined;
  private configured = false;
  private clientTakes: DebugProtocol.InitializeRequestArguments | undefined;
  private opened: Opened | undefined;
  private readonly exports: Exports;
  private readonly breakpointRequests = new Map<string, BreakpointRequest>();

  constructor(
    private readonly environment: Environment,
    send: Send,
    private readonly onEnd: () => void = () => undefined,
  ) {
    this.router = new Router(this.routes(), send, () => this.live?.tasks.running ?? false);
    const takes = () => this.clientTakes;
    this.exports = new Exports(environment, {
      get wanted() {
        return takes()?.supportsProgressReporting ?? false;
      },
      emit: (event, body) => this.router.event(event, body),
    });
  }

  receive(message: unknown): void {
    this.router.receive(message);
  }

  /** The client is gone: stop everything, say nothing more. */
  dispose(): void {
    this.live?.end();
    this.live = undefined;
    this.exports.abandon();
    this.router.close();
  }

  // prettier-ignore
  routes(): Readonly<Record<string, Route>> {
    const thread = { threadId: 'number' } as const;
    return {
      initialize: route({}, (args: DebugProtocol.InitializeRequestArguments) => this.initialize(args)),
      launch: route({}, (args: unknown, reply) => this.launch(args, reply)),
      configurationDone: route({}, (_args, reply) => reply.after(() => this.begin())),
      restart: urgent(route({ arguments: 'object?' }, (args: DebugProtocol.RestartArguments, reply) => this.restart(args, reply))),
      terminate: urgent(route({}, (_args, reply) => reply.after(() => this.terminate()))),
      disconnect: urgent(route({}, (_args, reply) => this.disconnect(reply))),
      cancel: urgent(route({ requestId: 'number?', progressId: 'string?' }, (args: DebugProtocol.CancelArguments) => this.cancel(args))),

      setBreakpoints: route({ source: 'object', breakpoints: 'array?', lines: 'array?' }, (args: DebugProtocol.SetBreakpointsArguments) =>
        this.setBreakpoints(`source ${pathOf('setBreakpoints', args.source)}`, (live) => setSourceBreakpoints(args, live.debuggee, live.breakpoints))),
      setFunctionBreakpoints: route({ breakpoints: 'array' }, (args: DebugProtocol.SetFunctionBreakpointsArguments) =>
        this.setBreakpoints('functions', (live) => setFunctionBreakpoints(args, live.debuggee, live.breakpoints))),
      setInstructionBreakpoints: route({ breakpoints: 'array' }, (args: DebugProtocol.SetInstructionBreakpointsArguments) =>
        this.setBreakpoints('instructions', (live) => setInstructionBreakpoints(args, live.debuggee, live.breakpoints))),
      dataBreakpointInfo: this.stopped({ name: 'string', variablesReference: 'number?', frameId: 'number?', bytes: 'number?', asAddress: 'boolean?' }, (live, args: DebugProtocol.DataBreakpointInfoArguments) => dataBreakpointInfo(args, live)),
      setDataBreakpoints: route({ breakpoints: 'array' }, (args: DebugProtocol.SetDataBreakpointsArguments) =>
        this.setBreakpoints('data', (live) => live.dataBreakpoints.set(args, live.breakpoints))),
      setExceptionBreakpoints: route({ filters: 'array', filterOptions: 'array?' }, (args: DebugProtocol.SetExceptionBreakpointsArguments) =>
        this.setBreakpoints('exceptions', (live) => live.exceptions.set(args))),
      breakpointLocations: this.on({ source: 'object', line: 'number', endLine: 'number?' }, (live, args: DebugProtocol.BreakpointLocationsArguments) => breakpointLocations(args, live.debuggee)),

      threads: this.on({}, (live) => threads(live)),
      stackTrace: this.stopped({ ...thread, startFrame: 'number?', levels: 'number?' }, (live, args: DebugProtocol.StackTraceArguments) => stackTrace(args, live)),
      scopes: this.stopped({ frameId: 'number' }, (live, args: DebugProtocol.ScopesArguments) => scopes(args, live)),
      variables: this.stopped({ variablesReference: 'number', start: 'number?', count: 'number?', filter: 'string?' }, (live, args: DebugProtocol.VariablesArguments) => variables(args, live)),
      setVariable: this.stopped({ variablesReference: 'number', name: 'string', value: 'string' }, (live, args: DebugProtocol.SetVariableArguments, reply) => this.changing(live, reply, () => setVariable(args, live))),
      evaluate: this.stopped({ expression: 'string', frameId: 'number?', context: 'string?', format: 'object?' }, (live, args: DebugProtocol.EvaluateArguments, reply) => this.evaluate(live, args, reply)),
      completions: this.stopped({ text: 'string', column: 'number', frameId: 'number?' }, (live, args: DebugProtocol.CompletionsArguments) => completions(args, { live, frameId: args.frameId })),
      setExpression: this.stopped({ expression: 'string', value: 'string', frameId: 'number?' }, (live, args: DebugProtocol.SetExpressionArguments, reply) => this.changing(live, reply, () => setExpression(args, live))),
      exceptionInfo: this.stopped(thread, (live, args: DebugProtocol.ExceptionInfoArguments) => exceptionInfo(args.threadId, live)),
      modules: this.on({ startModule: 'number?', moduleCount: 'number?' }, (live, args: DebugProtocol.ModulesArguments) => modulesPage(args, live.debuggee)),
      loadedSources: this.on({}, (live) => loadedSources(live.debuggee, live.sources)),

      readMemory: this.on({ memoryReference: 'string', offset: 'number?', count: 'number' }, (live, args: DebugProtocol.ReadMemoryArguments) => readMemory(args, live.debuggee.machine, live.debuggee.running())),
      writeMemory: this.on({ memoryReference: 'string', offset: 'number?', data: 'string', allowPartial: 'boolean?' }, (live, args: DebugProtocol.WriteMemoryArguments, reply) => this.writeMemory(live, args, reply)),
      disassemble: this.on({ memoryReference: 'string', offset: 'number?', instructionOffset: 'number?', instructionCount: 'number' }, (live, args: DebugProtocol.DisassembleArguments) => disassemble(args, live.debuggee, live.sources, live.debuggee.running())),

      continue: this.stopped(thread, (live, args: DebugProtocol.ContinueArguments) => (this.verbOfAll(live, args, () => continueRun()), { allThreadsContinued: true })),
      next: this.stopped({ ...thread, granularity: 'string?' }, (live, args: DebugProtocol.NextArguments) =>
        this.verb(live, args, (vcpu) => (args.granularity === 'instruction' ? nextInstruction(live.debuggee, vcpu) : stepLine(live.debuggee, vcpu, false)))),
      stepIn: this.stopped({ ...thread, granularity: 'string?' }, (live, args: DebugProtocol.StepInArguments) =>
        this.verb(live, args, (vcpu) => (args.granularity === 'instruction' ? stepInstruction() : stepLine(live.debuggee, vcpu, true)))),
      stepOut: this.stopped({ ...thread, granularity: 'string?' }, (live, args: DebugProtocol.StepOutArguments) => this.verb(live, args, (vcpu) => stepOut(live.debuggee, vcpu))),
      pause: urgent(this.on({ threadId: 'number?' }, (live, args: Partial<DebugProtocol.PauseArguments>) => live.pause(live.vcpuOf(args.threadId ?? 1)))),

      stepBack: this.history({ ...thread, granularity: 'string?' }, (live, args: DebugProtocol.StepBackArguments, reply) => this.goBack(live, args, reply, 'Step back', stepBack)),
      reverseContinue: this.history(thread, (live, args: DebugProtocol.ReverseContinueArguments, reply) => this.goBack(live, args, reply, 'Reverse', reverseContinue)),
      'undervisor/stepBackInto': this.history({ ...thread, granularity: 'string?' }, (live, args: StepBackArguments, reply) => this.goBack(live, args, reply, 'Step back into', stepBackInto, true)),
      'undervisor/stepBackOut': this.history({ ...thread, granularity: 'string?' }, (live, args: StepBackArguments, reply) => this.goBack(live, args, reply, 'Step back out', stepBackOut, true)),
      'undervisor/backToExit': this.history(thread, (live, args: ContinueToArguments, reply) => this.goBack(live, args, reply, 'Previous VM exit', (past) => backTo(past, 'exit'), true)),
      'undervisor/backToEntry': this.history(thread, (live, args: ContinueToArguments, reply) => this.goBack(live, args, reply, 'Previous VM entry', (past) => backTo(past, 'entry'), true)),
      'undervisor/goTo': this.history({ moment: 'number?', instruction: 'number?', event: 'number?', bookmark: 'string?' }, (live, args: GoToArguments, reply) => this.goTo(live, args, reply)),
      'undervisor/setBookmark': this.history({ name: 'string?' }, (live, args: SetBookmarkArguments) => live.bookmarks.set(args.name)),
      'undervisor/removeBookmark': this.history({ name: 'string' }, (live, args: RemoveBookmarkArguments) => live.bookmarks.remove(args.name)),
      'undervisor/bookmarks': this.on({}, (live) => ({ bookmarks: live.bookmarks.rows() })),

      'undervisor/lastWrite': this.stopped({ name: 'string', variablesReference: 'number?', frameId: 'number?', asAddress: 'boolean?', bytes: 'number?', vmcs: 'boolean?', entry: 'string?' }, (live, args: LastWriteArguments, reply) =>
        live.tasks.run(lastWriteOf(args, live), { title: `Who last wrote ${args.name}`, requestId: reply.seq })),
      'undervisor/lastTrue': this.stopped({ condition: 'string', frameId: 'number?' }, (live, args: LastTrueArguments, reply) =>
        live.tasks.run(lastTrue(args.condition, live.contextOf(args.frameId), live), { title: `When was ${args.condition} true`, requestId: reply.seq })),
      'undervisor/ownerHistory': this.on({ address: 'string' }, (live, args: OwnerHistoryArguments) => ownerHistory(args, live.debuggee)),
      'undervisor/exitsBetween': this.on({ from: 'number', to: 'number' }, (live, args: ExitsBetweenArguments) => exitsBetween(args, live)),

      'undervisor/continueToExit': this.stopped(thread, (live, args: ContinueToArguments, reply) => this.goOn(live, args, reply, () => continueToExit())),
      'undervisor/continueToEntry': this.stopped(thread, (live, args: ContinueToArguments, reply) => this.goOn(live, args, reply, () => continueToEntry())),

      'undervisor/exits': this.on({ start: 'number', count: 'number', layers: 'array?', reasons: 'array?' }, (live, args: ExitsArguments) => exitRows(args, live)),
      'undervisor/exitKinds': this.on({}, (live) => exitKinds(live.debuggee)),
      'undervisor/pages': this.on({ start: 'number', count: 'number', hpa: 'string?' }, (live, args: PagesArguments) => pageRows(args, live.debuggee)),
      'undervisor/export': this.on({ path: 'string', format: 'string?', from: 'number?', to: 'number?' }, (_live, args: ExportArguments, reply) => this.export(args, reply)),
      'undervisor/layers': this.on({}, (live) => layerRows(live.debuggee)),
      'undervisor/translate': this.on({ address: 'string', frameId: 'number?', space: 'string?', requester: 'number?' }, (live, args: TranslateArguments) => translate(args, live.debuggee, live.contextOf(args.frameId))),
    };
  }

  /** A request that needs a launched machine, running or not */
  private on<A>(shape: Route['shape'], handle: (live: Live, args: A, reply: Reply) => unknown): Route {
    return route(shape, (args: A, reply) => {
      if (!this.live) throw notLaunched(reply.command);
      return handle(this.live, args, reply);
    });
  }

  /** A request that needs the machine to stand still */
  private stopped<A>(shape: Route['shape'], handle: (live: Live, args: A, reply: Reply) => unknown): Route {
    return this.on(shape, (live, args: A, reply) => {
      live.requireStopped(reply.command);
      return handle(live, args, reply);
    });
  }

  /** A request that moves in time */
  private history<A>(shape: Route['shape'], handle: (live: Live, args: A, reply: Reply) => unknown): Route {
    return this.stopped(shape, (live, args: A, reply) => {
      live.requireHistory(reply.command);
      return handle(live, args, reply);
    });
  }

  /** `ours`: a request of our own, after which the client has to be told that the machine moves. */
  private goBack(
    live: Live,
    args: StepBackArguments,
    reply: Reply,
    title: string,
    find: (past: Past, vcpu: number, granularity: Granularity) => Task<Landing>,
    ours = false,
  ): void {
    const { threadId } = args;
    const vcpu = live.vcpuOf(threadId);
    const granularity = args.granularity === 'instruction' ? 'instruction' : 'line';
    reply.after(() => {
      if (ours) this.router.event('continued', { threadId, allThreadsContinued: true });
      return live.travel(title, find(live.past, vcpu, granularity));
    });
  }

  /** Answered when the machine is there: what cannot be gone to is the request's error, and nothing has moved. */
  /** A C expression, or, in the debug console, a command. */
  private async evaluate(live: Live, args: DebugProtocol.EvaluateArguments, reply: Reply): Promise<unknown> {
    if (args.context !== 'repl' || !isCommand(args.expression)) return evaluate(args, live);
    const outcome = runCommand(args.expression, { live, frameId: args.frameId });
    switch (outcome.kind) {
      case 'text':
        return { result: outcome.text, variablesReference: 0 };
      case 'ask': {
        const { text } = await live.tasks.run(outcome.task, { title: outcome.title, requestId: reply.seq });
        return { result: text, variablesReference: 0 };
      }
      case 'goto':
        await this.goTo(live, { moment: outcome.moment }, reply);
        return { result: `at moment ${outcome.moment}`, variablesReference: 0 };
    }
  }

  private async goTo(live: Live, args: GoToArguments, reply: Reply): Promise<void> {
    const task = goTo(live.past, live.bookmarks, args);
    const landing = await live.tasks.run(task, { title: 'Go to', requestId: reply.seq, stay: true });
    reply.after(() => live.arrived(landing));
  }

  private cancel({ requestId, progressId }: DebugProtocol.CancelArguments): void {
    const ids = {
      ...(requestId === undefined ? {} : { requestId }),
      ...(progressId === undefined ? {} : { progressId }),
    };
    if (Object.keys(ids).length === 0) throw badArguments('cancel', 'needs "requestId" or "progressId"');
    if (requestId !== undefined && this.router.withdraw(requestId)) return;
    if (progressId !== undefined && this.exports.cancel(progressId)) return;
    this.live?.tasks.cancel(ids);
  }

  private initialize(args: DebugProtocol.InitializeRequestArguments): DebugProtocol.Capabilities {
    if (args.pathFormat !== undefined && args.pathFormat !== 'path') {
      throw badArguments('initialize', `pathFormat "${args.pathFormat}" is not supported: use "path"`);
    }
    // Both default to true (DAP): a client that counts from 0 would be off by one everywhere.
    if (args.linesStartAt1 === false || args.columnsStartAt1 === false) {
      throw badArguments('initialize', 'lines and columns must start at 1');
    }
    this.clientTakes = args;
    return capabilities([...exceptionFilters]);
  }

  private async launch(args: unknown, reply: Reply): Promise<void> {
    if (this.live) throw userError('a machine is launched already: use restart');
    await this.prepare(args);
    reply.after(() => this.router.event('initialized'));
  }

  /** Loads what the arguments describe. Nothing of the session changes when that fails. */
  private async prepare(args: unknown): Promise<void> {
    const { files } = this.environment;
    const launch = await resolveLaunch(args, files);
    const recorded = { ...launch, history: launch.history ?? !launch.noDebug };
    const opened = await open(recorded, this.environment);
    const { debuggee, materials } = opened;
    const sources = new SourceMap(files);
    for (const image of debuggee.images) {
      await sources.learn(image.loaded.program.files(), [materials.folder, directoryOf(image.file), launch.folder]);
    }
    this.live?.end();
    this.launched = launch;
    this.launchArguments = args;
    const emit = (event: string, body?: unknown) => this.router.event(event, body);
    this.live = new Live(debuggee, sources, launch.noDebug ?? false, emit, {
      reportsProgress: this.clientTakes?.supportsProgressReporting ?? false,
      // A recording that is opened stops where it ends, however that is.
      stopAtEnd: launch.stopAtEnd ?? launch.recording !== undefined,
    });
    // Announced before it was known whether this launch records.
    if (!debuggee.timeline.recording) emit('capabilities', { capabilities: { supportsStepBack: false } });
    this.tellSymbols(this.live);
    this.opened = opened;
    this.live.begin(opened);
  }

  private tellSymbols({ debuggee }: Live): void {
    for (const module of modules(debuggee)) this.router.event('module', { reason: 'new', module });
    for (const { file, loaded } of debuggee.images) {
      const { program } = loaded;
      const say = (text: string) => this.router.event('output', { category: 'console', output: `${file}: ${text}\n` });
      if (!program.hasDebugInformation)
        say('no DWARF: shown and stepped by instruction. Build it with -g for source lines.');
      for (const problem of program.problems) say(problem);
    }
  }

  /** The machine starts once: when the client has set its breakpoints. */
  private begin(): void {
    const { live } = this;
    if (this.configured || !live) return;
    this.configured = true;
    const stop = live.noDebug ? false : (this.launched?.stopOnEntry ?? false);
    if (stop === true) live.runner.start(stopAtOnce());
    else if (stop === false) live.runner.start(continueRun());
    else if (live.exceptions.stopOnce(stop)) live.runner.start(continueRun());
    else {
      const locations = functionLocations(stop, live.debuggee);
      if (locations.length === 0) {
        const output = `stopOnEntry: no image has a function "${stop}", and no VM exit is called that; stopped at the first instruction\n`;
        this.router.event('output', { category: 'important', output });
        live.runner.start(stopAtOnce());
      } else live.runner.start(runToLocations(live.debuggee, locations));
    }
  }

  private async restart(args: DebugProtocol.RestartArguments, reply: Reply): Promise<void> {
    if (!this.live) throw notLaunched('restart');
    this.live.tasks.abandon();
    await this.prepare(args.arguments ?? this.launchArguments);
    const { live } = this;
    if (live) for (const request of this.breakpointRequests.values()) request(live);
    this.configured = false;
    reply.after(() => this.begin());
  }

  private async export(args: ExportArguments, reply: Reply): Promise<ExportResponse> {
    if (!this.opened) throw notLaunched(reply.command);
    const { body, run } = await this.exports.start(args, this.opened);
    reply.after(run);
    return body;
  }

  private terminate(): void {
    this.live?.end();
    this.router.event('terminated');
  }

  private disconnect(reply: Reply): void {
    this.live?.end();
    this.live = undefined;
    this.exports.abandon();
    reply.after(() => this.onEnd());
  }

  private setBreakpoints(group: string, request: BreakpointRequest): unknown {
    if (!this.live) throw notLaunched('setting breakpoints');
    const body = request(this.live);
    this.breakpointRequests.set(group, request);
    this.live.runner.refreshStops();
    return body;
  }

  private verb(
    live: Live,
    args: { threadId: number },
    make: (vcpu: number) => Parameters<Live['resume']>[0],
  ): undefined {
    const vcpu = live.vcpuOf(args.threadId);
    live.resume(make(vcpu), vcpu);
  }

  /** A verb that is over whichever vCPU does what it waits for. */
  private verbOfAll(live: Live, args: { threadId: number }, make: () => Parameters<Live['resume']>[0]): undefined {
    live.vcpuOf(args.threadId);
    live.resume(make());
  }

  /** A verb by a request of our own: the client cannot know that it continues, so it is told, and before it stops. */
  private goOn(live: Live, args: ContinueToArguments, reply: Reply, make: () => Parameters<Live['resume']>[0]): void {
    live.vcpuOf(args.threadId);
    reply.after(() => {
      this.router.event('continued', { threadId: args.threadId, allThreadsContinued: true });
      this.verbOfAll(live, args, make);
    });
  }

  private writeMemory(live: Live, args: DebugProtocol.WriteMemoryArguments, reply: Reply): unknown {
    const { machine } = live.debuggee;
    const body = writeMemory(args, machine, live.debuggee.running());
    live.written();
    reply.after(() => {
      if (!this.clientTakes?.supportsMemoryEvent) return;
      const { memoryReference } = args;
      this.router.event('memory', { memoryReference, offset: args.offset ?? 0, count: body.bytesWritten ?? 0 });
    });
    return body;
  }

  /** After an assignment, what the client shows of variables and stacks may be out of date. */
  private changing(live: Live, reply: Reply, change: () => unknown): unknown {
    const body = change();
    live.written();
    reply.after(() => {
      if (this.clientTakes?.supportsInvalidatedEvent)
        this.router.event('invalidated', { areas: ['variables', 'stacks'] });
    });
    return body;
  }
}
