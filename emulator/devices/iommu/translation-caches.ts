import type { StateReader, StateWriter } from '../device';

/** What a context entry says, as far as a translation needs it */
export interface ContextRecord {
  readonly low: number;
  readonly high: number;
  /** The upper quadword's low doubleword: AW and domain */
  readonly upper: number;
}

export interface IotlbEntry {
  readonly domain: number;
  /** First byte, as devices see it */
  readonly address: number;
  readonly size: number;
  readonly host: number;
  readonly rights: number;
}

const PAGE_SIZES = [4096, 0x200000, 0x40000000] as const;
/** More than any unit has; the oldest makes room. */
const IOTLB_MOST = 8192;

/**
 * Context cache and IOTLB (VT-d specification, "Caching Translation Information"). They hold what was used until
 * software invalidates it: whoever changes tables and forgets to, keeps the old translation here as on silicon.
 */
export class TranslationCaches {
  private contexts = new Map<number, ContextRecord>();
  /** One map for each page size; keys hold domain and page number. */
  private readonly iotlb = PAGE_SIZES.map(() => new Map<number, IotlbEntry>());

  context(requester: number): ContextRecord | undefined {
    return this.contexts.get(requester);
  }

  keepContext(requester: number, record: ContextRecord): void {
    this.contexts.set(requester, record);
  }

  page(domain: number, address: number): IotlbEntry | undefined {
    for (let i = 0; i < PAGE_SIZES.length; i++) {
      const found = this.iotlb[i]?.get(keyOf(domain, address, PAGE_SIZES[i] ?? 4096));
      if (found) return found;
    }
    return undefined;
  }

  keepPage(entry: IotlbEntry): void {
    const map = this.iotlb[PAGE_SIZES.findIndex((size) => size === entry.size)];
    if (!map) return;
    if (map.size >= IOTLB_MOST)
      for (const oldest of map.keys()) {
        map.delete(oldest);
        break;
      }
    map.set(keyOf(entry.domain, entry.address, entry.size), entry);
  }

  /** What is cached, for those who look on */
  get keptContexts(): ReadonlyMap<number, ContextRecord> {
    return this.contexts;
  }

  *keptPages(): Iterable<IotlbEntry> {
    for (const map of this.iotlb) yield* map.values();
  }

  dropContexts(chosen: (requester: number, domain: number) => boolean): void {
    for (const [requester, { upper }] of this.contexts) {
      if (chosen(requester, domainOf(upper))) this.contexts.delete(requester);
    }
  }

  dropPages(chosen: (entry: IotlbEntry) => boolean): void {
    for (const map of this.iotlb) for (const [key, entry] of map) if (chosen(entry)) map.delete(key);
  }

  save(out: StateWriter): void {
    out.u32(this.contexts.size);
    for (const [requester, { low, high, upper }] of this.contexts) {
      for (const value of [requester, low, high, upper]) out.u32(value >>> 0);
    }
    for (const map of this.iotlb) {
      out.u32(map.size);
      for (const { domain, address, size, host, rights } of map.values()) {
        out.u32(domain);
        out.f64(address);
        out.f64(size);
        out.f64(host);
        out.u8(rights);
      }
    }
  }

  restore(from: StateReader): void {
    this.contexts = new Map();
    for (let count = from.u32(); count > 0; count--) {
      const requester = from.u32();
      this.contexts.set(requester, { low: from.u32(), high: from.u32(), upper: from.u32() });
    }
    for (const map of this.iotlb) {
      map.clear();
      for (let count = from.u32(); count > 0; count--) {
        const entry = {
          domain: from.u32(),
          address: from.f64(),
          size: from.f64(),
          host: from.f64(),
          rights: from.u8(),
        };
        map.set(keyOf(entry.domain, entry.address, entry.size), entry);
      }
    }
  }
}

const keyOf = (domain: number, address: number, size: number): number => domain * 2 ** 36 + Math.floor(address / size);

export const domainOf = (upper: number): number => (upper >>> 8) & 0xffff;
