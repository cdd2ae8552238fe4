import { GPR_NAMES } from '../../arch/registers';
import type { Instruction } from '../../isa/instruction';
import { registersWritten } from '../../isa/register-writes';
import type { Context, Machine } from '../../machine/api';
import type { AccessedBy } from '../../machine/watchpoints';
import type { Moment, Task, Timeline } from '../api';
import { implicitWrites } from './helper-writes';
import { Breath, travel } from './replay';

/** Who wrote a register, and what it was and became. The state at `moment` is the one before. */
export interface RegisterWrite {
  readonly moment: Moment;
  readonly vcpu: number;
  readonly context: number;
  readonly rip: bigint;
  readonly by: AccessedBy;
  readonly detail: number;
  readonly before: bigint;
  readonly after: bigint;
}

/** How far back is looked first, and by what that grows */
const NEAR = 2_000;
const GROWTH = 8;
const LONGEST = 1_000_000;

/**
 * Who last wrote a register of a vCPU before a moment, whichever context it was in then. Transitions are made one by one,
 * backwards in growing pieces. General registers: by what the instruction's row writes, also when the value stays; others,
 * and what an event or a helper does, by the change of the value and by the rows of `implicitWrites`.
 * @param name as `Registers.read` takes it
 */
export function* lastRegisterWrite(
  timeline: Timeline,
  vcpu: number,
  name: string,
  before: Moment = timeline.now,
): Task<RegisterWrite | undefined> {
  if (timeline.machine.vcpus[vcpu]?.registers.read(name) === undefined)
    throw new RangeError(`there is no register "${name}"`);
  const search = new Search(timeline, vcpu, name);
  let length = NEAR;
  for (let end = before; end > timeline.first; length = Math.min(length * GROWTH, LONGEST)) {
    const start = Math.max(timeline.first, end - length);
    const done = (before - end) / Math.max(1, before - timeline.first);
    const found = yield* search.lastIn(start, end, done);
    if (found) return found;
    end = start;
  }
  return undefined;
}

class Search {
  private readonly machine: Machine;
  private readonly number: number;
  private by: AccessedBy = 'instruction';
  private detail = 0;

  constructor(
    private readonly timeline: Timeline,
    private readonly vcpu: number,
    private readonly name: string,
  ) {
    this.machine = timeline.machine;
    this.number = GPR_NAMES.findIndex((gpr) => gpr.toLowerCase() === name);
  }

  *lastIn(start: Moment, end: Moment, fraction: number): Task<RegisterWrite | undefined> {
    const { timeline, machine } = this;
    yield* travel(timeline, start, fraction);
    const breath = new Breath();
    const remove = machine.addTaps({
      vmExit: ({ reason }) => this.note('vm-exit', reason),
      vmEntry: () => this.note('vm-entry', 0),
      interrupt: () => this.note('delivery', 0),
      exception: () => this.note('delivery', 0),
    });
    let last: RegisterWrite | undefined;
    try {
      for (let stuck = 0; timeline.now < end && stuck < 100;) {
        const moment = timeline.now;
        last = this.step(moment) ?? last;
        stuck = timeline.now === moment ? stuck + 1 : 0;
        yield* breath.take(fraction);
      }
    } finally {
      remove();
    }
    return last;
  }

  private note(by: AccessedBy, detail: number): void {
    this.by = by;
    this.detail = detail;
  }

  /** One transition, of whichever vCPU. */
  private step(moment: Moment): RegisterWrite | undefined {
    const { machine, timeline, vcpu } = this;
    if (machine.runningVcpu !== vcpu) {
      timeline.run(1, true, undefined, moment + 1);
      return undefined;
    }
    const context = machine.running(vcpu);
    const before = this.value;
    const rip = context.registers.read('rip') ?? 0n;
    const instruction = this.number < 0 && !isSlow(this.name) ? undefined : instructionAt(machine, context, rip);
    const writes = instruction !== undefined && this.writes(instruction, context);
    const retired = machine.vcpus[vcpu]?.instructions;
    const { id } = context;
    this.note('instruction', 0);
    timeline.run(1, true, undefined, moment + 1);
    const after = this.value;
    const executed = machine.vcpus[vcpu]?.instructions !== retired;
    if (before === after && !(writes && executed)) return undefined;
    const by = this.by === 'instruction' && !executed ? 'delivery' : this.by;
    return { moment, vcpu, context: id, rip, by, detail: this.detail, before, after };
  }

  private get value(): bigint {
    return this.machine.vcpus[this.vcpu]?.registers.read(this.name) ?? 0n;
  }

  private writes(instruction: Instruction, context: Context): boolean {
    const counter = context.registers.read('rcx') ?? 0n;
    if (implicitWrites(instruction, this.name, context)) return true;
    if (this.number < 0) return false;
    const cut = BigInt.asUintN(instruction.addressSize, counter);
    return ((registersWritten(instruction, cut) >>> this.number) & 1) !== 0;
  }
}

/** Registers that particular instructions write, whose rows are worth being looked up at each step */
const isSlow = (name: string): boolean => name !== 'rip' && name !== 'rflags';

function instructionAt(machine: Machine, context: Context, rip: bigint): Instruction | undefined {
  const { space } = context;
  const linear = space.codeSize === 64 ? rip : BigInt.asUintN(32, rip + (context.registers.read('cs.base') ?? 0n));
  return machine.decode(space, linear);
}
