import { ClockRate } from './clock-rate';
import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { PitCounter } from './pit-counter';
import { BytePorts } from './port-bus';
import type { TimedDevice } from './timed-device';

// "82C54 Programmable Interval Timer", Intel 231244: control word, counter latch and read-back commands. On a PC it runs at
// a third of the colour carrier (PC/AT Technical Reference, "System Timers").
export const PIT_HZ = 1_193_182;
const CONTROL = 3;
const READ_BACK = 3;
/** Read-back command: these bits are zero when the count, the status is to be latched. */
const NO_COUNT = 0x20;
const NO_STATUS = 0x10;

const rate = new ClockRate(PIT_HZ);

/** The interval timer: counter 0 drives IRQ 0, counter 1 refreshes memory and does nothing here, counter 2 the speaker. */
export class Pit8254 extends BytePorts implements Device, TimedDevice {
  readonly name = '8254 PIT';
  readonly first = 0x40;
  readonly count = 4;
  readonly speaker = new PitCounter();
  private readonly counters = [new PitCounter(), new PitCounter(), this.speaker] as const;
  /** The output as the interrupt controllers know it; before it is programmed it is high, and no edge was seen. */
  private level = true;
  /** When counter 0's output changes next: virtual clock */
  private deadline = Infinity;

  /**
   * @param output counter 0's OUT
   * @param observed whether anybody would notice an edge of it: otherwise nothing has to happen at its time
   */
  constructor(
    private readonly clock: () => number,
    private readonly output: InterruptLine,
    private readonly observed: () => boolean,
  ) {
    super();
    this.speaker.setGate(0, 0);
  }

  nextDeadline(): number {
    return this.deadline !== Infinity && this.observed() ? this.deadline : Infinity;
  }

  /** Brings counter 0's output to what it is at `now`; a pulse that lies between is given as one. */
  advance(now: number): void {
    if (now < this.deadline) return;
    const [counter] = this.counters;
    const ticks = rate.ticks(now);
    const before = rate.ticks(this.deadline);
    const skipped = counter.nextChange(before) <= ticks;
    const level = counter.output(ticks);
    if (skipped && level === this.level) this.drive(!level);
    this.drive(level);
    this.schedule(ticks);
  }

  /** Ticks of the timer's clock now */
  get ticks(): number {
    return rate.ticks(this.clock());
  }

  protected readByte(port: number): number {
    const counter = this.counters[port - this.first];
    return counter ? counter.read(this.ticks) : 0;
  }

  protected writeByte(port: number, value: number): void {
    const number = port - this.first;
    const { ticks } = this;
    this.advance(this.clock());
    if (number !== CONTROL) this.counters[number]?.write(value, ticks);
    else if (value >>> 6 === READ_BACK) this.readBack(value, ticks);
    else this.counters[value >>> 6]?.program(value, ticks);
    this.drive(this.counters[0].output(ticks));
    this.schedule(ticks);
  }

  save(out: StateWriter): void {
    for (const counter of this.counters) counter.save(out);
    out.u8(Number(this.level));
    out.f64(this.deadline);
  }

  restore(from: StateReader): void {
    for (const counter of this.counters) counter.restore(from);
    this.level = from.u8() !== 0;
    this.deadline = from.f64();
  }

  private readBack(value: number, ticks: number): void {
    this.counters.forEach((counter, i) => {
      if (!(value & (2 << i))) return;
      if (!(value & NO_COUNT)) counter.latchCount(ticks);
      if (!(value & NO_STATUS)) counter.latchStatus(ticks);
    });
  }

  private drive(level: boolean): void {
    if (level === this.level) return;
    this.level = level;
    this.output.set(level);
  }

  private schedule(ticks: number): void {
    this.deadline = rate.clockAt(this.counters[0].nextChange(ticks));
  }
}
