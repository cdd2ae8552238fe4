import { CLOCK_HZ } from '../arch/clock';
import { ClockRate } from './clock-rate';
import type { Device, StateReader, StateWriter } from './device';
import type { InterruptLine } from './interrupt-line';
import { BytePorts } from './port-bus';
import { decode, decodeHour, encode, encodeHour, nextAlarm, secondsOf, timeOf, type RtcFormat } from './rtc-time';
import type { TimedDevice } from './timed-device';

// "MC146818 Real-Time Clock Plus RAM", Motorola, "Address Map" and registers A to D; ports and the century byte: PC/AT
// Technical Reference, "Real-Time Clock". Bytes behind the registers: see `cmos`.
const enum Register {
  Second,
  SecondAlarm,
  Minute,
  MinuteAlarm,
  Hour,
  HourAlarm,
  Weekday,
  Day,
  Month,
  Year,
  A,
  B,
  C,
  D,
  Century = 0x32,
}
const A_UPDATE_IN_PROGRESS = 0x80;
const A_DIVIDER = 0x70;
const A_DIVIDER_RUNS = 0x20;
const B_SET = 0x80;
const B_PERIODIC = 0x40;
const B_ALARM = 0x20;
const B_UPDATE = 0x10;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;
const C_REQUEST = 0x80;
const FLAGS = B_PERIODIC | B_ALARM | B_UPDATE;
const D_VALID = 0x80;
const ALARM_ANY = 0xc0;
/** The update cycle begins this long before a second ends: 244 microseconds */
const UPDATE_CLOCKS = 244_000;
const SIZE = 128;

const crystal = new ClockRate(32768);

/** Real-time clock and CMOS RAM at ports 0x70 and 0x71. Time passes with the virtual clock from a configured start. */
export class Rtc extends BytePorts implements Device, TimedDevice {
  readonly name = 'RTC';
  readonly first = 0x70;
  readonly count = 2;
  private readonly ram = new Uint8Array(SIZE);
  private index = 0;
  /** Seconds since 1970 at virtual clock `since`, which is a whole number of seconds after the divider's last reset */
  private seconds: number;
  private since = 0;
  private flags = 0;
  /** Virtual clock up to which flags are known */
  private seen = 0;
  private level = false;

  /**
   * @param cmos bytes that firmware would have left: number of the register, value
   * @param start seconds since 1970 at power-on
   */
  constructor(
    private readonly clock: () => number,
    private readonly line: InterruptLine,
    cmos: ReadonlyMap<number, number>,
    start: number,
  ) {
    super();
    for (const [number, value] of cmos) this.ram[number] = value;
    this.ram[Register.A] = A_DIVIDER_RUNS | 6;
    this.ram[Register.B] = B_24_HOURS;
    this.seconds = start;
  }

  nextDeadline(): number {
    const enabled = this.byte(Register.B) & FLAGS;
    // With the request already standing nothing more can be told to anybody.
    if (enabled === 0 || this.level) return Infinity;
    let least = Infinity;
    if (enabled & B_PERIODIC) least = Math.min(least, this.nextPeriod(this.seen));
    if (enabled & B_UPDATE) least = Math.min(least, this.nextSecond(this.seen));
    if (enabled & B_ALARM) least = Math.min(least, this.nextAlarmClock(this.seen));
    return least;
  }

  /** Sets the flags of everything that happened up to `now`. */
  advance(now: number): void {
    if (now <= this.seen) return;
    if (this.nextPeriod(this.seen) <= now) this.flags |= B_PERIODIC;
    if (this.nextSecond(this.seen) <= now) this.flags |= B_UPDATE;
    if (this.nextAlarmClock(this.seen) <= now) this.flags |= B_ALARM;
    this.seen = now;
    this.drive();
  }

  protected readByte(port: number): number {
    if (port === this.first) return 0xff;
    this.advance(this.clock());
    switch (this.index as Register) {
      case Register.A: {
        const updating = this.runs && this.clock() >= this.nextSecond(this.clock()) - UPDATE_CLOCKS;
        return this.byte(Register.A) | (updating ? A_UPDATE_IN_PROGRESS : 0);
      }
      case Register.C: {
        const value = this.flags | (this.flags & this.byte(Register.B) ? C_REQUEST : 0);
        this.flags = 0;
        this.drive();
        return value;
      }
      case Register.D:
        return D_VALID;
      default:
        if (isTime(this.index) && this.runs) this.store();
        return this.byte(this.index);
    }
  }

  protected writeByte(port: number, value: number): void {
    if (port === this.first) {
      // Bit 7 masks NMI, which nothing here raises that way.
      this.index = value & (SIZE - 1);
      return;
    }
    this.advance(this.clock());
    switch (this.index as Register) {
      case Register.A:
        this.change(() => (this.ram[Register.A] = value & ~A_UPDATE_IN_PROGRESS));
        break;
      case Register.B:
        // SET ends the update cycle's interrupt.
        this.change(() => (this.ram[Register.B] = value & B_SET ? value & ~B_UPDATE : value));
        break;
      case Register.C:
      case Register.D:
        break;
      default:
        if (isTime(this.index)) this.change(() => (this.ram[this.index] = value), true);
        else this.ram[this.index] = value;
    }
    this.drive();
  }

  save(out: StateWriter): void {
    out.blob(this.ram);
    out.u8(this.index);
    out.u8(this.flags);
    out.u8(Number(this.level));
    for (const value of [this.seconds, this.since, this.seen]) out.f64(value);
  }

  restore(from: StateReader): void {
    this.ram.set(from.blob());
    this.index = from.u8();
    this.flags = from.u8();
    this.level = from.u8() !== 0;
    this.seconds = from.f64();
    this.since = from.f64();
    this.seen = from.f64();
  }

  /** The time goes on: not being set, and the divider is not held in reset. */
  private get runs(): boolean {
    return !(this.byte(Register.B) & B_SET) && this.dividing;
  }

  private get dividing(): boolean {
    return (this.byte(Register.A) & A_DIVIDER) === A_DIVIDER_RUNS;
  }

  private get format(): RtcFormat {
    const b = this.byte(Register.B);
    return { binary: (b & B_BINARY) !== 0, hours24: (b & B_24_HOURS) !== 0 };
  }

  private byte(number: number): number {
    return this.ram[number] ?? 0;
  }

  /**
   * A change of what the time is or how it runs: the registers hold the time meanwhile. Another format alone leaves the
   * time as it is.
   */
  private change(action: () => void, written = false): void {
    const clock = this.clock();
    const ran = this.runs;
    const divided = this.dividing;
    const fraction = ran ? (clock - this.since) % CLOCK_HZ : 0;
    if (ran) {
      this.seconds = this.now(clock);
      this.store();
    }
    action();
    // Out of reset the divider's first second is half a one (MC146818, "Divider Control").
    this.since = !divided && this.dividing ? clock - CLOCK_HZ / 2 : clock - fraction;
    if (this.runs && (written || !ran)) this.load();
  }

  /** Time into the registers */
  private store(): void {
    const { format } = this;
    const time = timeOf(this.now(this.clock()));
    const put = (register: Register, value: number) => (this.ram[register] = encode(value, format));
    put(Register.Second, time.second);
    put(Register.Minute, time.minute);
    this.ram[Register.Hour] = encodeHour(time.hour, format);
    put(Register.Weekday, time.weekday);
    put(Register.Day, time.day);
    put(Register.Month, time.month);
    put(Register.Year, time.year % 100);
    // Firmware's convention keeps the century in BCD whatever the format.
    this.ram[Register.Century] = encode(Math.floor(time.year / 100), { binary: false, hours24: true });
  }

  /** Registers into the time */
  private load(): void {
    const { format } = this;
    const get = (register: Register) => decode(this.byte(register), format);
    const century = decode(this.byte(Register.Century), { binary: false, hours24: true });
    this.seconds = secondsOf({
      second: get(Register.Second),
      minute: get(Register.Minute),
      hour: decodeHour(this.byte(Register.Hour), format),
      weekday: 0,
      day: get(Register.Day),
      month: get(Register.Month),
      year: century * 100 + get(Register.Year),
    });
  }

  private now(clock: number): number {
    return this.seconds + Math.floor((clock - this.since) / CLOCK_HZ);
  }

  private nextSecond(after: number): number {
    return this.runs ? this.since + (Math.floor((after - this.since) / CLOCK_HZ) + 1) * CLOCK_HZ : Infinity;
  }

  private nextPeriod(after: number): number {
    const select = this.byte(Register.A) & 15;
    if (select === 0 || !this.dividing) return Infinity;
    // 1 and 2 are 256 and 128 Hz, the rest halves from 8192 Hz at 3.
    const period = select <= 2 ? 64 << select : 1 << (select - 1);
    return crystal.clockAt((Math.floor(crystal.ticks(after) / period) + 1) * period);
  }

  private nextAlarmClock(after: number): number {
    if (!this.runs) return Infinity;
    const { format } = this;
    const part = (register: Register, read: (byte: number, format: RtcFormat) => number) =>
      this.byte(register) >= ALARM_ANY ? undefined : read(this.byte(register), format);
    const alarm = {
      second: part(Register.SecondAlarm, decode),
      minute: part(Register.MinuteAlarm, decode),
      hour: part(Register.HourAlarm, decodeHour),
    };
    const at = nextAlarm(alarm, this.now(after));
    return this.since + (at - this.seconds) * CLOCK_HZ;
  }

  private drive(): void {
    const level = (this.flags & this.byte(Register.B) & FLAGS) !== 0;
    if (level === this.level) return;
    this.level = level;
    this.line.set(level);
  }
}

/** Time registers; the alarms between them are not. */
const TIME: ReadonlySet<number> = new Set([
  Register.Second,
  Register.Minute,
  Register.Hour,
  Register.Weekday,
  Register.Day,
  Register.Month,
  Register.Year,
  Register.Century,
]);
const isTime = (register: number): boolean => TIME.has(register);
