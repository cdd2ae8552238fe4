import { ENTRY_MAPS, ENTRY_MAPS_END } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { BlockGraph } from './blocks';
import { RegionEmitter, type RegionExit } from './region-emitter';
import { TableSlot } from './linkage';

/** A compiled region. Valid while its page still holds the bytes it was made from and is mapped at `page`. */
export interface Region {
  readonly id: number;
  /** Linear address of its page, and the wasm address of that page in RAM */
  readonly page: bigint;
  readonly host: number;
  readonly element: number;
  readonly exits: readonly RegionExit[];
  /** Entry number by linear address */
  readonly entries: ReadonlyMap<bigint, number>;
  readonly instructionCount: number;
  /** Byte ranges of the page that it was made from: pairs of offset and end */
  readonly ranges: readonly (readonly [number, number])[];
}

/** Live regions are capped; past that all are dropped, which is rare, cheap and deterministic. */
const MAX_REGIONS = 3000;

/** Compiles regions and finds them by linear address and page. */
export class RegionCache {
  private readonly byId = new Map<number, Region>();
  /** Regions of one page of RAM */
  private readonly byHost = new Map<number, Set<Region>>();
  private readonly byRip = new Map<bigint, Region[]>();
  private readonly freeElements: number[] = [];
  private nextElement: number = TableSlot.FirstRegion;
  private nextId = 1;
  private nextMap = ENTRY_MAPS;
  compiled = 0;
  dropped = 0;

  constructor(
    private readonly memory: MachineMemory,
    private readonly table: WebAssembly.Table,
  ) {}

  get(id: number): Region | undefined {
    return this.byId.get(id);
  }

  /** The region that can be entered at this linear address when its page lies at this wasm address. */
  find(rip: bigint, host: number): Region | undefined {
    return this.byRip.get(rip)?.find((region) => region.host === host);
  }

  get empty(): boolean {
    return this.byId.size === 0;
  }

  hasPage(host: number): boolean {
    return this.byHost.has(host);
  }

  covers(address: number, length: number): boolean {
    const offset = address & 0xfff;
    for (const region of this.byHost.get(address & ~0xfff) ?? []) {
      if (region.ranges.some(([from, to]) => offset < to && offset + length > from)) return true;
    }
    return false;
  }

  compile(graph: BlockGraph, page: bigint, host: number): Region {
    if (this.byId.size >= MAX_REGIONS) this.clear();
    const last = graph.blocks.at(-1)!;
    const base = graph.blocks[0]!.rip;
    const length = Number(last.rip - base) + 1;
    const address = this.allocateMap(length * 2);
    const id = this.nextId++;
    const { bytes, exits } = new RegionEmitter(graph, id, { address, base, length }).generate();
    const module = new WebAssembly.Module(bytes);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory.wasm, table: this.table } });
    const element = this.freeElements.pop() ?? this.nextElement++;
    if (element >= this.table.length) this.table.grow(1024);
    this.table.set(element, instance.exports['region']);

    const entries = new Map(graph.entries.map((block) => [graph.blocks[block]!.rip, block]));
    for (const [rip, block] of entries) {
      this.memory.view.setUint16(address + Number(rip - base) * 2, block + 1, true);
    }
    const { instructionCount } = graph;
    const region: Region = { id, page, host, element, exits, entries, instructionCount, ranges: rangesOf(graph) };
    this.byId.set(id, region);
    const siblings = this.byHost.get(host) ?? new Set();
    this.byHost.set(host, siblings.add(region));
    for (const rip of entries.keys()) this.byRip.set(rip, [region, ...(this.byRip.get(rip) ?? [])]);
    this.compiled++;
    return region;
  }

  /** Zeroed space for an entry map; when it is full, every region is dropped. */
  private allocateMap(bytes: number): number {
    if (this.nextMap + bytes > ENTRY_MAPS_END) this.clear();
    const address = this.nextMap;
    this.nextMap += (bytes + 7) & ~7;
    this.memory.u8.fill(0, address, address + bytes);
    return address;
  }

  /** Drops the regions of a page of RAM; true when there were any. */
  dropPage(host: number): boolean {
    const regions = this.byHost.get(host);
    if (!regions) return false;
    for (const region of regions) this.drop(region);
    this.byHost.delete(host);
    return true;
  }

  dropLinear(page: bigint): boolean {
    const regions = [...this.byId.values()].filter((region) => region.page === page);
    for (const region of regions) {
      this.drop(region);
      const siblings = this.byHost.get(region.host);
      siblings?.delete(region);
      if (siblings?.size === 0) this.byHost.delete(region.host);
    }
    return regions.length > 0;
  }

  private drop(region: Region): void {
    this.byId.delete(region.id);
    for (const rip of region.entries.keys()) {
      const rest = (this.byRip.get(rip) ?? []).filter((other) => other !== region);
      if (rest.length) this.byRip.set(rip, rest);
      else this.byRip.delete(rip);
    }
    this.table.set(region.element, null);
    this.freeElements.push(region.element);
    this.dropped++;
  }

  clear(): void {
    for (const region of this.byId.values()) this.drop(region);
    this.byHost.clear();
    this.nextMap = ENTRY_MAPS;
  }
}

function rangesOf(graph: BlockGraph): (readonly [number, number])[] {
  return graph.blocks.flatMap(({ rip, instructions }) => {
    const from = Number(rip & 0xfffn);
    const length = instructions.reduce((sum, instruction) => sum + instruction.length, 0);
    return length ? [[from, from + length] as const] : [];
  });
}
