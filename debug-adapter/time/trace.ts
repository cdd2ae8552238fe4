import type { Context } from '../../emulator/machine/api';
import type { Moment, Task } from '../../emulator/timeline/api';
import type { Image } from '../stack/image';
import type { Debuggee } from '../launch/debuggee';
import { linearRip, linearRsp } from '../stack/layers';
import { isCall } from '../stepping/place';
import { travel } from './search';

/** A state that a vCPU was in: before an instruction, or before an event that takes it away. */
export interface Instant {
  /** The last moment at which the vCPU was in it: while others run it stays there */
  moment: Moment;
  readonly context: number;
  /** The context's; undefined: the owner of the processor */
  readonly vmcs: Context['vmcs'];
  readonly root: boolean;
  readonly retired: number;
  readonly pc: bigint;
  readonly sp: bigint;
  readonly code: Code;
}

/**
 * What the way back asks of an instruction. It is asked while the machine stands there: elsewhere in time the context may
 * not exist, or its memory hold something else.
 */
export interface Code {
  readonly length: number;
  readonly call: boolean;
  /** RET or IRET */
  readonly returns: boolean;
  readonly repeats: boolean;
  readonly image: Image | undefined;
}

const FIRST_WINDOW = 256;
const LARGEST_WINDOW = 16_384;
const BREATH = 64;
const UNKNOWN = { length: 0, call: false, returns: false, repeats: false };

/**
 * The states that one vCPU passed through up to a moment, newest first, as far back as somebody asks: history run again one
 * transition at a time. Leaves the machine somewhere before that moment.
 */
export class Trace {
  /** Oldest first */
  private instants: Instant[] = [];
  /** Where the oldest window begins */
  private start: Moment;
  private window = FIRST_WINDOW;
  private readonly codes = new Map<string, Code>();

  constructor(
    private readonly debuggee: Debuggee,
    readonly vcpu: number,
    /** The newest state is the one at this moment */
    readonly end: Moment,
  ) {
    this.start = end;
  }

  /** The state `back` states before the newest one, 0 for that; undefined: before the start of history. */
  *at(back: number): Task<Instant | undefined> {
    while (this.instants.length <= back) {
      // The oldest known state may be the only one of its window: whatever is before it is asked for anew.
      if (this.instants.length > 0 && this.start <= this.debuggee.timeline.first) return undefined;
      yield* this.extend();
    }
    return this.instants[this.instants.length - 1 - back];
  }

  /** The same state as the newest of a trace of its own, so that those behind it can be forgotten. */
  restart(instant: Instant): Trace {
    const trace = new Trace(this.debuggee, this.vcpu, instant.moment);
    trace.window = LARGEST_WINDOW;
    return trace;
  }

  private *extend(): Task<void> {
    const { debuggee } = this;
    const { timeline, machine } = debuggee;
    const end = this.start;
    const start = Math.max(timeline.first, end - this.window);
    this.window = Math.min(this.window * 4, LARGEST_WINDOW);
    yield* travel(debuggee, start, 0);
    machine.setBreakpoints(new Set());
    const found: Instant[] = [];
    for (let steps = 1; ; steps++) {
      this.record(found);
      if (timeline.now >= end) break;
      if (timeline.run(Infinity, true, undefined, timeline.now + 1).why === 'ended') break;
      if (steps % BREATH === 0) yield 0;
    }
    this.start = start;
    const [oldest] = this.instants;
    const newest = found.at(-1);
    // The state in which one window ends is the one in which the next begins.
    if (oldest && newest && same(oldest, newest)) found.pop();
    this.instants = [...found, ...this.instants];
  }

  private record(found: Instant[]): void {
    const { machine, timeline } = this.debuggee;
    const context = machine.running(this.vcpu);
    const retired = machine.vcpus[this.vcpu]?.instructions ?? 0;
    const pc = linearRip(context);
    const last = found.at(-1);
    if (last?.retired === retired && last.pc === pc && last.context === context.id) {
      last.moment = timeline.now;
      return;
    }
    const key = `${context.id}:${pc}`;
    let code = this.codes.get(key);
    if (!code) {
      const instruction = machine.decode(context.space, pc);
      const image = this.debuggee.layers.imageAt(context, pc);
      code = instruction
        ? {
            length: instruction.length,
            call: isCall(instruction),
            returns: /^I?RET/i.test(instruction.row.mnemonic),
            repeats: instruction.rep || instruction.repne,
            image,
          }
        : { ...UNKNOWN, image };
      this.codes.set(key, code);
    }
    const { id, root, vmcs } = context;
    found.push({ moment: timeline.now, context: id, root, vmcs, retired, pc, sp: linearRsp(context), code });
  }
}

const same = (a: Instant, b: Instant): boolean => a.context === b.context && a.retired === b.retired && a.pc === b.pc;

/** A state and the trace that it is in. */
export interface Point {
  readonly trace: Trace;
  readonly back: number;
  readonly instant: Instant;
}

/** The newest state of a trace of a vCPU that ends at a moment. */
export function* pointAt(debuggee: Debuggee, vcpu: number, moment: Moment): Task<Point> {
  const trace = new Trace(debuggee, vcpu, moment);
  return yield* newest(trace);
}

function* newest(trace: Trace): Task<Point> {
  const instant = yield* trace.at(0);
  if (!instant) throw new Error('a trace without a state');
  return { trace, back: 0, instant };
}

/** So far back that what is behind is better forgotten */
const FAR = 40_000;

/** The state before this one, whatever the vCPU did. */
export function* stateBefore({ trace, back, instant }: Point): Task<Point | undefined> {
  const from = back < FAR ? { trace, back } : { trace: trace.restart(instant), back: 0 };
  const before = yield* from.trace.at(from.back + 1);
  return before && { trace: from.trace, back: from.back + 1, instant: before };
}
