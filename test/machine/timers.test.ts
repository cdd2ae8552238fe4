import { strict as assert } from 'node:assert';
import { AcpiPower, PM_TIMER_HZ } from '../../emulator/devices/acpi-power';
import { ClockRate } from '../../emulator/devices/clock-rate';
import { Hpet } from '../../emulator/devices/hpet';
import { Pit8254, PIT_HZ } from '../../emulator/devices/pit-8254';
import { Rtc } from '../../emulator/devices/rtc';
import { SystemPort } from '../../emulator/devices/system-port';
import type { TimedDevice } from '../../emulator/devices/timed-device';
import { copyState, saved, Wire } from './saved';

const SECOND = 1_000_000_000;

/** Lets time pass to `end`, stopping at each deadline as the board does; returns how many there were. */
function pass(device: TimedDevice, time: { now: number }, end: number): number {
  let stops = 0;
  for (let next = device.nextDeadline(); next <= end; next = device.nextDeadline()) {
    assert.ok(next >= time.now, 'a deadline lies in the future');
    time.now = next;
    device.advance(next);
    assert.ok(++stops < 1_000_000);
  }
  time.now = end;
  return stops;
}

describe('clock rates', () => {
  it('are exact over years, and inverse to each other', () => {
    for (const hertz of [PIT_HZ, PM_TIMER_HZ, 32768]) {
      const rate = new ClockRate(hertz);
      assert.equal(rate.ticks(86_400 * SECOND), hertz * 86_400);
      for (const ticks of [0, 1, 7, hertz - 1, hertz, hertz * 1000 + 12345]) {
        const clock = rate.clockAt(ticks);
        assert.equal(rate.ticks(clock), ticks);
        if (clock > 0) assert.equal(rate.ticks(clock - 1), ticks - 1);
      }
    }
  });
});

describe('8254 timer', () => {
  function pit() {
    const time = { now: 0 };
    const wire = new Wire();
    let observed = true;
    const device = new Pit8254(
      () => time.now,
      wire,
      () => observed,
    );
    const port = new SystemPort(device);
    const out = (at: number, ...values: number[]) => values.forEach((value) => device.write(at, 1, value));
    const ticks = (count: number) => new ClockRate(PIT_HZ).clockAt(count);
    return { time, wire, device, port, out, ticks, observe: (value: boolean) => (observed = value) };
  }

  it('interrupts once a period in modes 2 and 3', () => {
    for (const control of [0x34, 0x36]) {
      const { time, wire, device, out } = pit();
      out(0x43, control);
      out(0x40, 0xa9, 0x04); // 1193 ticks
      pass(device, time, SECOND);
      assert.equal(wire.rises, Math.floor(PIT_HZ / 1193), control.toString(16));
    }
  });

  it('interrupts once in mode 0, and again when a count is written', () => {
    const { time, wire, device, out } = pit();
    out(0x43, 0x30);
    out(0x40, 0x00, 0x10);
    pass(device, time, SECOND);
    assert.equal(wire.rises, 1);
    assert.equal(device.nextDeadline(), Infinity);
    out(0x40, 0x00, 0x10);
    assert.equal(wire.level, false);
    pass(device, time, 2 * SECOND);
    assert.equal(wire.rises, 2);
  });

  it('strobes in mode 4 for one tick', () => {
    const { time, wire, device, out } = pit();
    out(0x43, 0x38);
    out(0x40, 100, 0);
    assert.equal(pass(device, time, SECOND), 2);
    assert.equal(wire.rises, 1);
  });

  it('counts down as it is read: latched, both bytes, one byte, BCD', () => {
    const { time, device, out, ticks } = pit();
    const word = () => device.read(0x40, 1) | (device.read(0x40, 1) << 8);
    out(0x43, 0x34);
    out(0x40, 0x00, 0x20);
    time.now = ticks(0x100);
    out(0x43, 0x00);
    time.now = ticks(0x1000);
    assert.equal(word(), 0x1f00, 'the latch keeps the first moment');
    assert.equal(word(), 0x1000);
    out(0x43, 0x35);
    out(0x40, 0x00, 0x10); // 1000 in BCD
    time.now += ticks(1);
    assert.equal(word(), 0x0999);
    out(0x43, 0x14);
    out(0x40, 200);
    time.now += ticks(50) + 1;
    assert.ok([149, 150].includes(device.read(0x40, 1)));
  });

  it('tells mode, output and whether a count is there by read-back', () => {
    const { device, out } = pit();
    out(0x43, 0x36, 0xe2);
    assert.equal(device.read(0x40, 1), 0xf6);
    out(0x40, 0, 0);
    out(0x43, 0xe2);
    assert.equal(device.read(0x40, 1), 0xb6);
  });

  it('lets port 0x61 gate counter 2 and see its output', () => {
    const { time, device, port, out, ticks } = pit();
    out(0x43, 0xb0);
    out(0x42, 0x00, 0x01);
    time.now = ticks(0x1000);
    assert.equal(port.read(0x61, 1) & 0x21, 0);
    port.write(0x61, 1, 1);
    time.now += ticks(0x80);
    port.write(0x61, 1, 0);
    time.now += ticks(0x1000);
    assert.equal(port.read(0x61, 1) & 0x20, 0, 'it stands while the gate is low');
    port.write(0x61, 1, 3);
    time.now += ticks(0x82);
    assert.equal(port.read(0x61, 1) & 0x23, 0x23);
    void device;
  });

  it('asks for no stop while nobody can see its interrupt, and makes up for it', () => {
    const { time, wire, device, out, observe } = pit();
    out(0x43, 0x34);
    out(0x40, 0, 0);
    observe(false);
    assert.equal(device.nextDeadline(), Infinity);
    time.now = SECOND;
    device.advance(time.now);
    assert.equal(wire.rises, 1);
    observe(true);
    assert.ok(device.nextDeadline() > time.now);
  });

  it('is the same after save and restore', () => {
    const one = pit();
    one.out(0x43, 0x34);
    one.out(0x40, 0xa9);
    const other = pit();
    copyState(one.device, other.device);
    copyState(one.port, other.port);
    for (const { out } of [one, other]) out(0x40, 0x04);
    for (const { device, time } of [one, other]) pass(device, time, SECOND);
    assert.deepEqual(saved(other.device), saved(one.device));
    assert.ok(Math.abs(other.wire.rises - one.wire.rises) <= 1);
  });
});

describe('HPET', () => {
  function hpet() {
    const time = { now: 0 };
    const pins = new Map<number, Wire>();
    const irqs = new Map<number, Wire>();
    const wire = (map: Map<number, Wire>) => (number: number) => {
      const known = map.get(number) ?? new Wire();
      map.set(number, known);
      return known;
    };
    let legacy = false;
    const device = new Hpet({
      clock: () => time.now,
      pin: wire(pins),
      irq: wire(irqs),
      legacy: (replaced) => (legacy = replaced),
    });
    const write = (at: number, value: number | bigint, size = 4) => device.write(BigInt(at), size, BigInt(value));
    const read = (at: number, size = 4) => Number(device.read(BigInt(at), size));
    return { time, device, write, read, pin: wire(pins), irq: wire(irqs), isLegacy: () => legacy };
  }

  it('counts 10 ns while enabled, and keeps what is written', () => {
    const { time, read, write } = hpet();
    assert.equal(read(0), 0x8086a201);
    assert.equal(read(4), 10_000_000);
    time.now = 1000;
    assert.equal(read(0xf0), 0);
    write(0x10, 1);
    time.now = 2000;
    assert.equal(read(0xf0), 100);
    write(0x10, 0);
    write(0xf0, 0xffffffff_ffffffffn, 8);
    write(0x10, 1);
    time.now += 20;
    assert.equal(read(0xf0, 8), 1);
  });

  it('fires once, or periodically, by edge on the pin of its route', () => {
    const { time, device, write, pin } = hpet();
    write(0x120, (20 << 9) | 4);
    write(0x128, 1000n, 8);
    write(0x100, (21 << 9) | 0x14c);
    write(0x108, 500);
    write(0x108, 100);
    write(0x10, 1);
    pass(device, time, 20_000);
    assert.equal(pin(20).rises, 1);
    assert.equal(pin(21).rises, 1 + (2000 - 500) / 100);
  });

  it('holds a level until its status bit is written', () => {
    const { time, device, read, write, pin } = hpet();
    write(0x100, (22 << 9) | 6);
    write(0x108, 10n, 8);
    write(0x10, 1);
    pass(device, time, 1000);
    assert.equal(pin(22).level, true);
    assert.equal(read(0x20), 1);
    write(0x20, 1);
    assert.equal(pin(22).level, false);
    assert.equal(read(0x20), 0);
  });

  it('takes the place of PIT and RTC', () => {
    const { time, device, write, irq, isLegacy } = hpet();
    write(0x100, 0x104);
    write(0x108, 10);
    write(0x120, 0x104);
    write(0x128, 20);
    write(0x10, 3);
    assert.ok(isLegacy());
    pass(device, time, 1000);
    assert.deepEqual([irq(0).rises, irq(8).rises], [1, 1]);
  });

  it('refuses routes that it does not offer', () => {
    const { read, write } = hpet();
    write(0x100, 5 << 9);
    assert.equal((read(0x100) >> 9) & 31, 0);
    assert.equal(read(0x104), 0x00f00000);
  });

  it('is the same after save and restore', () => {
    const one = hpet();
    one.write(0x100, (20 << 9) | 0x14c);
    one.write(0x108, 500);
    one.write(0x10, 1);
    const other = hpet();
    copyState(one.device, other.device);
    for (const { device, time } of [one, other]) pass(device, time, 100_000);
    assert.deepEqual(saved(other.device), saved(one.device));
  });
});

describe('real-time clock', () => {
  const START = Date.UTC(2024, 1, 28, 23, 59, 58) / 1000;

  function rtc(start = START) {
    const time = { now: 0 };
    const wire = new Wire();
    const device = new Rtc(() => time.now, wire, new Map([[0x15, 0x80]]), start);
    const get = (register: number) => {
      device.write(0x70, 1, register);
      return device.read(0x71, 1);
    };
    const set = (register: number, value: number) => {
      device.write(0x70, 1, register);
      device.write(0x71, 1, value);
    };
    const date = () =>
      [0x32, 9, 8, 7, 4, 2, 0].map((register) => get(register).toString(16).padStart(2, '0')).join(' ');
    return { time, wire, device, get, set, date };
  }

  it('goes on with the virtual clock, through leap days', () => {
    const { time, date, get } = rtc();
    assert.equal(date(), '20 24 02 28 23 59 58');
    time.now = 3 * SECOND;
    assert.equal(date(), '20 24 02 29 00 00 01');
    assert.equal(get(6), 5, 'Thursday');
    time.now = 86_402 * SECOND;
    assert.equal(date(), '20 24 03 01 00 00 00');
    assert.equal(get(0x15), 0x80);
  });

  it('announces an update 244 microseconds before it', () => {
    const { time, get } = rtc();
    time.now = SECOND - 300_000;
    assert.equal(get(0xa) & 0x80, 0);
    time.now = SECOND - 100_000;
    assert.equal(get(0xa) & 0x80, 0x80);
  });

  it('can be set, in all four formats', () => {
    for (const [b, hour, shown] of [
      [0x02, 0x13, 0x13],
      [0x06, 13, 13],
      [0x00, 0x81, 0x81],
      [0x04, 0x81, 0x81],
    ] as const) {
      const { get, set, time } = rtc();
      set(0xb, 0x80 | b);
      // Registers keep their bytes when the format changes: all are set anew.
      set(0, 0);
      set(2, 0);
      set(4, hour);
      set(0xb, b);
      assert.equal(get(4), shown);
      set(0xb, 6);
      assert.equal(get(4), 13);
      time.now += 3600 * SECOND;
      assert.equal(get(4), 14);
    }
  });

  it('stands still while it is set', () => {
    const { time, set, date } = rtc();
    set(0xb, 0x82);
    const before = date();
    time.now = 100 * SECOND;
    assert.equal(date(), before);
  });

  it('interrupts periodically, at updates and at its alarm', () => {
    const { time, wire, device, get, set } = rtc();
    const count = (enable: number, seconds: number) => {
      set(0xb, enable | 2);
      get(0xc);
      const start = time.now;
      let interrupts = 0;
      for (let next = device.nextDeadline(); next <= start + seconds * SECOND; next = device.nextDeadline()) {
        time.now = next;
        device.advance(next);
        assert.equal(wire.level, true);
        assert.equal(get(0xc) & (0x80 | enable), 0x80 | enable);
        assert.equal(wire.level, false);
        interrupts++;
      }
      time.now = start + seconds * SECOND;
      return interrupts;
    };
    assert.equal(count(0x40, 1), 1024);
    assert.equal(count(0x10, 10), 10);
    set(1, 0x30);
    set(3, 0xff);
    set(5, 0xff);
    assert.equal(count(0x20, 600), 10, 'every minute');
    set(3, 0x05);
    set(5, 0x04);
    assert.equal(count(0x20, 86_400), 1, 'every day');
  });

  it('is the same after save and restore', () => {
    const one = rtc();
    one.time.now = 12_345_678_901;
    one.set(0xb, 0x42);
    const other = rtc(0);
    copyState(one.device, other.device);
    other.time.now = one.time.now;
    assert.equal(other.date(), one.date());
    assert.equal(other.device.nextDeadline(), one.device.nextDeadline());
  });
});

describe('ACPI power management', () => {
  function power() {
    const time = { now: 0 };
    const wire = new Wire();
    let off = 0;
    const device = new AcpiPower(
      () => time.now,
      wire,
      () => off++,
    );
    return { time, wire, device, off: () => off };
  }

  it('has a 24-bit timer of 3.579545 MHz', () => {
    const { time, device } = power();
    time.now = SECOND;
    assert.equal(device.read(0x608, 4), PM_TIMER_HZ);
    time.now = 10 * SECOND;
    assert.equal(device.read(0x608, 4), (10 * PM_TIMER_HZ) % 0x1000000);
  });

  it('raises its interrupt when the timer turns over half', () => {
    const { time, wire, device } = power();
    device.write(0x602, 2, 1);
    pass(device, time, 3 * SECOND);
    assert.equal(wire.level, true);
    assert.equal(device.read(0x600, 2), 1);
    device.write(0x600, 2, 1);
    assert.equal(wire.level, false);
  });

  it('powers off for S5 only', () => {
    const { device, off } = power();
    assert.equal(device.read(0x604, 2), 1, 'in ACPI mode');
    device.write(0x604, 2, 0x2000 | (1 << 10));
    assert.equal(off(), 0);
    device.write(0x604, 2, 0x2000);
    assert.equal(off(), 1);
  });

  it('is the same after save and restore', () => {
    const one = power();
    one.device.write(0x602, 2, 1);
    const other = power();
    copyState(one.device, other.device);
    assert.deepEqual(saved(other.device), saved(one.device));
    assert.equal(other.device.nextDeadline(), one.device.nextDeadline());
  });
});
