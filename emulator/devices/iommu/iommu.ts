import { hostPhysical } from '../../memory/address';
import type { MmioRange } from '../../memory/bus';
import type { PhysicalMemory } from '../../memory/physical';
import type { Device, StateReader, StateWriter } from '../device';
import type { InterruptMessageSink } from '../interrupt-message';
import { decodeMessage } from '../message-decoder';
import { DmaRemapping } from './dma-remapping';
import { EventInterrupt } from './event-interrupt';
import { FaultLog } from './fault-log';
import { HostMemory, tableAddress } from './host-memory';
import { InterruptRemapping, type ApicBusPort } from './interrupt-remapping';
import { InvalidationQueue } from './invalidation-queue';
import {
  CAPABILITY,
  EXTENDED_CAPABILITY,
  FAULT_RECORDS,
  Global,
  Register,
  REGISTERS_BASE,
  REGISTERS_SIZE,
  VERSION,
} from './registers';

/** Commands that set a bit of the status and keep no state of their own */
const ONE_SHOT = Global.ROOT_TABLE | Global.INTERRUPT_TABLE;
const LASTING = Global.TRANSLATION | Global.QUEUE | Global.INTERRUPTS | Global.COMPATIBILITY;
/** CCMD_REG.ICC, IOTLB_REG.IVT: in the upper doubleword */
const START = 0x80000000;
const EXTENDED_INTERRUPT_MODE = 0x800;
const FAULT_RECORDS_END = Register.FAULT_RECORDS + FAULT_RECORDS * 16;

export interface IommuWiring {
  readonly physical: PhysicalMemory;
  readonly ramChanged: (wasmAddress: number, length: number) => void;
  readonly apics: ApicBusPort;
  /** Interrupt messages that are not remapped */
  readonly direct: InterruptMessageSink;
}

/** The remapping unit for the whole of PCI bus 0: registers, and what they switch. */
export class Iommu implements MmioRange, Device {
  readonly name = 'IOMMU (VT-d)';
  readonly base = hostPhysical(REGISTERS_BASE);
  readonly size = BigInt(REGISTERS_SIZE);
  readonly dma: DmaRemapping;
  readonly interrupts: InterruptRemapping;
  private readonly faultEvent: EventInterrupt;
  private readonly completionEvent: EventInterrupt;
  private readonly faults: FaultLog;
  private readonly queue: InvalidationQueue;
  private status = 0;
  /** Registers that keep what is written, by doubleword: root table, context command, IVA, IOTLB, interrupt table */
  private readonly plain = new Map<number, number>();

  constructor(wiring: IommuWiring) {
    const memory = new HostMemory(wiring.physical, wiring.ramChanged);
    // The unit's own messages are never remapped; the upper address holds bits 31:8 of an x2APIC's ID.
    const send = (address: bigint, data: number) => {
      const message = decodeMessage(address & 0xffffffffn, data);
      const upper = Number((address >> 32n) & 0xffffff00n);
      if (!message) return;
      wiring.apics.deliver(upper === 0 ? message : { ...message, destination: (upper | message.destination) >>> 0 });
    };
    this.faultEvent = new EventInterrupt(send);
    this.completionEvent = new EventInterrupt(send);
    this.faults = new FaultLog(this.faultEvent);
    this.dma = new DmaRemapping(memory, this.faults);
    this.interrupts = new InterruptRemapping(memory, this.faults, wiring.apics, wiring.direct);
    this.queue = new InvalidationQueue(memory, this.dma, this.interrupts, this.faults, this.completionEvent);
  }

  // --- The register file: 32-bit and 64-bit accesses ---

  read(offset: bigint, size: number): bigint {
    const at = Number(offset);
    const word = BigInt(this.readWord(at & ~3) >>> 0);
    if (size === 8) return word | (BigInt(this.readWord((at & ~3) + 4) >>> 0) << 32n);
    return BigInt.asUintN(size * 8, word >> BigInt((at & 3) * 8));
  }

  write(offset: bigint, size: number, value: bigint): void {
    const at = Number(offset);
    // Narrower and misaligned writes are undefined; here they are lost.
    if (size < 4 || at & 3) return;
    this.writeWord(at, Number(value & 0xffffffffn));
    if (size === 8) this.writeWord(at + 4, Number(value >> 32n));
  }

  private readWord(at: number): number {
    if (at >= Register.FAULT_RECORDS && at < FAULT_RECORDS_END) return this.faults.read(at - Register.FAULT_RECORDS);
    if (at >= Register.FAULT_EVENT && at < Register.FAULT_EVENT + 16) {
      return this.faultEvent.read((at - Register.FAULT_EVENT) >> 2);
    }
    if (at >= Register.COMPLETION_EVENT && at < Register.COMPLETION_EVENT + 16) {
      return this.completionEvent.read((at - Register.COMPLETION_EVENT) >> 2);
    }
    const { queue } = this;
    switch (at) {
      case Register.VERSION:
        return VERSION;
      case Register.CAPABILITY:
        return Number(CAPABILITY & 0xffffffffn);
      case Register.CAPABILITY + 4:
        return Number(CAPABILITY >> 32n);
      case Register.EXTENDED_CAPABILITY:
        return Number(EXTENDED_CAPABILITY & 0xffffffffn);
      case Register.STATUS:
        return this.status;
      case Register.FAULT_STATUS:
        return this.faults.status;
      case Register.QUEUE_HEAD:
        return queue.head;
      case Register.QUEUE_TAIL:
        return queue.tail;
      case Register.QUEUE_ADDRESS:
        return queue.addressLow;
      case Register.QUEUE_ADDRESS + 4:
        return queue.addressHigh;
      case Register.COMPLETION_STATUS:
        return Number(queue.waitCompleted);
      case Register.QUEUE_ERROR:
        return queue.error;
      default:
        return this.plain.get(at) ?? 0;
    }
  }

  private writeWord(at: number, value: number): void {
    if (at >= Register.FAULT_RECORDS && at < FAULT_RECORDS_END) {
      this.faults.write(at - Register.FAULT_RECORDS, value);
      return;
    }
    if (at >= Register.FAULT_EVENT && at < Register.FAULT_EVENT + 16) {
      this.faultEvent.write((at - Register.FAULT_EVENT) >> 2, value);
      return;
    }
    if (at >= Register.COMPLETION_EVENT && at < Register.COMPLETION_EVENT + 16) {
      this.completionEvent.write((at - Register.COMPLETION_EVENT) >> 2, value);
      return;
    }
    const { queue } = this;
    switch (at) {
      case Register.COMMAND:
        this.command(value);
        break;
      case Register.FAULT_STATUS:
        if (this.faults.writeStatus(value)) queue.resume();
        break;
      case Register.QUEUE_TAIL:
        queue.setTail(value);
        break;
      case Register.QUEUE_ADDRESS:
        queue.addressLow = (value & 0xfffff007) >>> 0;
        break;
      case Register.QUEUE_ADDRESS + 4:
        queue.addressHigh = value & 0xfffff;
        break;
      case Register.COMPLETION_STATUS:
        if (value & 1) queue.clearCompletion();
        break;
      case Register.ROOT_TABLE:
        this.plain.set(at, (value & 0xfffff000) >>> 0);
        break;
      case Register.INTERRUPT_TABLE:
        this.plain.set(at, (value & 0xfffff80f) >>> 0);
        break;
      case Register.CONTEXT_COMMAND:
      case Register.INVALIDATE_ADDRESS:
      case Register.IOTLB_INVALIDATE:
      case Register.ROOT_TABLE + 4:
      case Register.INTERRUPT_TABLE + 4:
      case Register.INVALIDATE_ADDRESS + 4:
        this.plain.set(at, value);
        break;
      case Register.CONTEXT_COMMAND + 4:
        this.plain.set(at, value & START ? this.invalidateContexts(value) : value);
        break;
      case Register.IOTLB_INVALIDATE + 4:
        this.plain.set(at, value & START ? this.invalidatePages(value) : value);
        break;
      default:
    }
  }

  private word(at: number): number {
    return this.plain.get(at) ?? 0;
  }

  // --- Global commands ---

  private command(value: number): void {
    if (value & Global.ROOT_TABLE) {
      this.dma.root = tableAddress(this.word(Register.ROOT_TABLE), this.word(Register.ROOT_TABLE + 4));
    }
    if (value & Global.INTERRUPT_TABLE) {
      const low = this.word(Register.INTERRUPT_TABLE);
      this.interrupts.table = tableAddress(low, this.word(Register.INTERRUPT_TABLE + 4));
      this.interrupts.entries = 2 << (low & 15);
      this.interrupts.extended = (low & EXTENDED_INTERRUPT_MODE) !== 0;
    }
    this.status = ((this.status & ONE_SHOT) | (value & ONE_SHOT) | (value & LASTING)) >>> 0;
    this.dma.translationEnabled = (value & Global.TRANSLATION) !== 0;
    this.interrupts.enabled = (value & Global.INTERRUPTS) !== 0;
    this.interrupts.compatibilityAllowed = (value & Global.COMPATIBILITY) !== 0;
    this.queue.enable((value & Global.QUEUE) !== 0);
  }

  // --- Register-based invalidation; the result tells the granularity that was carried out ---

  private invalidateContexts(value: number): number {
    const granularity = (value >>> 29) & 3;
    const low = this.word(Register.CONTEXT_COMMAND);
    // With the queue on, this way is closed: nothing is carried out.
    const done = this.queue.enabled ? 0 : granularity;
    if (done) this.dma.invalidateContexts(done, low & 0xffff, low >>> 16, value & 3);
    return (value & ~(START | (3 << 27))) | (done << 27);
  }

  private invalidatePages(value: number): number {
    const granularity = (value >>> 28) & 3;
    const done = this.queue.enabled ? 0 : granularity;
    const low = this.word(Register.INVALIDATE_ADDRESS);
    const address = tableAddress(low, this.word(Register.INVALIDATE_ADDRESS + 4));
    if (done) this.dma.invalidatePages(done, value & 0xffff, address, low & 0x3f);
    return (value & ~(START | (3 << 25))) | (done << 25);
  }

  save(out: StateWriter): void {
    out.u32(this.status);
    out.u32(this.plain.size);
    for (const at of [...this.plain.keys()].sort((a, b) => a - b)) {
      out.u32(at);
      out.u32(this.word(at) >>> 0);
    }
    for (const part of [this.faultEvent, this.completionEvent, this.faults, this.dma, this.interrupts, this.queue]) {
      part.save(out);
    }
  }

  restore(from: StateReader): void {
    this.status = from.u32();
    this.plain.clear();
    for (let count = from.u32(); count > 0; count--) {
      const at = from.u32();
      this.plain.set(at, from.u32());
    }
    for (const part of [this.faultEvent, this.completionEvent, this.faults, this.dma, this.interrupts, this.queue]) {
      part.restore(from);
    }
  }
}
