import type { Instruction } from '../../isa/instruction';
import { JUMP_CACHE, State, TLB_ADDEND, TLB_BASE, TLB_ENTRIES, TLB_ENTRY_SIZE, TLB_EXECUTE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { EngineHost } from '../host';
import { discoverBlocks, type Flow } from './blocks';
import { generateDispatcher, type Dispatcher } from './dispatcher';
import {
  EXIT_INDEX,
  EXIT_REGION,
  JUMP_CACHE_ENTRIES,
  JUMP_CACHE_ENTRY_SIZE,
  jumpCacheIndex,
  Leave,
  NO_RIP,
  NORMALIZE,
  REASON,
  TableSlot,
} from './linkage';
import { instructionEffects } from './instruction-effects';
import { RegionCache, type Region } from './region-cache';

/** What the translator needs from the engine. */
export interface TranslatorHost extends Pick<EngineHost, 'refill'> {
  /** Decodes at a linear address inside a page whose bytes lie at `pageHost`; undefined: leave it to the interpreter */
  decode(rip: bigint, pageHost: number): Instruction | undefined;
  isBreakpoint(rip: bigint): boolean;
  /** New entries exist in a page of RAM: the interpreter is to stop at them. */
  regionAdded(pageHost: number): void;
}

const PAGE = 4096;

/**
 * Translates hot code into WebAssembly regions and runs them. Caches only: dropping everything changes no result.
 * 64-bit mode with flat segments; the engine asks nothing of it in other modes.
 */
export class Translator {
  private readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: 4096 });
  private readonly regions: RegionCache;
  private readonly dispatcher: Dispatcher;
  /** Executed instructions sampled in a page of RAM, by wasm address */
  private readonly heat = new Map<number, number>();
  /** Slots of the jump cache in use */
  private readonly usedSlots: number[] = [];

  constructor(
    private readonly memory: MachineMemory,
    private readonly host: TranslatorHost,
  ) {
    this.regions = new RegionCache(memory, this.table);
    const refill = (linear: bigint, size: number, access: number): number =>
      host.refill(BigInt.asUintN(64, linear), size, access) ? 1 : 0;
    const instance = new WebAssembly.Instance(new WebAssembly.Module(generateDispatcher()), {
      env: { memory: memory.wasm, table: this.table, refill },
    });
    this.dispatcher = instance.exports as unknown as Dispatcher;
    this.table.set(TableSlot.Refill, this.dispatcher.refill);
    this.table.set(TableSlot.Condition, this.dispatcher.condition);
    for (let i = 0; i < JUMP_CACHE_ENTRIES; i++) {
      memory.view.setBigUint64(JUMP_CACHE + i * JUMP_CACHE_ENTRY_SIZE, NO_RIP, true);
    }
  }

  get compiled(): number {
    return this.regions.compiled;
  }

  get dropped(): number {
    return this.regions.dropped;
  }

  /** Linear-to-region lookups are stale; regions themselves stay. */
  translationChanged(): void {
    for (const slot of this.usedSlots) this.memory.view.setBigUint64(slot, NO_RIP, true);
    this.usedSlots.length = 0;
  }

  /** The bytes of a page of RAM changed, or its records were dropped. */
  dropPage(pageHost: number): void {
    this.heat.delete(pageHost);
    if (this.regions.dropPage(pageHost)) this.translationChanged();
  }

  clear(): void {
    this.regions.clear();
    this.heat.clear();
    this.translationChanged();
  }

  /** Drops the regions that were made for a linear page, wherever in RAM it was. */
  dropLinear(page: bigint): void {
    if (this.regions.dropLinear(page)) this.translationChanged();
  }

  hasPage(pageHost: number): boolean {
    return this.regions.hasPage(pageHost);
  }

  /** True when a region was made from one of these bytes; they lie in one page. */
  covers(wasmAddress: number, length: number): boolean {
    return this.regions.covers(wasmAddress, length);
  }

  hasEntry(pageHost: number, linear: bigint): boolean {
    return this.regions.find(linear, pageHost) !== undefined;
  }

  /**
   * Reports interpreted instructions at State.RIP, and compiles there once the page has had `threshold` of them.
   */
  sample(executed: number, threshold: number): void {
    const rip = this.memory.view.getBigUint64(State.RIP, true);
    const pageHost = this.pageHost(rip);
    if (pageHost < 0) return;
    const heat = (this.heat.get(pageHost) ?? 0) + executed;
    this.heat.set(pageHost, heat);
    if (heat < threshold || this.regions.find(rip, pageHost)) return;
    this.compile(rip, pageHost);
  }

  private compile(rip: bigint, pageHost: number): void {
    const page = rip & ~0xfffn;
    const graph = discoverBlocks([rip], {
      decode: (at) => (this.host.isBreakpoint(at) ? undefined : this.host.decode(at, pageHost)),
      flow: flowOf,
    });
    if (graph.instructionCount === 0 || graph.entries.length === 0) return;
    this.regions.compile(graph, page, pageHost);
    this.host.regionAdded(pageHost);
  }

  /** The wasm address of the page that an instruction fetch at this address uses, when the TLB holds it; else -1. */
  private pageHost(rip: bigint): number {
    const { view } = this.memory;
    const bank = view.getInt32(State.TLB_BANK, true) || TLB_BASE;
    const low = Number(BigInt.asUintN(32, rip));
    const entry = bank + ((low >>> 12) & (TLB_ENTRIES - 1)) * TLB_ENTRY_SIZE;
    if (view.getBigUint64(entry + TLB_EXECUTE, true) !== (rip & ~0xfffn)) return -1;
    return (low - (low % PAGE) + view.getInt32(entry + TLB_ADDEND, true)) >>> 0;
  }

  private regionAt(rip: bigint): Region | undefined {
    const pageHost = this.pageHost(rip);
    if (pageHost < 0) return undefined;
    const region = this.regions.find(rip, pageHost);
    return region?.page === (rip & ~0xfffn) ? region : undefined;
  }

  /** True when `run` would execute at least one instruction in translated code. */
  canEnter(left: number): boolean {
    if (this.regions.empty) return false;
    const region = this.regionAt(this.memory.view.getBigUint64(State.RIP, true));
    return region !== undefined && region.instructionCount <= left;
  }

  /**
   * Runs translated code from State.RIP for at most `left` instructions; returns what is left. State is exact again on
   * return, but RETIRED is the caller's. The next instruction is the interpreter's.
   */
  run(left: number): number {
    const { view } = this.memory;
    view.setInt32(State.LAZY_KIND, 0, true);
    view.setBigInt64(State.LAZY_A, view.getBigInt64(State.FLAGS_RESULT, true), true);
    view.setBigUint64(State.LAZY_B, BigInt(view.getUint32(State.FLAGS_AUX, true)), true);
    for (;;) {
      view.setInt32(REASON, Leave.None, true);
      left = this.dispatcher.run(left);
      if (view.getInt32(REASON, true) === Number(Leave.Region)) {
        left += this.leaveRegion();
        break;
      }
      const rip = view.getBigUint64(State.RIP, true);
      const region = this.regionAt(rip);
      if (!region) break;
      const slot = JUMP_CACHE + jumpCacheIndex(rip);
      this.usedSlots.push(slot);
      view.setBigUint64(slot, rip, true);
      view.setInt32(slot + 8, region.element, true);
      view.setInt32(slot + 12, region.entries.get(rip)!, true);
    }
    const kind = view.getInt32(State.LAZY_KIND, true);
    const a = view.getBigInt64(State.LAZY_A, true);
    const b = view.getBigInt64(State.LAZY_B, true);
    view.setInt32(State.FLAGS_AUX, this.dispatcher.condition(NORMALIZE, kind, a, b), true);
    return left;
  }

  /** Puts State.RIP at the exit's place; returns the instructions that were counted but not executed. */
  private leaveRegion(): number {
    const { view } = this.memory;
    const region = this.regions.get(view.getInt32(EXIT_REGION, true));
    const exit = region?.exits[view.getInt32(EXIT_INDEX, true)];
    if (!exit) throw new Error('a region left through an exit that it does not have');
    view.setBigUint64(State.RIP, exit.rip, true);
    return exit.notExecuted;
  }
}

function flowOf(instruction: Instruction): Flow {
  const { row } = instruction;
  if (!row.meaning || instruction.codeSize !== 64) {
    return { kind: 'leave' };
  }
  const { ending } = instructionEffects(instruction);
  const next = BigInt.asUintN(64, instruction.rip + BigInt(instruction.length));
  const target = BigInt.asUintN(64, next + instruction.immediate);
  const calls = row.mnemonic.toUpperCase() === 'CALL';
  switch (ending) {
    case 'next':
      return { kind: 'next' };
    case 'jump':
      return { kind: calls ? 'call' : 'jump', target };
    case 'branch':
      return { kind: 'branch', target };
    case 'repeat':
      return { kind: 'branch', target: instruction.rip };
    case 'jumpTo':
      return { kind: 'indirect', returns: !calls };
  }
}
