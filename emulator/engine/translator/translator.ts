import type { Instruction } from '../../isa/instruction';
import { JUMP_CACHE, State, TLB_ADDEND, TLB_BASE, TLB_ENTRIES, TLB_ENTRY_SIZE, TLB_EXECUTE } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { EngineHost } from '../host';
import { discoverBlocks, type BlockGraph, type Flow } from './blocks';
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
import { loopHeads, structure } from './structure';
import { RegionCache, type Region } from './region-cache';

/** What the translator needs from the engine. */
export interface TranslatorHost extends Pick<EngineHost, 'refill'> {
  /** Decodes `bytes[start..end)` as 64-bit code; undefined when the bytes end before the instruction does */
  decode(bytes: Uint8Array, start: number, end: number, rip: bigint): Instruction | undefined;
  isBreakpoint(rip: bigint): boolean;
  /** New entries exist in a page of RAM: the interpreter is to stop at them. */
  regionAdded(pageHost: number): void;
}

const PAGE = 4096;
const LONGEST_INSTRUCTION = 15;
/** Entries that are still compiled together */
const MAX_SEEDS = 24;
/**
 * What an arrival at untranslated code counts, in interpreted instructions: it costs as much as some thousand, and a
 * dispatcher that jumps to twenty places arrives at each of them before they are all entries.
 */
const MISS_WEIGHT = 1000;
/** Sampled addresses whose loop is remembered */
const MAX_HEADS = 4096;

/**
 * Translates hot code into WebAssembly regions and runs them. Caches only: dropping everything changes no result.
 * 64-bit mode with flat segments; the engine asks nothing of it in other modes.
 */
export class Translator {
  private readonly table = new WebAssembly.Table({ element: 'anyfunc', initial: 4096 });
  private readonly regions: RegionCache;
  private readonly dispatcher: Dispatcher;
  /** Executed instructions sampled in a loop, by the linear address of its head; outside loops by that of the page */
  private readonly heat = new Map<bigint, number>();
  /** What `loopAround` found. A head that is one no more costs a translation for nothing. */
  private readonly heads = new Map<bigint, bigint>();
  /** Addresses that translated code left for, with the weight of it */
  private readonly misses = new Map<bigint, number>();
  /** Executed instructions in a loop before it is translated */
  threshold = 300_000;
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
    if (this.usedSlots.length === 0) return;
    for (const slot of this.usedSlots) this.memory.view.setBigUint64(slot, NO_RIP, true);
    this.usedSlots.length = 0;
  }

  /** The bytes of a page of RAM changed, or its records were dropped. */
  dropPage(pageHost: number): void {
    this.heads.clear();
    if (this.regions.dropPage(pageHost)) this.translationChanged();
  }

  clear(): void {
    this.regions.clear();
    this.heat.clear();
    this.heads.clear();
    this.misses.clear();
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
    return this.regions.hasEntry(linear, pageHost);
  }

  /** Reports interpreted instructions around State.RIP, and translates the loop there once it is hot. */
  sample(executed: number): void {
    const rip = this.memory.view.getBigUint64(State.RIP, true);
    if (this.pageHost(rip) < 0 || this.regionAt(rip)) return;
    const head = this.loopAround(rip);
    if (this.regionAt(head)) return;
    // Where there is no loop, no one address is met again and again: the page counts.
    const place = head === rip ? rip & ~0xfffn : head;
    const heat = (this.heat.get(place) ?? 0) + executed;
    this.heat.set(place, heat);
    if (heat < this.threshold) return;
    this.heat.delete(place);
    this.compile([head]);
  }

  /**
   * The head of the outermost loop that surely contains an address: the sampled instruction is anywhere in its loop,
   * and a region that is entered there would have to dispatch at the loop's head.
   */
  private loopAround(rip: bigint): bigint {
    let head = this.heads.get(rip);
    if (head === undefined) {
      if (this.heads.size >= MAX_HEADS) this.heads.clear();
      this.heads.set(rip, (head = this.findLoopAround(rip)));
    }
    return head;
  }

  private findLoopAround(rip: bigint): bigint {
    const { blocks } = this.discover([rip]);
    let head = rip;
    for (const block of blocks) {
      if (block.rip > rip && !block.instructions.some((instruction) => instruction.rip >= rip)) continue;
      for (const id of block.successors) {
        const target = blocks[id]!.rip;
        if (target <= rip && target < head && block.rip >= target) head = target;
      }
    }
    return head;
  }

  /**
   * Translated code went on at an address where there is none; true when there is now. The target of an indirect jump
   * becomes one more entry of the region that jumped, so that next time it stays inside.
   */
  private missed(rip: bigint, from: Region | undefined): boolean {
    if (this.pageHost(rip) < 0) return false;
    const weight = (this.misses.get(rip) ?? 0) + MISS_WEIGHT;
    this.misses.set(rip, weight);
    if (weight < this.threshold) return false;
    this.misses.delete(rip);
    const near = from?.indirect && from.pages.some(({ linear }) => linear === (rip & ~0xfffn));
    return this.compile(near && from.seeds.length < MAX_SEEDS ? [rip, ...from.seeds] : [rip]);
  }

  private discover(seeds: readonly bigint[]): BlockGraph {
    const graph = discoverBlocks(seeds, {
      decode: (at) => (this.host.isBreakpoint(at) ? undefined : this.decode(at)),
      flow: flowOf,
      isAvailable: (page) => this.pageHost(page) >= 0,
    });
    return withLoopEntries(graph);
  }

  /** Compiles one region for some entries; true when the first can be entered. */
  private compile(seeds: readonly bigint[]): boolean {
    const graph = this.discover(seeds);
    const first = graph.byRip.get(seeds[0]!);
    if (first === undefined || graph.blocks[first]!.instructions.length === 0) return false;
    const entries = new Set(graph.entries.map((id) => graph.blocks[id]!.rip));
    this.regions.dropCovered(entries, this.pageHost(seeds[0]!));
    this.regions.compile(graph, seeds, (page) => this.pageHost(page));
    this.translationChanged();
    for (const page of graph.pages) this.host.regionAdded(this.pageHost(page));
    return true;
  }

  /** The instruction at a linear address whose bytes can be fetched without any effect. */
  private decode(rip: bigint): Instruction | undefined {
    const { u8 } = this.memory;
    const host = this.pageHost(rip);
    if (host < 0) return undefined;
    const start = host + Number(rip & 0xfffn);
    const inPage = this.host.decode(u8, start, host + PAGE, rip);
    if (inPage) return inPage;
    const next = this.pageHost((rip & ~0xfffn) + BigInt(PAGE));
    if (next < 0) return undefined;
    const bytes = new Uint8Array(LONGEST_INSTRUCTION);
    const available = host + PAGE - start;
    bytes.set(u8.subarray(start, host + PAGE));
    bytes.set(u8.subarray(next, next + LONGEST_INSTRUCTION - available), available);
    return this.host.decode(bytes, 0, LONGEST_INSTRUCTION, rip);
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
    return this.regions.find(rip, (page) => this.pageHost(page.linear) === page.host);
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
      if (!region) {
        if (this.missed(rip, this.regions.get(view.getInt32(EXIT_REGION, true)))) continue;
        break;
      }
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

/**
 * Makes every head of a loop an entry: where the budget of a run ends, at a loop's head, the next run enters again.
 */
function withLoopEntries(graph: BlockGraph): BlockGraph {
  const nodes = graph.blocks.map((block) => block.id);
  const successors = (id: number): readonly number[] => graph.blocks[id]!.successors;
  const entries = new Set(graph.entries);
  for (let before = -1; before !== entries.size;) {
    before = entries.size;
    for (const head of loopHeads(structure(nodes, [...entries], successors))) entries.add(head);
  }
  return { ...graph, entries: [...entries] };
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
