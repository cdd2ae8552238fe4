import { ClockRate } from './clock-rate';
import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { BytePorts } from './port-bus';
import type { TimedDevice } from './timed-device';

// ACPI specification 6.5, 4.8.3: fixed hardware registers. Where they lie and which sleep type powers off: as on QEMU's PC
// ("82371AB (PIIX4)" data sheet 290562, power management function; QEMU, hw/acpi/core.c).
export const PM_BASE = 0x600;
export const PM_TIMER_HZ = 3_579_545;
/** Offsets of the register blocks */
export const PM1_EVENT = 0;
export const PM1_CONTROL = 4;
export const PM_TIMER = 8;
/** SLP_TYP of S5, as \_S5 tells it */
export const SLEEP_TYPE_OFF = 0;

const EVENT_TIMER = 0x0001;
/** Status bits that exist: timer, global lock, power button, sleep button, RTC, wake */
const EVENTS = 0x8721;
const ENABLES = 0x0721;
const CONTROL_SCI = 0x0001;
const SLEEP_ENABLE = 0x2000;
const SLEEP_TYPE_SHIFT = 10;
/** The timer's status is set whenever its bit 23 changes: it is a 24-bit timer (4.8.3.3). */
const TIMER_BITS = 0x1000000;
const HALF = TIMER_BITS / 2;

const rate = new ClockRate(PM_TIMER_HZ);

/** ACPI's power management: the timer, its interrupt, and the switch that turns the machine off. Always in ACPI mode. */
export class AcpiPower extends BytePorts implements Device, TimedDevice {
  readonly name = 'ACPI power management';
  readonly first = PM_BASE;
  readonly count = 12;
  private enabled = 0;
  private status = 0;
  private control = CONTROL_SCI;
  /** Half periods of the timer that are known of */
  private halves = 0;

  /**
   * @param line the system control interrupt, level-triggered
   * @param powerOff software asked for S5
   */
  constructor(
    private readonly clock: () => number,
    private readonly line: InterruptLine,
    private readonly powerOff: () => void,
  ) {
    super();
  }

  nextDeadline(): number {
    if (!(this.enabled & EVENT_TIMER) || this.status & EVENT_TIMER) return Infinity;
    return rate.clockAt((this.halves + 1) * HALF);
  }

  advance(now: number): void {
    const halves = Math.floor(rate.ticks(now) / HALF);
    if (halves <= this.halves) return;
    this.halves = halves;
    this.status |= EVENT_TIMER;
    this.drive();
  }

  protected readByte(port: number): number {
    this.advance(this.clock());
    const at = port - this.first;
    if (at >= PM_TIMER) return ((rate.ticks(this.clock()) % TIMER_BITS) >>> (8 * (at - PM_TIMER))) & 0xff;
    if (at >= PM1_CONTROL + 2) return 0;
    const register = at >= PM1_CONTROL ? this.control : at >= PM1_EVENT + 2 ? this.enabled : this.status;
    return (register >>> (8 * (at & 1))) & 0xff;
  }

  protected writeByte(port: number, value: number): void {
    this.advance(this.clock());
    const at = port - this.first;
    const shift = 8 * (at & 1);
    const bits = value << shift;
    const merged = (register: number) => (register & ~(0xff << shift)) | bits;
    if (at >= PM1_CONTROL + 2) return;
    if (at >= PM1_CONTROL) this.writeControl(merged(this.control));
    else if (at >= PM1_EVENT + 2) this.enabled = merged(this.enabled) & ENABLES;
    else this.status &= ~(bits & EVENTS);
    this.drive();
  }

  save(out: StateWriter): void {
    out.u32(this.enabled);
    out.u32(this.status);
    out.u32(this.control);
    out.f64(this.halves);
  }

  restore(from: StateReader): void {
    this.enabled = from.u32();
    this.status = from.u32();
    this.control = from.u32();
    this.halves = from.f64();
  }

  /** The only sleeping state here is S5: with any other type nothing happens, as in \_S1 to \_S4 that do not exist. */
  private writeControl(value: number): void {
    this.control = (value & ~SLEEP_ENABLE) | CONTROL_SCI;
    if (value & SLEEP_ENABLE && ((value >>> SLEEP_TYPE_SHIFT) & 7) === SLEEP_TYPE_OFF) this.powerOff();
  }

  private drive(): void {
    this.line.set((this.status & this.enabled & ENABLES) !== 0);
  }
}
