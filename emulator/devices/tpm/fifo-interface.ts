import type { StateReader, StateWriter } from '../device';
import { BUFFER_SIZE } from './command-processor';
import { byteOf, Common, DEVICE_ID, MemoryInterface, REVISION_ID, VENDOR_ID } from './memory-interface';

/** PC Client Platform TPM Profile 1.05, clause 6.5.3: the FIFO interface, known as TIS */
const Register = {
  ACCESS: 0x00,
  INT_ENABLE: 0x08,
  INT_VECTOR: 0x0c,
  INT_STATUS: 0x10,
  INTF_CAPABILITY: 0x14,
  STATUS: 0x18,
  DATA_FIFO: 0x24,
  INTERFACE_ID: Common.INTERFACE_ID,
  XDATA_FIFO: 0x80,
  XDATA_END: 0xc0,
  DID_VID: 0xf00,
  RID: 0xf04,
} as const;

const Access = {
  NOT_ESTABLISHED: 1 << 0,
  REQUEST_USE: 1 << 1,
  PENDING_REQUEST: 1 << 2,
  SEIZE: 1 << 3,
  BEEN_SEIZED: 1 << 4,
  ACTIVE: 1 << 5,
  VALID: 1 << 7,
} as const;

const Status = {
  RESPONSE_RETRY: 1 << 1,
  SELF_TEST_DONE: 1 << 2,
  EXPECT: 1 << 3,
  DATA_AVAILABLE: 1 << 4,
  GO: 1 << 5,
  COMMAND_READY: 1 << 6,
  VALID: 1 << 7,
} as const;
/** In byte 3: commandCancel needs nothing, as no command is ever under way */
const RESET_ESTABLISHMENT = 1 << 1;
const FAMILY_2 = 1 << 26;

/** Interface of version 1.3 for TPM 2.0, transfers of up to 64 bytes, no interrupts */
const CAPABILITY = (3 << 28) | (3 << 9);
/** FIFO, five localities, FIFO only, not selectable */
const INTERFACE_ID = (1 << 8) | (1 << 13) | (1 << 19);

const enum Phase {
  Idle,
  Ready,
  Reception,
  Completion,
}

const HEADER_WITH_SIZE = 6;

export class FifoInterface extends MemoryInterface {
  private phase = Phase.Idle;
  private readonly buffer = new Uint8Array(BUFFER_SIZE);
  /** Bytes received, or those of the response; and how many of that were read */
  private length = 0;
  private position = 0;

  protected abort(): void {
    this.phase = Phase.Idle;
    this.length = 0;
    this.position = 0;
  }

  protected readByte(locality: number, at: number): number {
    if (at === Register.ACCESS) return this.access(locality);
    if (at >= Register.INTF_CAPABILITY && at < Register.INTF_CAPABILITY + 4) return byteOf(CAPABILITY, at & 3);
    if (at >= Register.INTERFACE_ID && at < Register.INTERFACE_ID + 4) return byteOf(INTERFACE_ID, at & 3);
    if (at >= Register.DID_VID && at < Register.DID_VID + 4) return byteOf((DEVICE_ID << 16) | VENDOR_ID, at & 3);
    if (at === Register.RID) return REVISION_ID;
    if (at >= Register.INT_ENABLE && at < Register.INTF_CAPABILITY) return 0;
    if (at >= Register.STATUS && at < Register.STATUS + 4)
      return this.localities.isActive(locality) ? byteOf(this.status(), at & 3) : 0xff;
    if (isFifo(at) && this.localities.isActive(locality)) return this.take();
    return 0xff;
  }

  protected writeByte(locality: number, at: number, value: number): void {
    if (at === Register.ACCESS) {
      this.writeAccess(locality, value);
      return;
    }
    if (!this.localities.isActive(locality)) return;
    if (at === Register.STATUS) this.writeStatus(value);
    else if (at === Register.STATUS + 3) {
      if (value & RESET_ESTABLISHMENT && locality >= 3) this.established = false;
    } else if (isFifo(at)) this.put(value);
  }

  private access(locality: number): number {
    const { localities } = this;
    return (
      Access.VALID |
      (localities.isActive(locality) ? Access.ACTIVE : 0) |
      (localities.beenSeized(locality) ? Access.BEEN_SEIZED : 0) |
      (localities.othersRequest(locality) ? Access.PENDING_REQUEST : 0) |
      (localities.requested(locality) ? Access.REQUEST_USE : 0) |
      (this.established ? 0 : Access.NOT_ESTABLISHED)
    );
  }

  private writeAccess(locality: number, value: number): void {
    const { localities } = this;
    if (value & Access.BEEN_SEIZED) localities.clearSeizure(locality);
    let changed = false;
    if (value & Access.ACTIVE) changed = localities.relinquish(locality);
    else if (value & Access.SEIZE) changed = localities.seize(locality);
    else if (value & Access.REQUEST_USE) changed = localities.request(locality);
    if (changed) this.abort();
  }

  /** The bytes of the command that its header announces; unknown until that much of it is here */
  private get announced(): number {
    if (this.length < HEADER_WITH_SIZE) return Infinity;
    return new DataView(this.buffer.buffer).getUint32(2);
  }

  private get expectsMore(): boolean {
    return this.length < Math.min(this.announced, BUFFER_SIZE);
  }

  private status(): number {
    let value = Status.VALID | Status.SELF_TEST_DONE | FAMILY_2;
    let burst = 0;
    switch (this.phase) {
      case Phase.Idle:
        break;
      case Phase.Ready:
        value |= Status.COMMAND_READY;
        burst = BUFFER_SIZE;
        break;
      case Phase.Reception:
        if (this.expectsMore) value |= Status.EXPECT;
        burst = BUFFER_SIZE - this.length;
        break;
      case Phase.Completion:
        burst = this.length - this.position;
        if (burst > 0) value |= Status.DATA_AVAILABLE;
        break;
    }
    return value | (burst << 8);
  }

  /** Clause 6.5.3.8, the state table of the FIFO interface */
  private writeStatus(value: number): void {
    if (value & Status.COMMAND_READY) {
      this.abort();
      this.phase = Phase.Ready;
    } else if (value & Status.GO) {
      if (this.phase === Phase.Reception && !this.expectsMore) this.execute();
    } else if (value & Status.RESPONSE_RETRY) {
      if (this.phase === Phase.Completion) this.position = 0;
    }
  }

  private execute(): void {
    const response = this.tpm.execute(this.buffer.slice(0, this.length), this.localities.active);
    this.buffer.set(response);
    this.length = response.length;
    this.position = 0;
    this.phase = Phase.Completion;
  }

  private put(value: number): void {
    if (this.phase === Phase.Ready) this.phase = Phase.Reception;
    if (this.phase !== Phase.Reception || !this.expectsMore) return;
    this.buffer[this.length++] = value;
  }

  private take(): number {
    if (this.phase !== Phase.Completion || this.position >= this.length) return 0xff;
    return this.buffer[this.position++] ?? 0xff;
  }

  protected saveState(out: StateWriter): void {
    out.u8(this.phase);
    out.u32(this.position);
    out.blob(this.buffer.slice(0, this.length));
  }

  protected restoreState(from: StateReader): void {
    this.phase = from.u8();
    this.position = from.u32();
    const bytes = from.blob();
    this.buffer.set(bytes);
    this.length = bytes.length;
  }
}

/** Four addresses for the FIFO, and 64 more for longer transfers */
const isFifo = (at: number): boolean =>
  (at >= Register.DATA_FIFO && at < Register.DATA_FIFO + 4) || (at >= Register.XDATA_FIFO && at < Register.XDATA_END);
