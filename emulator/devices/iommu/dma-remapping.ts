import type { Device, StateReader, StateWriter } from '../device';
import type { DmaRemapper } from '../dma/dma-bus';
import { BEYOND_PHYSICAL } from '../../memory/paging-format';
import type { FaultLog } from './fault-log';
import { FAULT_REASONS, FaultReason } from './fault-reasons';
import { tableAddress, type HostMemory } from './host-memory';
import { GUEST_ADDRESS_BITS } from './registers';
import { Right, SECOND_STAGE, SecondStageWalker, type EntrySink } from './second-stage';
import { domainOf, TranslationCaches, type ContextRecord } from './translation-caches';

const PRESENT = 1;
/** Root and context entries: reserved bits 11:1 and 11:4 of the low quadword */
const ROOT_RESERVED = 0xffe;
const CONTEXT_RESERVED = 0xff0;
/** Of the context entry's upper quadword: bit 7, and 63:24 */
const CONTEXT_RESERVED_UPPER = 0xff000080;
const FAULT_PROCESSING_DISABLE = 2;
const ENTRY_SIZE = 16;
const TYPE_PASS_THROUGH = 2;
const INTERRUPT_RANGE = 0xfee00000;
const INTERRUPT_RANGE_END = 0xfef00000;

/** What one translation of the tables, without the caches, found. For the debugger. */
export interface DmaProbe {
  readonly reason: FaultReason | 0;
  readonly host: number;
}

/**
 * DMA remapping in legacy mode (VT-d specification, "DMA Remapping"): requester to context entry through root and
 * context table, address to page through the second-stage tables of its domain.
 */
export class DmaRemapping implements DmaRemapper, Device {
  readonly name = 'DMA remapping';
  readonly caches = new TranslationCaches();
  translationEnabled = false;
  /** As latched by "set root table pointer" */
  root = 0;
  blockedBy = '';
  private readonly walker: SecondStageWalker;
  private disabled = false;

  constructor(
    private readonly memory: HostMemory,
    private readonly faults: FaultLog,
  ) {
    this.walker = new SecondStageWalker(memory);
  }

  translate(requester: number, address: number, write: boolean): number {
    this.disabled = false;
    const context = this.contextOf(requester);
    if (typeof context === 'number') return this.block(context, requester, address, write);
    this.disabled = (context.low & FAULT_PROCESSING_DISABLE) !== 0;
    if (typeOf(context) === TYPE_PASS_THROUGH) return address;
    const needed = write ? Right.WRITE : Right.READ;
    const domain = domainOf(context.upper);
    const tables = SECOND_STAGE[context.upper & 7];
    if (!tables) return this.block(FaultReason.ContextInvalid, requester, address, write);
    if (address >= tables.size || address >= 2 ** GUEST_ADDRESS_BITS) {
      return this.block(FaultReason.AddressTooWide, requester, address, write);
    }
    const cached = this.caches.page(domain, address);
    if (cached) {
      if ((cached.rights & needed) !== 0) return cached.host + (address - cached.address);
      return this.block(write ? FaultReason.NotWritable : FaultReason.NotReadable, requester, address, write);
    }
    const { walker } = this;
    const reason = walker.walk(tables, tableAddress(context.low, context.high), address, needed);
    if (reason) return this.block(reason, requester, address, write);
    const { page, pageSize, rights } = walker;
    const host = page + (address % pageSize);
    if (host >= INTERRUPT_RANGE && host < INTERRUPT_RANGE_END) {
      return this.block(FaultReason.InterruptAddress, requester, address, write);
    }
    this.caches.keepPage({ domain, address: address - (address % pageSize), size: pageSize, host: page, rights });
    return host;
  }

  /** What the tables in memory say now; no cache, no fault record. `sink` sees the second-stage entries. */
  probe(requester: number, address: number, tableSink: EntrySink, pageSink: EntrySink): DmaProbe {
    const context = this.readContext(requester, tableSink);
    if (typeof context === 'number') return { reason: context, host: -1 };
    if (typeOf(context) === TYPE_PASS_THROUGH) return { reason: 0, host: address };
    const tables = SECOND_STAGE[context.upper & 7];
    if (!tables) return { reason: FaultReason.ContextInvalid, host: -1 };
    if (address >= tables.size) return { reason: FaultReason.AddressTooWide, host: -1 };
    const reason = this.walker.walk(tables, tableAddress(context.low, context.high), address, 0, pageSink);
    return { reason, host: reason ? -1 : this.walker.page + (address % this.walker.pageSize) };
  }

  /** Invalidates context entries. `functionMask`: which function bits do not count (FM field). */
  invalidateContexts(granularity: number, domain: number, source: number, functionMask: number): void {
    const ignored = [0, 4, 6, 7][functionMask & 3] ?? 0;
    this.caches.dropContexts((requester, of) => {
      if (granularity === 1) return true;
      if (of !== domain) return false;
      return granularity === 2 || (requester & ~ignored) === (source & ~ignored);
    });
  }

  /** Invalidates pages: 1 all, 2 of a domain, 3 of a domain within 2^mask pages around an address. */
  invalidatePages(granularity: number, domain: number, address: number, mask: number): void {
    const span = 2 ** (12 + mask);
    const first = Math.floor(address / span) * span;
    this.caches.dropPages((entry) => {
      if (granularity === 1) return true;
      if (entry.domain !== domain) return false;
      return granularity === 2 || (entry.address < first + span && entry.address + entry.size > first);
    });
  }

  private contextOf(requester: number): ContextRecord | FaultReason {
    const cached = this.caches.context(requester);
    if (cached) return cached;
    const found = this.readContext(requester);
    if (typeof found !== 'number') this.caches.keepContext(requester, found);
    return found;
  }

  private readContext(requester: number, sink?: EntrySink): ContextRecord | FaultReason {
    const { memory } = this;
    const rootAt = this.root + (requester >>> 8) * ENTRY_SIZE;
    if (!memory.load(rootAt, 4)) return FaultReason.RootAccess;
    const [low = 0, high = 0, third = 0, fourth = 0] = memory.words;
    sink?.('Root entry', 6, rootAt, low, high, tableAddress(low, high), false);
    if (!(low & PRESENT)) return FaultReason.RootNotPresent;
    if (low & ROOT_RESERVED || high & BEYOND || third || fourth) return FaultReason.RootReserved;
    const contextAt = tableAddress(low, high) + (requester & 0xff) * ENTRY_SIZE;
    if (!memory.load(contextAt, 4)) return FaultReason.ContextAccess;
    const [contextLow = 0, contextHigh = 0, upper = 0, last = 0] = memory.words;
    sink?.('Context entry', 5, contextAt, contextLow, contextHigh, tableAddress(contextLow, contextHigh), false);
    this.disabled = (contextLow & FAULT_PROCESSING_DISABLE) !== 0;
    if (!(contextLow & PRESENT)) return FaultReason.ContextNotPresent;
    if (contextLow & CONTEXT_RESERVED || contextHigh & BEYOND || upper & CONTEXT_RESERVED_UPPER || last) {
      return FaultReason.ContextReserved;
    }
    const record = { low: contextLow, high: contextHigh, upper };
    const type = typeOf(record);
    // TT 01 needs device TLBs, which are not there; 11 is reserved.
    if ((type !== 0 && type !== TYPE_PASS_THROUGH) || !SECOND_STAGE[upper & 7]) return FaultReason.ContextInvalid;
    return record;
  }

  private block(reason: FaultReason, requester: number, address: number, write: boolean): -1 {
    this.blockedBy = FAULT_REASONS[reason].name;
    this.faults.record(reason, requester, BigInt(address - (address % 4096)), write, this.disabled);
    return -1;
  }

  save(out: StateWriter): void {
    out.u8(Number(this.translationEnabled));
    out.f64(this.root);
    this.caches.save(out);
  }

  restore(from: StateReader): void {
    this.translationEnabled = from.u8() !== 0;
    this.root = from.f64();
    this.caches.restore(from);
  }
}

/** Address bits 63:HAW of root and context entries */
const BEYOND = (0xfff00000 | BEYOND_PHYSICAL) >>> 0;

const typeOf = ({ low }: ContextRecord): number => (low >>> 2) & 3;
