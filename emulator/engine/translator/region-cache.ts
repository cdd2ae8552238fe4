import { ENTRY_MAPS, ENTRY_MAPS_END } from '../../memory/layout';
import type { MachineMemory } from '../../memory/machine-memory';
import type { BlockGraph } from './blocks';
import { RegionEmitter, type RegionExit } from './region-emitter';
import { TableSlot } from './linkage';

/** A page that a region was made from: where its bytes lie in wasm memory, and which of them were decoded. */
export interface RegionPage {
  readonly linear: bigint;
  readonly host: number;
  /** Pairs of offset and end */
  readonly ranges: readonly (readonly [number, number])[];
}

/** A compiled region. Valid while its pages hold the bytes they held and are mapped where they were. */
export interface Region {
  readonly id: number;
  readonly pages: readonly RegionPage[];
  /** Entries that it was made for */
  readonly seeds: readonly bigint[];
  /** It contains jumps whose targets are only known at run time */
  readonly indirect: boolean;
  readonly element: number;
  readonly exits: readonly RegionExit[];
  /** Entry number by linear address */
  readonly entries: ReadonlyMap<bigint, number>;
  readonly instructionCount: number;
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

  /** The region that can be entered at this linear address when its pages are mapped as `isMapped` says. */
  find(rip: bigint, isMapped: (page: RegionPage) => boolean): Region | undefined {
    return this.byRip.get(rip)?.find((region) => region.pages.every(isMapped));
  }

  /** True when some region can be entered at an address of this page of RAM. */
  hasEntry(rip: bigint, host: number): boolean {
    const linear = rip & ~0xfffn;
    const regions = this.byRip.get(rip) ?? [];
    return regions.some(({ pages }) => pages.some((page) => page.linear === linear && page.host === host));
  }

  /** Drops the regions that a new one makes superfluous: all their entries are its entries too. */
  dropCovered(entries: ReadonlySet<bigint>, host: number): void {
    for (const region of [...(this.byHost.get(host) ?? [])]) {
      if ([...region.entries.keys()].every((rip) => entries.has(rip))) this.drop(region);
    }
  }

  get empty(): boolean {
    return this.byId.size === 0;
  }

  hasPage(host: number): boolean {
    return this.byHost.has(host);
  }

  covers(address: number, length: number): boolean {
    const offset = address & 0xfff;
    const host = (address & ~0xfff) >>> 0;
    for (const { pages } of this.byHost.get(host) ?? []) {
      const page = pages.find((candidate) => candidate.host === host);
      if (page?.ranges.some(([from, to]) => offset < to && offset + length > from)) return true;
    }
    return false;
  }

  compile(graph: BlockGraph, seeds: readonly bigint[], hostOf: (page: bigint) => number): void {
    if (this.byId.size >= MAX_REGIONS) this.clear();
    const last = graph.blocks.at(-1)!;
    const base = graph.blocks[0]!.rip;
    const length = Number(last.rip - base) + 1;
    const address = this.allocateMap(length * 2);
    const id = this.nextId++;
    const { bytes, exits, indirect } = new RegionEmitter(graph, id, { address, base, length }).generate();
    const module = new WebAssembly.Module(bytes);
    const instance = new WebAssembly.Instance(module, { env: { memory: this.memory.wasm, table: this.table } });
    const element = this.freeElements.pop() ?? this.nextElement++;
    if (element >= this.table.length) this.table.grow(1024);
    this.table.set(element, instance.exports['region']);

    const entries = new Map(graph.entries.map((block) => [graph.blocks[block]!.rip, block]));
    for (const [rip, block] of entries) {
      this.memory.view.setUint16(address + Number(rip - base) * 2, block + 1, true);
    }
    const pages = graph.pages.map((linear) => ({ linear, host: hostOf(linear), ranges: rangesOf(graph, linear) }));
    const { instructionCount } = graph;
    const region: Region = { id, pages, seeds, indirect, element, exits, entries, instructionCount };
    this.byId.set(id, region);
    for (const { host } of pages) {
      const siblings = this.byHost.get(host) ?? new Set();
      this.byHost.set(host, siblings.add(region));
    }
    for (const rip of entries.keys()) this.byRip.set(rip, [region, ...(this.byRip.get(rip) ?? [])]);
    this.compiled++;
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
    const regions = [...(this.byHost.get(host) ?? [])];
    for (const region of regions) this.drop(region);
    return regions.length > 0;
  }

  dropLinear(page: bigint): boolean {
    const regions = [...this.byId.values()].filter(({ pages }) => pages.some(({ linear }) => linear === page));
    for (const region of regions) this.drop(region);
    return regions.length > 0;
  }

  private drop(region: Region): void {
    this.byId.delete(region.id);
    for (const { host } of region.pages) {
      const siblings = this.byHost.get(host);
      siblings?.delete(region);
      if (siblings?.size === 0) this.byHost.delete(host);
    }
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
    for (const region of [...this.byId.values()]) this.drop(region);
    this.nextMap = ENTRY_MAPS;
  }
}

/** The bytes of one page that a graph was decoded from. */
function rangesOf(graph: BlockGraph, page: bigint): (readonly [number, number])[] {
  return graph.blocks.flatMap(({ rip, instructions }) => {
    const length = instructions.reduce((sum, instruction) => sum + instruction.length, 0);
    const from = Math.max(0, Number(rip - page));
    const to = Math.min(0x1000, Number(rip - page) + length);
    return from < to ? [[from, to] as const] : [];
  });
}
