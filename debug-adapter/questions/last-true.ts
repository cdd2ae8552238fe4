import type { Context } from '../../emulator/machine/api';
import type { AccessHit, Watchpoint } from '../../emulator/machine/watchpoints';
import type { Moment, Task } from '../../emulator/timeline/api';
import { Breath, travel } from '../../emulator/timeline/queries/replay';
import { ExpressionError } from '../expression/api';
import { Evaluator } from '../expression/evaluator';
import type { Debuggee } from '../launch/debuggee';
import { hex } from '../memory/reference';
import type { QuestionAnswer } from '../protocol/requests';
import { userError } from '../session/errors';
import { evaluatorAt, isTrue } from '../scopes/evaluators';
import { addressSizeOf } from '../stack/call-stack';
import type { Image } from '../stack/image';
import { linearRip } from '../stack/layers';
import { ProgramSet } from '../symbols/program-set';
import { accessorInWords } from '../watch/access-words';
import { answerAt, type Surroundings } from './answer';
import { requireHistory } from './history';

/** How far back is looked first, and by what that grows */
const NEAR = 20_000;
const GROWTH = 8;
const LONGEST = 50_000_000;
const RUN = 200_000;

/** What a condition says at one moment, and what memory it looked at. Not evaluable counts as not true. */
interface Judgement {
  readonly holds: boolean;
  readonly reads: readonly { readonly address: bigint; readonly length: number }[];
}

/** The last moment at which the condition held, and what ended that; `hit` undefined: execution went on from there */
interface Held {
  readonly moment: Moment;
  readonly hit: AccessHit | undefined;
}

/**
 * When a C condition was last true in a context, before now. One about memory alone is evaluated whenever the bytes that it
 * reads are written, so its answer is exact to the transition. One that uses registers or locals is looked at where its
 * frame's function stands at the beginning of a statement.
 */
export function lastTrue(condition: string, context: Context, at: Surroundings): Task<QuestionAnswer> {
  requireHistory(at.debuggee);
  const search = new Search(condition, context.id, at);
  const statements = search.usesMemoryOnly() ? undefined : statementsAround(context, at.debuggee);
  return search.answer(statements);
}

class Search {
  constructor(
    private readonly condition: string,
    private readonly contextId: number,
    private readonly at: Surroundings,
  ) {}

  private get debuggee(): Debuggee {
    return this.at.debuggee;
  }

  private get context(): Context | undefined {
    return this.debuggee.machine.contexts.find(({ id }) => id === this.contextId);
  }

  /** By what the context translates addresses; '' while there is no such context */
  private get tables(): string {
    const { context } = this;
    if (!context) return '';
    const { cr0, cr3, cr4, efer, eptp } = context.space;
    return [cr0, cr3, cr4, efer, eptp].join();
  }

  /** Throws RequestError for a condition that is wrong in itself. */
  usesMemoryOnly(): boolean {
    const { context, condition } = this;
    if (!context) throw userError('its context is gone');
    let registers = false;
    try {
      isTrue(
        this.evaluator(context, [], () => (registers = true)),
        condition,
      );
      return !registers;
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
    }
    try {
      isTrue(evaluatorAt(this.debuggee, context), condition);
    } catch (error) {
      if (error instanceof ExpressionError) throw userError(error.message);
      throw error;
    }
    return false;
  }

  private evaluator(
    context: Context,
    reads: { address: bigint; length: number }[],
    registerRead: () => void = () => undefined,
  ): Evaluator {
    const { debuggee } = this;
    const { space } = context;
    return new Evaluator(debuggee.layers.imageOf(context)?.set ?? new ProgramSet(), {
      memory: (address, length) => {
        reads.push({ address, length });
        return debuggee.machine.readMemory(space, address, length);
      },
      registers: (name) => {
        registerRead();
        return context.registers.read(name);
      },
      frame: undefined,
      addressSize: addressSizeOf(context),
    });
  }

  private judge(): Judgement {
    const { context } = this;
    const reads: { address: bigint; length: number }[] = [];
    if (!context) return { holds: false, reads };
    try {
      return { holds: isTrue(this.evaluator(context, reads), this.condition), reads };
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      return { holds: false, reads };
    }
  }

  *answer(statements: ReadonlySet<bigint> | undefined): Task<QuestionAnswer> {
    const { timeline } = this.debuggee;
    const now = timeline.now;
    if (!statements && this.judge().holds) return { text: `${this.condition}: is true now`, moment: now };
    let length = NEAR;
    for (let end = now; end > timeline.first; length = Math.min(length * GROWTH, LONGEST)) {
      const near = Math.max(timeline.first, end - length);
      const start = length === NEAR ? near : Math.min(near, timeline.landmark(near));
      const fraction = (now - end) / Math.max(1, now - timeline.first);
      yield* travel(timeline, start, fraction);
      const held = statements
        ? yield* this.atStatements(statements, end, fraction)
        : yield* this.byWrites(end, fraction);
      if (held) return this.inWords(held);
      end = start;
    }
    const since = timeline.first > 0 ? `since moment ${timeline.first}, where history begins` : 'since power-on';
    const where = statements ? ' at a statement of this function' : '';
    return { text: `${this.condition}: was never true${where} ${since}` };
  }

  private inWords({ moment, hit }: Held): QuestionAnswer {
    const { debuggee } = this;
    const context = this.context ?? debuggee.running();
    const rip = hit?.rip ?? context.registers.read('rip') ?? 0n;
    const when = hit ?? { moment, vcpu: context.vcpu, context: context.id, rip };
    const ended = hit ? `; ended by ${accessorInWords(hit, debuggee)}` : '; execution went on from there';
    return answerAt(`${this.condition}: last true at moment ${moment}${ended}`, { ...when, moment }, this.at);
  }

  /** Evaluates before the first transition, and after each write to what was read. */
  private *byWrites(end: Moment, fraction: number): Task<Held | undefined> {
    const { timeline } = this.debuggee;
    const breath = new Breath();
    let last: Held | undefined;
    let stuck = 0;
    while (timeline.now < end && stuck < 100) {
      const before = timeline.now;
      const { holds, reads } = this.judge();
      const hit = yield* this.nextChange(reads, end, breath, fraction);
      // What held until the end of this stretch is told with the write that ended it, at the beginning of the next.
      const until = hit ? Math.min(hit.moment, end - 1) : Math.max(before, timeline.now - 1);
      if (holds) last = { moment: timeline.now < end || hit ? until : end, hit };
      stuck = timeline.now > before ? 0 : stuck + 1;
    }
    return last;
  }

  /** Runs to the next write to what was read, or until the context sees memory by other tables. */
  private *nextChange(
    reads: Judgement['reads'],
    end: Moment,
    breath: Breath,
    fraction: number,
  ): Task<AccessHit | undefined> {
    const { machine, timeline } = this.debuggee;
    const space = this.context?.space ?? machine.running(0).space;
    let hit: AccessHit | undefined;
    let moved = false;
    const tables = this.tables;
    const move = (): void => {
      moved = true;
      machine.requestStop();
    };
    const look = (): void => {
      if (!moved && this.tables !== tables) move();
    };
    const removeTaps = machine.addTaps({ controlRegister: look, vmEntry: look });
    const watches: Watchpoint[] = reads.map(({ address, length }) =>
      machine.watch({ space, address, length, write: true, read: false, moved: move }, (told) => {
        hit ??= told;
        machine.requestStop();
      }),
    );
    try {
      while (timeline.now < end && !hit && !moved) {
        if (timeline.run(RUN, true, undefined, Math.min(end, timeline.now + RUN)).why === 'ended') break;
        yield* breath.take(fraction);
      }
    } finally {
      removeTaps();
      for (const watch of watches) watch.remove();
    }
    return hit;
  }

  private *atStatements(statements: ReadonlySet<bigint>, end: Moment, fraction: number): Task<Held | undefined> {
    const { debuggee } = this;
    const { machine, timeline } = debuggee;
    const breath = new Breath();
    let last: Held | undefined;
    machine.setBreakpoints(statements);
    for (let over = false; timeline.now < end;) {
      const result = timeline.run(RUN, over, undefined, Math.min(end, timeline.now + RUN));
      if (result.why === 'ended') break;
      over = result.why === 'breakpoint';
      const { context } = this;
      if (over && context && machine.running(context.vcpu) === context && statements.has(linearRip(context)))
        if (this.holdsInFrame(context)) last = { moment: timeline.now, hit: undefined };
      yield* breath.take(fraction);
    }
    machine.setBreakpoints(new Set());
    return last;
  }

  private holdsInFrame(context: Context): boolean {
    try {
      return isTrue(evaluatorAt(this.debuggee, context), this.condition);
    } catch (error) {
      if (error instanceof ExpressionError) return false;
      throw error;
    }
  }
}

/** Where statements of the function begin that a context stands in. Throws RequestError without symbols. */
function statementsAround(context: Context, debuggee: Debuggee): ReadonlySet<bigint> {
  const linear = linearRip(context);
  const image: Image | undefined = debuggee.layers.imageAt(context, linear);
  const around = image?.loaded.functionAt(linear);
  if (!image || !around)
    throw userError(
      `the condition uses registers or locals, and there is no function with line information at ${hex(linear)}: stop in the function that it is about`,
    );
  const addresses = new Set<bigint>();
  for (const { low, high } of around.ranges) {
    for (let at = low; at < high;) {
      const line = image.loaded.lineAt(at);
      if (line?.isStatement && line.address >= low) addresses.add(line.address);
      at = line && line.end > at ? line.end : at + 1n;
    }
  }
  return addresses;
}
