import { CpuState } from '../cpu/state';
import type { Taps, VmEntryRecord, VmExitRecord } from '../cpu/taps';
import { hostPhysical, type HostPhysicalAddress } from '../memory/address';
import { State } from '../memory/layout';
import type { MachineMemory } from '../memory/machine-memory';
import type { AddressSpace, Context, LeftRecord, Registers } from './api';
import { registersOf, type RegisterWrites } from './registers';
import { spaceOf } from './spaces';

/** The registers that a context shows (registers.ts) lie below the vector registers, which nothing uses yet. */
const KEPT_SIZE = State.VECTOR;
const TWO_32 = 0x1_0000_0000;

/** How a context was left; one object a context, overwritten each time. */
interface MutableLeft {
  kind: 'exit' | 'entry';
  n: number;
  instruction: number;
  reason: number;
  qualification: bigint;
  guestPhysical: bigint;
  guestLinear: bigint;
}

/** A context in a `TrackerState` */
export interface KeptContext {
  readonly id: number;
  readonly kept: Uint8Array;
  /** Undefined: it was never left */
  readonly left: LeftRecord | undefined;
}

/** What is known of the contexts of one vCPU at a moment */
export interface TrackerState {
  readonly contexts: readonly KeptContext[];
  /** IDs of the interrupted ones, most recent first, and of the one that runs */
  readonly order: readonly number[];
  readonly current: number;
}

const NOT_LEFT: LeftRecord = {
  kind: 'entry',
  n: 0,
  instruction: 0,
  reason: 0,
  qualification: 0n,
  guestPhysical: 0n,
  guestLinear: 0n,
};

/** A context and the copy of the state block that it had when it was left. */
class TrackedContext implements Context {
  readonly registers: Registers;
  private readonly kept: Uint8Array;
  private readonly keptState: CpuState;
  private readonly left: MutableLeft = { ...NOT_LEFT };
  private wasLeft = false;
  private runs = false;

  constructor(
    readonly id: number,
    readonly vcpu: number,
    readonly root: boolean,
    readonly vmcs: HostPhysicalAddress | undefined,
    readonly since: number,
    private readonly owner: ContextTracker,
  ) {
    this.kept = new Uint8Array(KEPT_SIZE);
    this.keptState = new CpuState({ view: new DataView(this.kept.buffer) });
    this.registers = registersOf(
      () => this.state,
      () => (this.runs ? owner.writes : undefined),
    );
  }

  /** The processor's registers while it runs, those at its last leaving otherwise */
  get state(): CpuState {
    return this.runs ? this.owner.running : this.keptState;
  }

  get space(): AddressSpace {
    return spaceOf(this.state);
  }

  get lastLeft(): LeftRecord | undefined {
    return this.wasLeft ? this.left : undefined;
  }

  keep(live: Uint8Array): void {
    this.kept.set(live);
  }

  resume(): void {
    this.runs = true;
  }

  leaveByExit(record: VmExitRecord): void {
    this.left.kind = 'exit';
    this.left.n = record.n;
    this.left.instruction = record.instruction;
    this.left.reason = record.reason;
    this.left.qualification = record.qualification;
    this.left.guestPhysical = record.guestPhysical;
    this.left.guestLinear = record.guestLinear;
    this.wasLeft = true;
    this.runs = false;
  }

  leaveByEntry(record: VmEntryRecord): void {
    this.left.kind = 'entry';
    this.left.n = record.n;
    this.left.instruction = record.instruction;
    this.left.reason = 0;
    this.left.qualification = this.left.guestPhysical = this.left.guestLinear = 0n;
    this.wasLeft = true;
    this.runs = false;
  }

  save(): KeptContext {
    return { id: this.id, kept: this.kept.slice(), left: this.wasLeft ? { ...this.left } : undefined };
  }

  restore(saved: KeptContext, runs: boolean): void {
    this.kept.set(saved.kept);
    Object.assign(this.left, saved.left ?? NOT_LEFT);
    this.wasLeft = saved.left !== undefined;
    this.runs = runs;
  }
}

/**
 * Keeps track of who runs on one vCPU: the owner of the machine (root operation, or before VMX operation) and one
 * context for each VMCS that was entered. Follows the processor by taps; leaving a context costs one copy of the state
 * block and no allocation.
 */
export class ContextTracker {
  readonly taps: Taps;
  private list: TrackedContext[] = [];
  /** All that there ever were: one that comes again after going back in time is the same object. */
  private readonly known = new Map<number, TrackedContext>();
  private readonly byVmcs = new Map<number, TrackedContext>();
  private readonly rootContext: TrackedContext;
  /** Contexts other than the running one that were left, most recent first */
  private readonly order: TrackedContext[] = [];
  private current: TrackedContext;
  private readonly live: Uint8Array;

  /**
   * @param running the processor's state
   * @param writes to be told of a debugger's write to it
   * @param nextId number of the next context of the machine
   */
  constructor(
    memory: MachineMemory,
    readonly vcpu: number,
    readonly running: CpuState,
    readonly writes: RegisterWrites,
    private readonly nextId: () => number,
  ) {
    this.live = memory.u8.subarray(0, KEPT_SIZE);
    this.rootContext = this.current = this.add(true, undefined, 0);
    this.current.resume();
    this.taps = {
      vmExitBegin: () => this.current.keep(this.live),
      vmExit: (record) => this.exited(record),
      vmEntryBegin: () => this.current.keep(this.live),
      vmEntry: (record) => this.entered(record),
    };
  }

  get contexts(): readonly Context[] {
    return this.list;
  }

  get runningContext(): Context {
    return this.current;
  }

  get interrupted(): readonly Context[] {
    return this.order;
  }

  private exited(record: VmExitRecord): void {
    // An exit at VM entry (reasons 33, 34, 41) comes without an entry before it: nothing of the guest ran.
    if (this.current === this.rootContext) return;
    this.current.leaveByExit(record);
    this.switchTo(this.rootContext);
  }

  private entered(record: VmEntryRecord): void {
    const { running } = this;
    const vmcs = running.get32(State.CURRENT_VMCS) + running.get32(State.CURRENT_VMCS + 4) * TWO_32;
    const context = this.byVmcs.get(vmcs) ?? this.add(false, record.vmcs, record.instruction);
    this.current.leaveByEntry(record);
    this.switchTo(context);
  }

  private switchTo(context: TrackedContext): void {
    const from = this.current;
    const { order } = this;
    const at = order.indexOf(context);
    // Move the context that comes out to the gap's front, without allocating.
    if (at < 0) order.push(from);
    for (let i = at < 0 ? order.length - 1 : at; i > 0; i--) order[i] = order[i - 1] ?? from;
    order[0] = from;
    this.current = context;
    context.resume();
  }

  private add(root: boolean, vmcs: bigint | undefined, since: number): TrackedContext {
    const address = vmcs === undefined ? undefined : hostPhysical(vmcs);
    const id = this.nextId();
    const before = this.known.get(id);
    const same = before?.root === root && before.vmcs === address && before.since === since;
    const context = same ? before : new TrackedContext(id, this.vcpu, root, address, since, this);
    this.known.set(id, context);
    this.list.push(context);
    if (vmcs !== undefined) this.byVmcs.set(Number(vmcs), context);
    return context;
  }

  save(): TrackerState {
    return {
      contexts: this.list.map((context) => context.save()),
      order: this.order.map(({ id }) => id),
      current: this.current.id,
    };
  }

  restore(saved: TrackerState): void {
    this.byVmcs.clear();
    this.list = saved.contexts.map((kept) => {
      const context = this.contextOf(kept.id);
      context.restore(kept, kept.id === saved.current);
      if (context.vmcs !== undefined) this.byVmcs.set(Number(context.vmcs), context);
      return context;
    });
    this.order.splice(0, Infinity, ...saved.order.map((id) => this.contextOf(id)));
    this.current = this.contextOf(saved.current);
  }

  private contextOf(id: number): TrackedContext {
    const context = this.known.get(id);
    if (!context) throw new RangeError(`the saved state is of another machine: vCPU ${this.vcpu} has no context ${id}`);
    return context;
  }
}
