import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { BytePorts } from './port-bus';

// Command words: "8259A Programmable Interrupt Controller", data sheet 231468, "Initialization Command Words" and
// "Operation Command Words". Edge/level control: "82371SB (PIIX3)" data sheet 290550, ELCR1 and ELCR2.
const ICW1_START = 0x10;
const ICW1_NEEDS_ICW4 = 0x01;
const ICW1_SINGLE = 0x02;
const ICW4_AUTO_END = 0x02;
const ICW4_NESTED = 0x10;
const OCW3_SELECT = 0x08;
const OCW3_READ_REGISTER = 0x02;
const OCW3_IN_SERVICE = 0x01;
const OCW3_POLL = 0x04;
const OCW3_SET_SPECIAL_MASK = 0x40;
const OCW3_SPECIAL_MASK = 0x20;
const OCW2_ROTATE = 0x80;
const OCW2_SPECIFIC = 0x40;
const OCW2_END = 0x20;
const SPURIOUS_INPUT = 7;
const POLLED = 0x80;

/**
 * One 8259A: eight inputs, each edge- or level-triggered, with rotating priorities.
 * Until it is initialised every input is masked, which is how firmware that never uses it leaves the board.
 */
export class Pic8259 extends BytePorts implements Device {
  readonly count = 2;
  private requests = 0;
  private inService = 0;
  private mask = 0xff;
  private lines = 0;
  /** Inputs that are level-triggered (ELCR) */
  private levels = 0;
  private vectorBase = 0;
  private readInService = false;
  private autoEnd = false;
  private rotateOnAutoEnd = false;
  private specialMask = false;
  private nested = false;
  private poll = false;
  /** The input with the highest priority */
  private priority = 0;
  /** The initialisation word that the data port expects next, 0 = none */
  private expected = 0;
  private needsIcw4 = false;
  private single = false;

  /**
   * @param output the INT pin
   * @param cascade bit mask of the input that another controller's output drives
   */
  constructor(
    readonly name: string,
    readonly first: number,
    private readonly output: InterruptLine,
    private readonly cascade = 0,
  ) {
    super();
  }

  input(number: number): InterruptLine {
    return { set: (asserted) => this.setInput(number, asserted) };
  }

  isMasked(input: number): boolean {
    return (this.mask & (1 << input)) !== 0;
  }

  /** ELCR: which inputs are level-triggered. */
  get levelTriggered(): number {
    return this.levels;
  }

  set levelTriggered(inputs: number) {
    this.levels = inputs;
    this.requests |= this.lines & inputs;
    this.update();
  }

  /** The interrupt-acknowledge cycle: the input that wins; its vector is `vector(input)`. */
  acknowledge(): number {
    const input = this.winner();
    if (input < 0) return SPURIOUS_INPUT;
    const bit = 1 << input;
    if (!(this.levels & bit)) this.requests &= ~bit;
    if (!this.autoEnd) this.inService |= bit;
    else if (this.rotateOnAutoEnd) this.priority = (input + 1) & 7;
    this.update();
    return input;
  }

  vector(input: number): number {
    return this.vectorBase | input;
  }

  protected readByte(port: number): number {
    if (this.poll) {
      this.poll = false;
      const pending = this.winner() >= 0;
      return pending ? POLLED | this.acknowledge() : 0;
    }
    if (port !== this.first) return this.mask;
    return this.readInService ? this.inService : this.requests;
  }

  protected writeByte(port: number, value: number): void {
    if (port === this.first) this.command(value);
    else this.data(value);
    this.update();
  }

  save(out: StateWriter): void {
    for (const value of [this.requests, this.inService, this.mask, this.lines, this.levels, this.vectorBase]) {
      out.u8(value);
    }
    const flags = [this.readInService, this.autoEnd, this.needsIcw4, this.single];
    flags.push(this.rotateOnAutoEnd, this.specialMask, this.nested, this.poll);
    out.u8(flags.reduce((sum, flag, i) => sum | (Number(flag) << i), 0));
    out.u8(this.expected);
    out.u8(this.priority);
  }

  restore(from: StateReader): void {
    this.requests = from.u8();
    this.inService = from.u8();
    this.mask = from.u8();
    this.lines = from.u8();
    this.levels = from.u8();
    this.vectorBase = from.u8();
    const bits = from.u8();
    this.readInService = (bits & 1) !== 0;
    this.autoEnd = (bits & 2) !== 0;
    this.needsIcw4 = (bits & 4) !== 0;
    this.single = (bits & 8) !== 0;
    this.rotateOnAutoEnd = (bits & 16) !== 0;
    this.specialMask = (bits & 32) !== 0;
    this.nested = (bits & 64) !== 0;
    this.poll = (bits & 128) !== 0;
    this.expected = from.u8();
    this.priority = from.u8();
    this.update();
  }

  private command(value: number): void {
    if (value & ICW1_START) this.start(value);
    else if (value & OCW3_SELECT) {
      if (value & OCW3_POLL) this.poll = true;
      if (value & OCW3_READ_REGISTER) this.readInService = (value & OCW3_IN_SERVICE) !== 0;
      if (value & OCW3_SET_SPECIAL_MASK) this.specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
    } else this.end(value);
  }

  private start(value: number): void {
    this.expected = 2;
    this.needsIcw4 = (value & ICW1_NEEDS_ICW4) !== 0;
    this.single = (value & ICW1_SINGLE) !== 0;
    // The edge detectors are reset: an input must rise again. A level is seen at once.
    this.requests = this.lines & this.levels;
    this.inService = this.mask = this.priority = 0;
    this.readInService = this.autoEnd = this.rotateOnAutoEnd = this.specialMask = this.nested = this.poll = false;
  }

  /** OCW2: bit 7 rotates, bit 6 names a level, bit 5 ends an interrupt. */
  private end(value: number): void {
    const named = value & 7;
    switch (value & (OCW2_ROTATE | OCW2_SPECIFIC | OCW2_END)) {
      case 0:
      case OCW2_ROTATE:
        this.rotateOnAutoEnd = (value & OCW2_ROTATE) !== 0;
        return;
      case OCW2_END:
      case OCW2_ROTATE | OCW2_END: {
        const serving = this.highest(this.inService);
        if (serving < 0) return;
        this.inService &= ~(1 << serving);
        if (value & OCW2_ROTATE) this.priority = (serving + 1) & 7;
        return;
      }
      case OCW2_SPECIFIC | OCW2_END:
        this.inService &= ~(1 << named);
        return;
      case OCW2_ROTATE | OCW2_SPECIFIC | OCW2_END:
        this.inService &= ~(1 << named);
        this.priority = (named + 1) & 7;
        return;
      case OCW2_ROTATE | OCW2_SPECIFIC:
        this.priority = (named + 1) & 7;
        return;
      default: // OCW2_SPECIFIC alone: no operation
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
        this.nested = (value & ICW4_NESTED) !== 0;
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

  /** Of a set of inputs the one with the highest priority, or -1 */
  private highest(set: number): number {
    if (set === 0) return -1;
    const rotated = ((set >>> this.priority) | (set << (8 - this.priority))) & 0xff;
    return (this.priority + 31 - Math.clz32(rotated & -rotated)) & 7;
  }

  /** The unmasked request above everything in service, or -1 */
  private winner(): number {
    const input = this.highest(this.requests & ~this.mask);
    if (input < 0) return -1;
    let blocking = this.inService;
    // Special mask mode: what is in service and masked blocks none.
    if (this.specialMask) blocking &= ~this.mask;
    // Special fully nested mode: further requests of the controller behind the cascade input come through.
    if (this.nested) blocking &= ~this.cascade;
    const serving = this.highest(blocking);
    const rank = (one: number) => (one - this.priority) & 7;
    return serving < 0 || rank(input) < rank(serving) ? input : -1;
  }

  private update(): void {
    this.output.set(this.expected === 0 && this.winner() >= 0);
  }
}

/** ELCR1 and ELCR2: which inputs are level-triggered. Inputs 0, 1, 2, 8 and 13 are always edge-triggered. */
class EdgeLevelControl extends BytePorts {
  readonly name = 'ELCR';
  readonly first = 0x4d0;
  readonly count = 2;

  constructor(private readonly pair: PicPair) {
    super();
  }

  protected readByte(port: number): number {
    return this.of(port).levelTriggered;
  }

  protected writeByte(port: number, value: number): void {
    this.of(port).levelTriggered = value & (port === this.first ? 0xf8 : 0xde);
  }

  private of(port: number): Pic8259 {
    return port === this.first ? this.pair.primary : this.pair.secondary;
  }
}

/** The PC's two controllers: the second one's output is input 2 of the first (IRQ 2). */
export class PicPair {
  readonly primary: Pic8259;
  readonly secondary: Pic8259;
  readonly edgeLevelControl: BytePorts;

  constructor(intr: InterruptLine) {
    this.primary = new Pic8259('8259 PIC', 0x20, intr, 4);
    this.secondary = new Pic8259('8259 PIC (second)', 0xa0, this.primary.input(2));
    this.edgeLevelControl = new EdgeLevelControl(this);
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
