import type { StateReader, StateWriter } from '../device';
import { byteOf, Common, DEVICE_ID, MemoryInterface, REVISION_ID, TPM_BASE, VENDOR_ID } from './memory-interface';

/** PC Client Platform TPM Profile 1.05, clause 6.5.4: the command response buffer interface */
const Register = {
  LOC_STATE: 0x00,
  LOC_CTRL: 0x08,
  LOC_STS: 0x0c,
  INTERFACE_ID: Common.INTERFACE_ID,
  CTRL_EXT: 0x38,
  CTRL_REQ: 0x40,
  CTRL_STS: 0x44,
  CTRL_CANCEL: 0x48,
  CTRL_START: 0x4c,
  INT_ENABLE: 0x50,
  INT_STS: 0x54,
  CTRL_CMD_SIZE: 0x58,
  CTRL_CMD_LADDR: 0x5c,
  CTRL_CMD_HADDR: 0x60,
  CTRL_RSP_SIZE: 0x64,
  CTRL_RSP_ADDR: 0x68,
  BUFFER: 0x80,
  END: 0x1000,
} as const;

const BUFFER_SIZE = Register.END - Register.BUFFER;

const LocState = { NOT_ESTABLISHED: 1 << 0, ASSIGNED: 1 << 1, ACTIVE_SHIFT: 2, VALID: 1 << 7 } as const;
const LocControl = { REQUEST: 1 << 0, RELINQUISH: 1 << 1, SEIZE: 1 << 2, RESET_ESTABLISHMENT: 1 << 3 } as const;
const LocStatus = { GRANTED: 1 << 0, BEEN_SEIZED: 1 << 1 } as const;
const Request = { COMMAND_READY: 1 << 0, GO_IDLE: 1 << 1 } as const;
const Status = { IDLE: 1 << 1 } as const;

/** CRB version 1, five localities, transfers of 64 bytes, CRB only, selected and locked */
const INTERFACE_ID_LOW = 1 | (1 << 4) | (1 << 8) | (3 << 11) | (1 << 14) | (1 << 17) | (1 << 19) | (REVISION_ID << 24);
const INTERFACE_ID_HIGH = VENDOR_ID | (DEVICE_ID << 16);
const SIZE_OFFSET = 2;
const HEADER = 10;

export class CrbInterface extends MemoryInterface {
  private idle = true;
  /** A response is in the buffer: it may be read until the next cmdReady or goIdle. */
  private readonly buffer = new Uint8Array(BUFFER_SIZE);

  protected abort(): void {
    this.idle = true;
    this.buffer.fill(0);
  }

  protected readByte(locality: number, at: number): number {
    const register = at & ~3;
    if (at < Register.CTRL_EXT) return byteOf(this.localityRegister(locality, register), at & 3);
    if (!this.localities.isActive(locality)) return 0xff;
    if (at >= Register.BUFFER) return this.idle ? 0xff : (this.buffer[at - Register.BUFFER] ?? 0xff);
    return byteOf(this.controlRegister(locality, register), at & 3);
  }

  private localityRegister(locality: number, register: number): number {
    const { localities } = this;
    switch (register) {
      case Register.LOC_STATE: {
        const assigned = localities.active >= 0;
        return (
          LocState.VALID |
          (assigned ? LocState.ASSIGNED | (localities.active << LocState.ACTIVE_SHIFT) : 0) |
          (this.established ? 0 : LocState.NOT_ESTABLISHED)
        );
      }
      case Register.LOC_STS:
        return (
          (localities.isActive(locality) ? LocStatus.GRANTED : 0) |
          (localities.beenSeized(locality) ? LocStatus.BEEN_SEIZED : 0)
        );
      case Register.INTERFACE_ID:
        return INTERFACE_ID_LOW;
      case Register.INTERFACE_ID + 4:
        return INTERFACE_ID_HIGH;
      default:
        return 0;
    }
  }

  private controlRegister(locality: number, register: number): number {
    const bufferAt = Number(TPM_BASE) + locality * Register.END + Register.BUFFER;
    switch (register) {
      case Register.CTRL_STS:
        return this.idle ? Status.IDLE : 0;
      case Register.CTRL_CMD_SIZE:
      case Register.CTRL_RSP_SIZE:
        return BUFFER_SIZE;
      case Register.CTRL_CMD_LADDR:
      case Register.CTRL_RSP_ADDR:
        return bufferAt;
      // Requests and START are done at once, so they read as 0.
      default:
        return 0;
    }
  }

  protected writeByte(locality: number, at: number, value: number): void {
    if (at === Register.LOC_CTRL) {
      this.control(locality, value);
      return;
    }
    if (!this.localities.isActive(locality)) return;
    if (at >= Register.BUFFER) {
      if (!this.idle) this.buffer[at - Register.BUFFER] = value;
    } else if (at === Register.CTRL_REQ) {
      if (value & Request.COMMAND_READY) this.idle = false;
      else if (value & Request.GO_IDLE) this.abort();
    } else if (at === Register.CTRL_START && value & 1 && !this.idle) this.execute();
  }

  private control(locality: number, value: number): void {
    const { localities } = this;
    let changed = false;
    if (value & LocControl.RELINQUISH) changed = localities.relinquish(locality);
    else if (value & LocControl.SEIZE) changed = localities.seize(locality);
    else if (value & LocControl.REQUEST) {
      localities.clearSeizure(locality);
      changed = localities.request(locality);
    }
    if (value & LocControl.RESET_ESTABLISHMENT && locality >= 3) this.established = false;
    if (changed) this.abort();
  }

  private execute(): void {
    const size = new DataView(this.buffer.buffer).getUint32(SIZE_OFFSET);
    // A size that the buffer cannot hold is answered as one that does not fit what was sent.
    const length = Math.max(HEADER, Math.min(size, BUFFER_SIZE));
    const response = this.tpm.execute(this.buffer.slice(0, length), this.localities.active);
    this.buffer.set(response.subarray(0, BUFFER_SIZE));
  }

  protected saveState(out: StateWriter): void {
    out.u8(this.idle ? 1 : 0);
    out.blob(this.buffer);
  }

  protected restoreState(from: StateReader): void {
    this.idle = from.u8() !== 0;
    this.buffer.set(from.blob());
  }
}
