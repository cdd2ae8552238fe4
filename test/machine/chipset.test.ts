import { strict as assert } from 'node:assert';
import { I8042 } from '../../emulator/devices/i8042';
import { PicPair } from '../../emulator/devices/pic-8259';
import { PortBus } from '../../emulator/devices/port-bus';
import { TestDevice } from '../../emulator/devices/test-device';
import { Chipset } from '../../emulator/machine/board/chipset';
import { MachineMemory } from '../../emulator/memory/machine-memory';
import { PhysicalMemory } from '../../emulator/memory/physical';
import { hostPhysical } from '../../emulator/memory/address';
import { copyState, saved, Wire } from './saved';

describe('8259: levels, rotation, masks', () => {
  function pics() {
    const wire = new Wire();
    const pair = new PicPair(wire);
    const write = (port: number, ...values: number[]) =>
      values.forEach((value) =>
        (port >= 0x4d0 ? pair.edgeLevelControl : port < 0xa0 ? pair.primary : pair.secondary).write(port, 1, value),
      );
    const read = (port: number) => (port >= 0x4d0 ? pair.edgeLevelControl : pair.primary).read(port, 1);
    write(0x20, 0x11);
    write(0x21, 0x20, 4, 1, 0);
    write(0xa0, 0x11);
    write(0xa1, 0x28, 2, 1, 0);
    return { pair, wire, write, read };
  }

  it('repeat a level-triggered input until its line falls', () => {
    const { pair, wire, write, read } = pics();
    write(0x4d0, 0xff);
    assert.equal(read(0x4d0), 0xf8, 'inputs 0 to 2 cannot');
    pair.line(5).set(true);
    assert.equal(pair.acknowledge(), 0x25);
    write(0x20, 0x20);
    assert.equal(wire.level, true);
    assert.equal(pair.acknowledge(), 0x25);
    pair.line(5).set(false);
    write(0x20, 0x20);
    assert.equal(wire.level, false);
  });

  it('rotate priorities', () => {
    const { pair, write } = pics();
    pair.line(3).set(true);
    assert.equal(pair.acknowledge(), 0x23);
    write(0x20, 0xa0); // end, and 3 becomes the lowest
    pair.line(3).set(false);
    pair.line(3).set(true);
    pair.line(6).set(true);
    assert.equal(pair.acknowledge(), 0x26);
    write(0x20, 0x66);
    write(0x20, 0xc1); // 1 becomes the lowest: 2 is the highest
    assert.equal(pair.acknowledge(), 0x23);
  });

  it('let lower inputs through in special mask mode, and answer a poll', () => {
    const { pair, wire, write, read } = pics();
    pair.line(1).set(true);
    pair.acknowledge();
    pair.line(4).set(true);
    assert.equal(wire.level, false);
    write(0x21, 0x02);
    write(0x20, 0x68);
    assert.equal(wire.level, true);
    write(0x20, 0x0c);
    assert.equal(read(0x20), 0x84);
    write(0x20, 0x0c);
    assert.equal(read(0x20), 0);
  });
});

describe('keyboard controller', () => {
  function keyboard() {
    const wire = new Wire();
    const a20 = { enabled: true };
    let resets = 0;
    const device = new I8042(wire, a20, () => resets++);
    const command = (...bytes: number[]) => {
      const [first = 0, ...data] = bytes;
      device.commandPort.write(0x64, 1, first);
      for (const byte of data) device.write(0x60, 1, byte);
    };
    const answer = () => {
      const bytes: number[] = [];
      while (device.commandPort.read(0x64, 1) & 1) bytes.push(device.read());
      return bytes;
    };
    return { device, wire, a20, command, answer, resets: () => resets };
  }

  it('answers for itself and for its keyboard', () => {
    const { device, command, answer } = keyboard();
    command(0xaa);
    assert.deepEqual(answer(), [0x55]);
    device.write(0x60, 1, 0xff);
    assert.deepEqual(answer(), [0xfa, 0xaa]);
    device.write(0x60, 1, 0xf2);
    assert.deepEqual(answer(), [0xfa, 0xab, 0x83]);
    device.write(0x60, 1, 0xed);
    device.write(0x60, 1, 7);
    assert.deepEqual(answer(), [0xfa, 0xfa]);
  });

  it('interrupts for each byte when it is told to', () => {
    const { device, wire, command, answer } = keyboard();
    command(0x60, 0x45);
    device.write(0x60, 1, 0xf2);
    answer();
    assert.equal(wire.rises, 3);
    assert.equal(wire.level, false);
  });

  it('has the reset line and A20', () => {
    const { a20, command, resets } = keyboard();
    command(0xd1, 0xdd);
    assert.equal(a20.enabled, false);
    command(0xdf);
    command(0xff);
    assert.equal(resets(), 0);
    command(0xfe);
    command(0xd1, 0xde);
    assert.equal(resets(), 2);
  });

  it('is the same after save and restore', () => {
    const one = keyboard();
    one.command(0xd1, 0xdd);
    one.device.write(0x60, 1, 0xf2);
    const other = keyboard();
    copyState(one.device, other.device);
    assert.deepEqual(other.answer(), [0xfa, 0xab, 0x83]);
    assert.equal(other.a20.enabled, false);
  });
});

describe('chipset', () => {
  function chipset() {
    const time = { now: 0 };
    const ports = new PortBus();
    const physical = new PhysicalMemory(new MachineMemory(1 << 20, 1));
    const intr = new Wire();
    const messages: string[] = [];
    const ends: string[] = [];
    const device = new Chipset({
      ports,
      physical,
      clock: () => time.now,
      intr,
      messages: { send: (_source, address, data) => messages.push(`${address.toString(16)} ${data.toString(16)}`) },
      ramSize: 64 << 20,
      processors: 2,
      startTime: 0,
      reset: (cause) => ends.push(cause),
      powerOff: () => ends.push('off'),
    });
    const redirect = (pin: number, value: number) => {
      physical.write(hostPhysical(0xfec00000n), 4, BigInt(0x10 + pin * 2));
      physical.write(hostPhysical(0xfec00010n), 4, BigInt(value));
    };
    return { time, ports, physical, device, intr, messages, ends, redirect };
  }
  const startTimer = (ports: PortBus) => [0x34].forEach((value) => ports.write(0x43, 1, value));

  it('leads the timer to input 2 of the I/O APIC, and other IRQs to their own', () => {
    const { time, ports, device, messages, redirect } = chipset();
    redirect(2, 0x30);
    redirect(4, 0x34);
    startTimer(ports);
    ports.write(0x40, 1, 0);
    ports.write(0x40, 1, 0);
    time.now = device.nextDeadline();
    device.advance(time.now);
    time.now = device.nextDeadline();
    device.advance(time.now);
    device.irq(4).set(true);
    assert.deepEqual(messages, ['fee00000 30', 'fee00000 34']);
  });

  it('has no deadline while the timer is masked everywhere; unmasking finds its request', () => {
    const { time, ports, device, intr } = chipset();
    for (const [port, value] of [
      [0x20, 0x11],
      [0x21, 0x20],
      [0x21, 4],
      [0x21, 1],
      [0x21, 0xff],
    ] as const) {
      ports.write(port, 1, value);
    }
    startTimer(ports);
    ports.write(0x40, 1, 0);
    ports.write(0x40, 1, 0);
    assert.equal(device.nextDeadline(), Infinity);
    time.now = 1_000_000_000;
    ports.write(0x21, 1, 0xfe);
    assert.equal(intr.level, true);
    assert.ok(device.nextDeadline() > time.now && device.nextDeadline() < Infinity);
  });

  it('resets and powers off', () => {
    const { ports, ends } = chipset();
    ports.write(0xcf9, 1, 2);
    assert.deepEqual(ends, []);
    ports.write(0xcf9, 1, 6);
    ports.write(0x92, 1, 3);
    ports.write(0x64, 1, 0xfe);
    ports.write(0x604, 2, 0x2000);
    assert.equal(ends.length, 4);
    assert.equal(ends[3], 'off');
  });

  it('shows no timer going back when vCPUs with other clocks read it', () => {
    const { time, ports } = chipset();
    time.now = 10_000_000;
    const late = ports.read(0x608, 4);
    time.now = 9_990_000;
    assert.equal(ports.read(0x608, 4), late);
  });

  it('is the same after save and restore', () => {
    const one = chipset();
    one.redirect(2, 0x30);
    startTimer(one.ports);
    one.ports.write(0x40, 1, 5);
    one.ports.write(0x40, 1, 5);
    one.ports.write(0x80, 1, 0x77);
    one.physical.write(hostPhysical(0xfed00010n), 4, 3n);
    const other = chipset();
    copyState(one.device, other.device);
    assert.deepEqual(saved(other.device), saved(one.device));
    for (const { time, device } of [one, other]) {
      for (let i = 0; i < 10; i++) device.advance((time.now = device.nextDeadline()));
    }
    assert.deepEqual(other.messages, one.messages);
    assert.deepEqual(saved(other.device), saved(one.device));
  });
});

describe('test device', () => {
  it('keeps scratch bytes and memory, and sets interrupt lines', () => {
    const wires = new Map<number, Wire>();
    const device = new TestDevice((number) => {
      const wire = new Wire();
      wires.set(number, wire);
      return wire;
    });
    const ports = new PortBus();
    device.ports.forEach((range) => ports.addRange(range));
    ports.write(0xe0, 4, 0x12345678);
    assert.equal(ports.read(0xe9, 2), 0x3456);
    ports.write(0xe2, 1, 0xff);
    assert.equal(ports.read(0xe0, 4), 0x12ff5678);
    device.write(0x10n, 8, 0x1122334455667788n);
    assert.equal(device.read(0x12n, 2), 0x5566n);
    ports.write(0x2005, 1, 1);
    assert.equal(wires.get(5)?.level, true);
    const other = new TestDevice(() => new Wire());
    copyState(device, other);
    assert.deepEqual(saved(other), saved(device));
    assert.equal(other.read(0x10n, 8), 0x1122334455667788n);
  });
});
