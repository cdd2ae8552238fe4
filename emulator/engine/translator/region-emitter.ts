import type { Instruction } from '../../isa/instruction';
import { State } from '../../memory/layout';
import { i32, i64, type Value } from '../../wasm/expression';
import { FunctionBuilder, type Label } from '../../wasm/function-builder';
import { encodeModule } from '../../wasm/module';
import { I32, I64, Op } from '../../wasm/opcodes';
import type { Access } from '../host';
import type { Block, BlockGraph } from './blocks';
import { instructionEffects } from './instruction-effects';
import type { LazyFlags } from './lazy-flags';
import { EXIT_INDEX, EXIT_REGION, FUNCTION_TYPES, Leave, NORMALIZE, REASON, TableSlot, TypeIndex } from './linkage';
import { structure, type Sequence } from './structure';
import { TranslationContext } from './translation-context';

/** A place where a region leaves: RIP there, and how many instructions were counted in advance but not executed. */
export interface RegionExit {
  readonly rip: bigint;
  readonly notExecuted: number;
}

export interface RegionCode {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** By exit index; the first ones are the block starts, where the budget may end */
  readonly exits: readonly RegionExit[];
  /** It contains jumps whose targets are only known at run time */
  readonly indirect: boolean;
}

/** Where jumps to some blocks go while a construct is open. */
interface Scope {
  readonly label: Label;
  readonly targets: readonly number[];
  /** The construct dispatches on the local `next` */
  readonly dispatches: boolean;
}

const ENTRY = 0;
const LEFT = 1;

/** Emits one region as a module with one function (entry, left) -> left. */
export class RegionEmitter {
  readonly f = new FunctionBuilder([I32, I32]);
  private readonly next = this.f.newLocal(I32);
  private readonly exitIndex = this.f.newLocal(I32);
  private readonly bank = this.f.newLocal(I32);
  private readonly kind = this.f.newLocal(I32);
  private readonly a = this.f.newLocal(I64);
  private readonly b = this.f.newLocal(I64);
  private readonly rip = this.f.newLocal(I64);
  private readonly registers = new Map<number, number>();
  private readonly written = new Set<number>();
  private flagsUsed = false;
  private flagsWritten = false;
  private bankUsed = false;
  private readonly scopes: Scope[] = [];
  private readonly exits: RegionExit[];
  private readonly context = new TranslationContext(this);
  private exitLabel!: Label;
  private leaveLabel!: Label;
  private rootLoop: Label | undefined;
  /** Instructions of the block being emitted that come at and after the current one */
  private notExecuted = 0;

  /**
   * @param regionId stored when the region leaves, so that the translator finds its exits
   * @param entryMap wasm address of u16 words by byte offset from `mapBase`: block id + 1 of entries, for indirect jumps
   */
  constructor(
    private readonly graph: BlockGraph,
    private readonly regionId: number,
    private readonly entryMap: { readonly address: number; readonly base: bigint; readonly length: number },
  ) {
    this.exits = graph.blocks.map((block) => ({ rip: block.rip, notExecuted: 0 }));
  }

  generate(): RegionCode {
    const { f, graph } = this;
    const all = graph.blocks.map((block) => block.id);
    const body = structure(all, graph.entries, (id) => this.block(id).successors);
    const indirect = graph.blocks.some((block) => this.endsIndirect(block));

    this.exitLabel = f.block();
    this.leaveLabel = f.block();
    f.set(this.next, f.local(ENTRY));
    if (indirect) this.rootLoop = f.loop();
    this.checkBudget(f.local(this.next));
    this.emitSequence(body);
    if (indirect) f.end();
    f.unreachable();
    f.end();
    f.store32(i32(EXIT_INDEX), f.local(this.exitIndex));
    f.store32(i32(REASON), i32(Leave.Region));
    f.end();
    this.emitEpilogue();

    const whole = this.withPrologue();
    const definition = { type: TypeIndex.Region, locals: f.locals, body: whole.code, export: 'region' };
    return {
      bytes: encodeModule({ types: FUNCTION_TYPES, functions: [definition], importTable: true }),
      exits: this.exits,
      indirect,
    };
  }

  private block(id: number): Block {
    return this.graph.blocks[id]!;
  }

  private endsIndirect(block: Block): boolean {
    const last = block.instructions.at(-1);
    return last !== undefined && instructionEffects(last).ending === 'jumpTo';
  }

  // Control flow

  private emitSequence(sequence: Sequence): void {
    const { f } = this;
    const { items, entries } = sequence;
    for (const item of [...items].reverse()) {
      if (!item.labelled) continue;
      const dispatches = item.loop !== undefined && item.targets.length > 1;
      this.scopes.push({ label: f.block(), targets: item.targets, dispatches });
    }
    if (entries.length > 1) this.dispatchOn(entries);
    for (const item of items) {
      if (item.labelled) {
        f.end();
        this.scopes.pop();
      }
      if (item.loop === undefined) {
        this.emitBlock(this.block(item.node!));
        continue;
      }
      const dispatches = item.targets.length > 1;
      this.scopes.push({ label: f.loop(), targets: item.targets, dispatches });
      this.checkBudget(dispatches ? f.local(this.next) : i32(item.targets[0]!));
      this.emitSequence(item.loop);
      this.scopes.pop();
      f.end();
    }
  }

  private dispatchOn(entries: readonly number[]): void {
    const highest = Math.max(...entries);
    const otherwise = this.scopeOf(entries[0]!)!.label;
    const labels = Array.from({ length: highest + 1 }, (_, id) =>
      entries.includes(id) ? this.scopeOf(id)!.label : otherwise,
    );
    this.f.branchTable(this.f.local(this.next), labels, otherwise);
  }

  /** The innermost construct that leads to the block. */
  private scopeOf(id: number): Scope | undefined {
    return this.scopes.findLast((scope) => scope.targets.includes(id));
  }

  /** Leaves at a block's start when what is left might not suffice to reach the next check. */
  private checkBudget(block: Value): void {
    const { f } = this;
    f.if(f.ltS(f.local(LEFT), i32(this.graph.instructionCount)));
    f.set(this.exitIndex, block);
    f.branch(this.leaveLabel);
    f.end();
  }

  /** Continues at a linear address, inside the region when it is one of its blocks. */
  goTo(rip: bigint): void {
    const { f } = this;
    const id = this.graph.byRip.get(rip);
    const scope = id === undefined ? undefined : this.scopeOf(id);
    if (scope) {
      if (scope.dispatches) f.set(this.next, i32(id!));
      f.branch(scope.label);
      return;
    }
    f.set(this.rip, i64(rip));
    f.branch(this.exitLabel);
  }

  /** Continues at a linear address known at run time; entries of this region are reached without leaving it. */
  goToValue(target: Value): void {
    const { f } = this;
    f.set(this.rip, target);
    if (this.rootLoop === undefined) {
      f.branch(this.exitLabel);
      return;
    }
    const offset = f.let(f.sub(f.local(this.rip), i64(this.entryMap.base)));
    f.if(f.ltU(offset, i64(this.entryMap.length)));
    const id = f.let(f.load(Op.i32Load16U, I32, f.shl(f.wrap(offset), i32(1)), this.entryMap.address));
    f.if(id);
    f.set(this.next, f.sub(id, i32(1)));
    f.branch(this.rootLoop);
    f.end();
    f.end();
    f.branch(this.exitLabel);
  }

  /** Leaves with exact state before the instruction, which the interpreter then executes. */
  leaveBefore(instruction: Instruction): void {
    this.leaveAt({ rip: instruction.rip, notExecuted: this.notExecuted });
  }

  private leaveAt(exit: RegionExit): void {
    this.f.set(this.exitIndex, i32(this.exits.length));
    this.exits.push(exit);
    this.f.branch(this.leaveLabel);
  }

  private emitBlock(block: Block): void {
    const { f } = this;
    const count = block.instructions.length;
    if (count > 0) f.set(LEFT, f.sub(f.local(LEFT), i32(count)));
    const live = this.liveFlags(block);
    this.context.forgetFlags();
    let ended = false;
    block.instructions.forEach((instruction, k) => {
      this.notExecuted = count - k;
      ended = this.context.translate(instruction, live[k]!, instructionEffects(instruction).finishes);
    });
    if (ended) return;
    if (block.leavesAt !== undefined) this.leaveAt({ rip: block.leavesAt, notExecuted: 0 });
    else this.goTo(block.fallThrough!);
  }

  /** For each instruction, whether the flags it writes can be read: later in the block, or after leaving it. */
  private liveFlags(block: Block): boolean[] {
    const live: boolean[] = [];
    let after = true;
    for (let k = block.instructions.length - 1; k >= 0; k--) {
      live[k] = after;
      const effects = instructionEffects(block.instructions[k]!);
      if (effects.readsFlags || effects.canRaise) after = true;
      else if (effects.overwritesFlags) after = false;
    }
    return live;
  }

  // What the context asks for

  registerLocal(register: number): number {
    let local = this.registers.get(register);
    if (local === undefined) {
      local = this.f.newLocal(I64);
      this.registers.set(register, local);
    }
    return local;
  }

  writtenRegisterLocal(register: number): number {
    this.written.add(register);
    return this.registerLocal(register);
  }

  lazyFlags(): LazyFlags {
    this.flagsUsed = true;
    const { f } = this;
    return { kind: f.local(this.kind), a: f.local(this.a), b: f.local(this.b) };
  }

  writtenFlagLocals(): { kind: number; a: number; b: number } {
    this.flagsUsed = this.flagsWritten = true;
    return { kind: this.kind, a: this.a, b: this.b };
  }

  tlbBank(): Value {
    this.bankUsed = true;
    return this.f.local(this.bank);
  }

  callRefill(linear: Value, size: number, access: Access): Value {
    this.f.callIndirect(TypeIndex.Refill, i32(TableSlot.Refill), linear, i32(size), i32(access));
    return this.f.pop(I32);
  }

  callCondition(code: number): Value {
    const { kind, a, b } = this.lazyFlags();
    this.f.callIndirect(TypeIndex.Condition, i32(TableSlot.Condition), i32(code), kind, a, b);
    return this.f.pop(I32);
  }

  /** The aux word; the result is in State.FLAGS_RESULT. */
  callNormalize(): Value {
    return this.callCondition(NORMALIZE);
  }

  // Frame

  private emitEpilogue(): void {
    const { f } = this;
    f.store32(i32(EXIT_REGION), i32(this.regionId));
    for (const [register, local] of this.registers) {
      if (this.written.has(register)) f.store64(i32(State.GPR + register * 8), f.local(local));
    }
    if (this.flagsWritten) {
      f.store32(i32(State.LAZY_KIND), f.local(this.kind));
      f.store64(i32(State.LAZY_A), f.local(this.a));
      f.store64(i32(State.LAZY_B), f.local(this.b));
    }
    f.store64(i32(State.RIP), f.local(this.rip));
    f.emit(f.local(LEFT));
  }

  /** The function with its locals loaded first; known only after the body. */
  private withPrologue(): FunctionBuilder {
    const whole = new FunctionBuilder([I32, I32]);
    whole.locals.push(...this.f.locals);
    for (const [register, local] of this.registers) whole.set(local, whole.load64(i32(State.GPR + register * 8)));
    if (this.bankUsed) whole.set(this.bank, whole.load32(i32(State.TLB_BANK)));
    if (this.flagsUsed) {
      whole.set(this.kind, whole.load32(i32(State.LAZY_KIND)));
      whole.set(this.a, whole.load64(i32(State.LAZY_A)));
      whole.set(this.b, whole.load64(i32(State.LAZY_B)));
    }
    whole.code.append(this.f.code);
    return whole;
  }
}
