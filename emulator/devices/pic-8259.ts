import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { BytePorts } from './port-bus';

// Command words: "8259A Programmable Interrupt Controller", data sheet, initialisation and operation command words.
const ICW1_START = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW4_AUTO_END = 0x02;
const OCW3_SELECT = 0x08;
const OCW3_READ_REGISTER = 0x02;
const OCW3_IN_SERVICE = 0x01;
const SPURIOUS_INPUT = 7;

/**
 * One 8259A: eight edge-triggered inputs, fixed priority with input 0 highest.
 * Until it is initialised every input is masked, which is how firmware that never uses it leaves the board.
 */
export class Pic8259 extends BytePorts implements Device {
  readonly count = 2;
  private requests = 0;
  private inService = 0;
  private mask = 0xff;
  private lines = 0;
  private vectorBase = 0;
  private readInService = false;
  private autoEnd = false;
  /** The initialisation word that the data port expects next, 0 = none */
  private expected = 0;
  private needsIcw4 = false;
  private single = false;

  /** @param output the INT pin */
  constructor(
    readonly name: string,
    readonly first: number,
    private readonly output: InterruptLine,
  ) {
    super();
  }

  input(number: number): InterruptLine {
    return { set: (asserted) => this.setInput(number, asserted) };
  }

  /** The interrupt-acknowledge cycle: the input that wins; its vector is `vector(input)`. */
  acknowledge(): number {
    const input = this.winner();
    if (input < 0) return SPURIOUS_INPUT;
    this.requests &= ~(1 << input);
    if (!this.autoEnd) this.inService |= 1 << input;
    this.update();
    return input;
  }

  vector(input: number): number {
    return this.vectorBase | input;
  }

  protected readByte(port: number): number {
    if (port !== this.first) return this.mask;
    return this.readInService ? this.inService : this.requests;
  }

  protected writeByte(port: number, value: number): void {
    if (port === this.first) this.command(value);
    else this.data(value);
    this.update();
  }

  save(out: StateWriter): void {
    out.u8(this.requests);
    out.u8(this.inService);
    out.u8(this.mask);
    out.u8(this.lines);
    out.u8(this.vectorBase);
    out.u8(
      Number(this.readInService) |
        (Number(this.autoEnd) << 1) |
        (Number(this.needsIcw4) << 2) |
        (Number(this.single) << 3),
    );
    out.u8(this.expected);
  }

  restore(from: StateReader): void {
    this.requests = from.u8();
    this.inService = from.u8();
    this.mask = from.u8();
    this.lines = from.u8();
    this.vectorBase = from.u8();
    const bits = from.u8();
    this.readInService = (bits & 1) !== 0;
    this.autoEnd = (bits & 2) !== 0;
    this.needsIcw4 = (bits & 4) !== 0;
    this.single = (bits & 8) !== 0;
    this.expected = from.u8();
    this.update();
  }

  private command(value: number): void {
    if (value & ICW1_START) {
      this.expected = 2;
      this.needsIcw4 = (value & ICW1_NEEDS_ICW4) !== 0;
      this.single = (value & ICW1_SINGLE) !== 0;
      this.requests = this.inService = this.mask = 0;
      this.readInService = this.autoEnd = false;
    } else if (value & OCW3_SELECT) {
      if (value & OCW3_READ_REGISTER) this.readInService = (value & OCW3_IN_SERVICE) !== 0;
    } else if ((value & 0xe0) === 0x20) {
      this.inService &= this.inService - 1; // non-specific end: the highest priority in service, the lowest bit
    } else if ((value & 0xe0) === 0x60) {
      this.inService &= ~(1 << (value & 7));
    }
  }

  private data(value: number): void {
    switch (this.expected) {
      case 2:
        this.vectorBase = value & 0xf8;
        this.expected = this.single ? (this.needsIcw4 ? 4 : 0) : 3;
        return;
      case 3:
        this.expected = this.needsIcw4 ? 4 : 0;
        return;
      case 4:
        this.autoEnd = (value & ICW4_AUTO_END) !== 0;
        this.expected = 0;
        return;
      default:
        this.mask = value;
    }
  }

  private setInput(number: number, asserted: boolean): void {
    const bit = 1 << number;
    // An edge latches the request; it goes away again if the input falls before it is acknowledged.
    if (asserted && !(this.lines & bit)) this.requests |= bit;
    if (!asserted) this.requests &= ~bit;
    this.lines = asserted ? this.lines | bit : this.lines & ~bit;
    this.update();
  }

  /** The unmasked request above everything in service, or -1 */
  private winner(): number {
    const candidates = this.requests & ~this.mask;
    const lowest = candidates & -candidates;
    const serving = this.inService & -this.inService;
    return lowest && (!serving || lowest < serving) ? 31 - Math.clz32(lowest) : -1;
  }

  private update(): void {
    this.output.set(this.expected === 0 && this.winner() >= 0);
  }
}

/** The PC's two controllers: the second one's output is input 2 of the first (IRQ 2). */
export class PicPair {
  readonly primary: Pic8259;
  readonly secondary: Pic8259;

  constructor(intr: InterruptLine) {
    this.primary = new Pic8259('8259 PIC', 0x20, intr);
    this.secondary = new Pic8259('8259 PIC (second)', 0xa0, this.primary.input(2));
  }

  /** @param irq 0..15 */
  line(irq: number): InterruptLine {
    return irq < 8 ? this.primary.input(irq) : this.secondary.input(irq - 8);
  }

  /** Interrupt acknowledge: the vector to deliver */
  acknowledge(): number {
    const input = this.primary.acknowledge();
    return input === 2 ? this.secondary.vector(this.secondary.acknowledge()) : this.primary.vector(input);
  }
}
