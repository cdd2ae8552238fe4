import { BROADCAST, type ApicMessage } from '../apic-bus';
import { Delivery, Shorthand } from '../apic-registers';
import type { Device, StateReader, StateWriter } from '../device';
import type { InterruptMessageSink } from '../interrupt-message';
import type { FaultLog } from './fault-log';
import { FaultReason } from './fault-reasons';
import type { HostMemory } from './host-memory';

/** Bits of an interrupt request's address */
const REMAPPABLE = 0x10;
const SUBHANDLE_VALID = 0x08;
const HANDLE_15 = 0x04;
/** Interrupt remapping table entry, low doubleword */
const PRESENT = 0x01;
const FAULT_PROCESSING_DISABLE = 0x02;
const LOGICAL = 0x04;
const REDIRECTION_HINT = 0x08;
const LEVEL = 0x10;
/** 14:12, 15 (posted format, which is not there) and 31:24 */
const RESERVED = 0xff00f000;
/** Destination of an xAPIC: bits 15:8; everything else is reserved */
const XAPIC_RESERVED = 0xffff00ff;
/** Third doubleword: SID 15:0, SQ 17:16, SVT 19:18 */
const THIRD_RESERVED = 0xfff00000;
const ENTRY_SIZE = 16;

/** An entry as the cache keeps it */
interface Entry {
  readonly low: number;
  readonly destination: number;
  readonly source: number;
}

export interface ApicBusPort {
  deliver(message: ApicMessage): boolean;
}

/**
 * Interrupt remapping (VT-d specification, "Interrupt Remapping"): stands between devices and I/O APICs on one side
 * and the local APICs' bus on the other. While it is off, messages pass as they are.
 */
export class InterruptRemapping implements InterruptMessageSink, Device {
  readonly name = 'interrupt remapping';
  enabled = false;
  /** CFI: requests in compatibility format pass, unless extended interrupt mode is on */
  compatibilityAllowed = false;
  // As latched by "set interrupt remap table pointer"
  table = 0;
  entries = 0;
  extended = false;
  private cache = new Map<number, Entry>();

  constructor(
    private readonly memory: HostMemory,
    private readonly faults: FaultLog,
    private readonly apics: ApicBusPort,
    private readonly direct: InterruptMessageSink,
  ) {}

  send(requester: number, address: bigint, data: number): void {
    const low = Number(address & 0xfffffn);
    if (!this.enabled) {
      this.direct.send(requester, address, data);
      return;
    }
    if (!(low & REMAPPABLE)) {
      if (this.compatibilityAllowed && !this.extended) this.direct.send(requester, address, data);
      else this.block(FaultReason.CompatibilityBlocked, requester, 0, false);
      return;
    }
    this.remap(requester, low, data);
  }

  invalidate(all: boolean, index: number, mask: number): void {
    if (all) {
      this.cache.clear();
      return;
    }
    const span = 2 ** mask;
    const first = Math.floor(index / span) * span;
    for (let i = first; i < first + span; i++) this.cache.delete(i);
  }

  private remap(requester: number, low: number, data: number): void {
    const handle = ((low >>> 5) & 0x7fff) | (low & HANDLE_15 ? 0x8000 : 0);
    const sub = (low & SUBHANDLE_VALID) !== 0;
    const index = sub ? handle + (data & 0xffff) : handle;
    if (sub && data >>> 16 !== 0) {
      this.block(FaultReason.RequestReserved, requester, index, false);
      return;
    }
    if (index >= this.entries) {
      this.block(FaultReason.IndexTooLarge, requester, index, false);
      return;
    }
    const entry = this.cache.get(index) ?? this.fetch(requester, index);
    if (!entry) return;
    if (!admits(entry.source, requester)) {
      this.block(FaultReason.SourceRefused, requester, index, (entry.low & FAULT_PROCESSING_DISABLE) !== 0);
      return;
    }
    this.apics.deliver(this.messageOf(entry));
  }

  private fetch(requester: number, index: number): Entry | undefined {
    const { memory } = this;
    if (!memory.load(this.table + index * ENTRY_SIZE, 4)) {
      this.block(FaultReason.InterruptTableAccess, requester, index, false);
      return undefined;
    }
    const [low = 0, destination = 0, source = 0, last = 0] = memory.words;
    const disabled = (low & FAULT_PROCESSING_DISABLE) !== 0;
    if (!(low & PRESENT)) {
      this.block(FaultReason.EntryNotPresent, requester, index, disabled);
      return undefined;
    }
    const reserved =
      low & RESERVED || source & THIRD_RESERVED || last || (!this.extended && destination & XAPIC_RESERVED);
    // SVT 11 is reserved too.
    if (reserved || ((source >>> 18) & 3) === 3) {
      this.block(FaultReason.EntryReserved, requester, index, disabled);
      return undefined;
    }
    const entry = { low, destination, source };
    this.cache.set(index, entry);
    return entry;
  }

  private messageOf({ low, destination }: Entry): ApicMessage {
    const logical = (low & LOGICAL) !== 0;
    const delivery = (low >>> 5) & 7;
    const redirected = logical && (low & REDIRECTION_HINT) !== 0 && delivery === (Delivery.Fixed as number);
    const short = (destination >>> 8) & 0xff;
    return {
      vector: (low >>> 16) & 0xff,
      delivery: redirected ? Delivery.LowestPriority : delivery,
      logical,
      assert: true,
      levelTriggered: (low & LEVEL) !== 0,
      shorthand: Shorthand.None,
      destination: this.extended ? destination : !logical && short === 0xff ? BROADCAST : short,
    };
  }

  private block(reason: FaultReason, requester: number, index: number, disabled: boolean): void {
    this.faults.record(reason, requester, BigInt(index & 0xffff) << 48n, true, disabled);
  }

  save(out: StateWriter): void {
    out.u8(Number(this.enabled) | (Number(this.compatibilityAllowed) << 1) | (Number(this.extended) << 2));
    out.f64(this.table);
    out.u32(this.entries);
    out.u32(this.cache.size);
    for (const [index, { low, destination, source }] of this.cache) {
      for (const value of [index, low, destination, source]) out.u32(value >>> 0);
    }
  }

  restore(from: StateReader): void {
    const bits = from.u8();
    this.enabled = (bits & 1) !== 0;
    this.compatibilityAllowed = (bits & 2) !== 0;
    this.extended = (bits & 4) !== 0;
    this.table = from.f64();
    this.entries = from.u32();
    this.cache = new Map();
    for (let count = from.u32(); count > 0; count--) {
      const index = from.u32();
      this.cache.set(index, { low: from.u32(), destination: from.u32(), source: from.u32() });
    }
  }
}

/** Source validation: SVT 0 admits all, 1 compares with the requester's ID as SQ says, 2 with a range of buses. */
function admits(source: number, requester: number): boolean {
  const id = source & 0xffff;
  switch ((source >>> 18) & 3) {
    case 0:
      return true;
    case 1: {
      const ignored = [0, 4, 6, 7][(source >>> 16) & 3] ?? 0;
      return (requester & ~ignored) === (id & ~ignored);
    }
    default: {
      const bus = requester >>> 8;
      return bus >= id >>> 8 && bus <= (id & 0xff);
    }
  }
}
