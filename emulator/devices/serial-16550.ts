import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { BytePorts } from './port-bus';

// Register map and bits: "PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs", data sheet, section 8.
const enum Register {
  /** Receive buffer, transmit holding; divisor low when LCR.DLAB */
  Data,
  /** Interrupt enable; divisor high when LCR.DLAB */
  InterruptEnable,
  /** Reads: interrupt identification. Writes: FIFO control */
  InterruptIdentification,
  LineControl,
  ModemControl,
  LineStatus,
  ModemStatus,
  Scratch,
}

const IER_RECEIVED = 1;
const IER_TRANSMITTER_EMPTY = 2;
const IER_MODEM_STATUS = 8;
const IIR_NONE = 0x01;
const IIR_MODEM_STATUS = 0x00;
const IIR_TRANSMITTER_EMPTY = 0x02;
const IIR_RECEIVED = 0x04;
const IIR_TIMEOUT = 0x0c;
const IIR_FIFOS_ENABLED = 0xc0;
const FCR_ENABLE = 1;
const FCR_CLEAR_RECEIVER = 2;
const LCR_DIVISOR_LATCH = 0x80;
const MCR_OUT2 = 0x08;
const MCR_LOOPBACK = 0x10;
const LSR_DATA_READY = 0x01;
const LSR_TRANSMITTER_EMPTY = 0x60;
const MSR_CARRIER_READY_CLEAR = 0xb0;
const FIFO_DEPTH = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;

/**
 * A 16550A serial port. A transmitted byte leaves at once (the transmitter is always empty), so timing does not depend
 * on the divisor. Received bytes wait on the line until the FIFO has room: nothing overruns, whatever the guest's pace.
 */
export class Serial16550 extends BytePorts implements Device {
  readonly count = 8;
  private interruptEnable = 0;
  private fifoControl = 0;
  private lineControl = 0;
  private modemControl = 0;
  private modemStatusChanges = 0;
  private scratch = 0;
  private divisor = 12;
  private transmitterInterrupt = false;
  private fifo: number[] = [];
  private waiting: number[] = [];

  /** @param transmit called with each byte that leaves the port */
  constructor(
    readonly name: string,
    readonly first: number,
    private readonly line: InterruptLine,
    private readonly transmit: (byte: number) => void,
  ) {
    super();
  }

  /** Bytes arrive on the line. */
  receive(bytes: Uint8Array): void {
    for (const byte of bytes) this.waiting.push(byte);
    this.update();
  }

  protected readByte(port: number): number {
    const divisorLatch = (this.lineControl & LCR_DIVISOR_LATCH) !== 0;
    switch ((port - this.first) as Register) {
      case Register.Data: {
        if (divisorLatch) return this.divisor & 0xff;
        const byte = this.fifo.shift() ?? 0;
        this.update();
        return byte;
      }
      case Register.InterruptEnable:
        return divisorLatch ? this.divisor >>> 8 : this.interruptEnable;
      case Register.InterruptIdentification: {
        const source = this.interruptSource();
        if (source === IIR_TRANSMITTER_EMPTY) {
          this.transmitterInterrupt = false;
          this.update();
        }
        return source | (this.fifoControl & FCR_ENABLE ? IIR_FIFOS_ENABLED : 0);
      }
      case Register.LineControl:
        return this.lineControl;
      case Register.ModemControl:
        return this.modemControl;
      case Register.LineStatus:
        return LSR_TRANSMITTER_EMPTY | (this.fifo.length > 0 ? LSR_DATA_READY : 0);
      case Register.ModemStatus: {
        const value = this.modemLines() | this.modemStatusChanges;
        this.modemStatusChanges = 0;
        this.update();
        return value;
      }
      case Register.Scratch:
        return this.scratch;
    }
  }

  protected writeByte(port: number, value: number): void {
    const divisorLatch = (this.lineControl & LCR_DIVISOR_LATCH) !== 0;
    switch ((port - this.first) as Register) {
      case Register.Data:
        if (divisorLatch) {
          this.divisor = (this.divisor & 0xff00) | value;
          return;
        }
        if (this.modemControl & MCR_LOOPBACK) this.waiting.push(value);
        else this.transmit(value);
        this.transmitterInterrupt = true;
        break;
      case Register.InterruptEnable:
        if (divisorLatch) {
          this.divisor = (this.divisor & 0xff) | (value << 8);
          return;
        }
        // Enabling the interrupt of an empty transmitter raises it.
        if (value & ~this.interruptEnable & IER_TRANSMITTER_EMPTY) this.transmitterInterrupt = true;
        this.interruptEnable = value & 0x0f;
        break;
      case Register.InterruptIdentification:
        // Turning the FIFOs on or off empties them.
        if (value & FCR_CLEAR_RECEIVER || (value ^ this.fifoControl) & FCR_ENABLE) this.fifo = [];
        this.fifoControl = value & 0xc9;
        break;
      case Register.LineControl:
        this.lineControl = value;
        break;
      case Register.ModemControl: {
        const before = this.modemLines();
        this.modemControl = value & 0x1f;
        const changed = before ^ this.modemLines();
        // Delta bits 0, 1 and 3 follow CTS, DSR and DCD; bit 2 is the trailing edge of RI.
        this.modemStatusChanges |= ((changed >>> 4) & 0x0b) | ((changed & before & 0x40) >>> 4);
        break;
      }
      case Register.LineStatus:
      case Register.ModemStatus:
        break;
      case Register.Scratch:
        this.scratch = value;
        break;
    }
    this.update();
  }

  save(out: StateWriter): void {
    out.u8(this.interruptEnable);
    out.u8(this.fifoControl);
    out.u8(this.lineControl);
    out.u8(this.modemControl);
    out.u8(this.modemStatusChanges);
    out.u8(this.scratch);
    out.u32(this.divisor);
    out.u8(Number(this.transmitterInterrupt));
    out.blob(Uint8Array.from(this.fifo));
    out.blob(Uint8Array.from(this.waiting));
  }

  restore(from: StateReader): void {
    this.interruptEnable = from.u8();
    this.fifoControl = from.u8();
    this.lineControl = from.u8();
    this.modemControl = from.u8();
    this.modemStatusChanges = from.u8();
    this.scratch = from.u8();
    this.divisor = from.u32();
    this.transmitterInterrupt = from.u8() !== 0;
    this.fifo = Array.from(from.blob());
    this.waiting = Array.from(from.blob());
  }

  /** CTS, DSR, RI, DCD at bits 4-7: a partner that is always ready, or in loopback RTS, DTR, OUT1, OUT2. */
  private modemLines(): number {
    if (!(this.modemControl & MCR_LOOPBACK)) return MSR_CARRIER_READY_CLEAR;
    const { modemControl } = this;
    return (
      ((modemControl & 2) << 3) | ((modemControl & 1) << 5) | ((modemControl & 4) << 4) | ((modemControl & 8) << 4)
    );
  }

  private interruptSource(): number {
    const fifoOn = (this.fifoControl & FCR_ENABLE) !== 0;
    if (this.interruptEnable & IER_RECEIVED && this.fifo.length > 0) {
      const trigger = fifoOn ? (TRIGGER_LEVELS[this.fifoControl >>> 6] ?? 1) : 1;
      return this.fifo.length >= trigger ? IIR_RECEIVED : IIR_TIMEOUT;
    }
    if (this.interruptEnable & IER_TRANSMITTER_EMPTY && this.transmitterInterrupt) return IIR_TRANSMITTER_EMPTY;
    if (this.interruptEnable & IER_MODEM_STATUS && this.modemStatusChanges) return IIR_MODEM_STATUS;
    return IIR_NONE;
  }

  private update(): void {
    const depth = this.fifoControl & FCR_ENABLE ? FIFO_DEPTH : 1;
    while (this.fifo.length < depth && this.waiting.length > 0) this.fifo.push(this.waiting.shift() ?? 0);
    // On a PC, OUT2 gates the interrupt output; loopback disconnects it from the pin.
    const connected = (this.modemControl & MCR_OUT2) !== 0 && !(this.modemControl & MCR_LOOPBACK);
    this.line.set(connected && this.interruptSource() !== IIR_NONE);
  }
}
