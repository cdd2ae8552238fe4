import { domainOf } from '../../devices/iommu/translation-caches';
import { tableAddress } from '../../devices/iommu/host-memory';
import { RAM_BASE } from '../../memory/layout';
import type { Platform } from '../../machine/platform';
import type { Side } from './sides';
import { secondStageFormat } from './table-format';
import type { TablePage, TablePages } from './table-pages';
import type { Node } from './table-tree';
import { View, type PageSpace } from './view';

const PAGE = 4096;
const ENTRIES = 256;
const ENTRY_WORDS = 4;
const PRESENT = 1;
const TYPE_PASS_THROUGH = 2;
const MOST_NAMED = 4;

/** The tables of a domain, and the devices that are translated by them. */
export interface Domain {
  readonly view: View;
  readonly side: Side;
  /** PCI requester IDs */
  readonly requesters: number[];
  /** Domain identifiers, by which the IOTLB knows its pages */
  readonly ids: number[];
}

interface ContextEntry {
  readonly requester: number;
  readonly low: number;
  readonly high: number;
  readonly upper: number;
}

/** "00:01.1" */
export const deviceName = (requester: number): string =>
  `${(requester >> 8).toString(16).padStart(2, '0')}:${((requester >> 3) & 31).toString(16).padStart(2, '0')}.${requester & 7}`;

function namesOf(requesters: readonly number[]): string {
  if (requesters.length === 1) return `device ${deviceName(requesters[0] ?? 0)}`;
  if (requesters.length <= MOST_NAMED) return `devices ${requesters.map(deviceName).join(', ')}`;
  return `${requesters.length} devices (${requesters.slice(0, 2).map(deviceName).join(', ')}, ...)`;
}

/** What devices reach: the domains of all context entries in use, in memory and in the unit's cache. */
export class DeviceDomains {
  /** By root and address width of their tables */
  readonly domains = new Map<string, Domain>();
  /** Devices whose requests are not translated at all */
  passThrough: number[] = [];
  /** DMA remapping is there and on */
  enabled = false;
  private readonly held = new Map<number, TablePage>();
  private seen = '';

  constructor(
    private readonly platform: Platform,
    private readonly pages: TablePages,
    private readonly byPage: Map<number, Set<Node>>,
    private readonly space: PageSpace,
  ) {}

  /** Follows root table, context tables and context cache. `changed`: pages of tables that were written */
  refresh(changed: ReadonlySet<number>): void {
    const dma = this.platform.iommu?.dma;
    if (!dma) return;
    this.enabled = dma.translationEnabled;
    const seen = `${dma.translationEnabled} ${dma.root} ${dma.caches.keptContexts.size}`;
    if (seen === this.seen && ![...changed].some((page) => this.held.has(page))) return;
    this.seen = seen;
    const pages = new Set<number>();
    const entries = this.enabled ? [...this.contextEntries(dma.root, pages)] : [];
    if (this.enabled) for (const [requester, record] of dma.caches.keptContexts) entries.push({ requester, ...record });
    this.hold(pages);
    this.settle(entries);
  }

  dispose(): void {
    this.hold(new Set());
    this.settle([]);
    this.seen = '';
  }

  private *contextEntries(root: number, pages: Set<number>): Iterable<ContextEntry> {
    const buses = this.table(root / PAGE, pages);
    for (let bus = 0; buses && bus < ENTRIES; bus++) {
      const [low = 0, high = 0] = buses.subarray(bus * ENTRY_WORDS);
      if (!(low & PRESENT)) continue;
      const contexts = this.table(tableAddress(low, high) / PAGE, pages);
      for (let device = 0; contexts && device < ENTRIES; device++) {
        const [first = 0, second = 0, upper = 0] = contexts.subarray(device * ENTRY_WORDS, device * ENTRY_WORDS + 3);
        if (first & PRESENT) yield { requester: (bus << 8) | device, low: first, high: second, upper };
      }
    }
  }

  private table(page: number, pages: Set<number>): Int32Array | undefined {
    if (page >= this.space.ramPages) return undefined;
    pages.add(page);
    const at = (RAM_BASE + page * PAGE) / 4;
    return this.platform.memory.i32.subarray(at, at + PAGE / 4);
  }

  private hold(pages: ReadonlySet<number>): void {
    for (const page of pages) if (!this.held.has(page)) this.held.set(page, this.pages.acquire(page));
    for (const [page, table] of this.held) {
      if (pages.has(page)) continue;
      this.pages.release(table);
      this.held.delete(page);
    }
  }

  private settle(entries: readonly ContextEntry[]): void {
    const wanted = new Map<string, { requesters: Set<number>; ids: Set<number>; root: number; width: number }>();
    const through = new Set<number>();
    for (const { requester, low, high, upper } of entries) {
      if (((low >>> 2) & 3) === TYPE_PASS_THROUGH) {
        through.add(requester);
        continue;
      }
      const root = tableAddress(low, high);
      const key = `${root} ${upper & 7}`;
      const row = wanted.get(key) ?? { requesters: new Set(), ids: new Set(), root, width: upper & 7 };
      row.requesters.add(requester);
      row.ids.add(domainOf(upper));
      wanted.set(key, row);
    }
    this.passThrough = [...through];
    for (const [key, domain] of this.domains) {
      if (wanted.has(key)) continue;
      domain.view.tree.dispose();
      this.domains.delete(key);
      domain.view.takeChanges(this.dropped);
    }
    for (const [key, { requesters, ids, root, width }] of wanted) {
      const format = secondStageFormat(width);
      if (!format) continue;
      const view = this.domains.get(key)?.view ?? new View(this.pages, this.byPage, format, root, this.space);
      const devices = [...requesters].sort((a, b) => a - b);
      const side: Side = { kind: 'device', number: -2, name: namesOf(devices), views: new Set([view]) };
      this.domains.set(key, { view, side, requesters: devices, ids: [...ids] });
    }
  }

  /** Pages of domains that are no more, to be judged again */
  readonly dropped = new Set<number>();
}
