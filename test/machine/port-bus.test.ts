import { strict as assert } from 'node:assert';
import { ExitPort } from '../../emulator/devices/exit-port';
import { PortBus } from '../../emulator/devices/port-bus';

describe('port bus', () => {
  it('reads all ones where nobody answers', () => {
    const bus = new PortBus();
    assert.deepEqual(
      [1, 2, 4].map((size) => bus.read(0x80, size)),
      [0xff, 0xffff, 0xffffffff],
    );
    bus.write(0x80, 4, 1);
  });

  it('splits an access that leaves a range, and wraps at the end of port space', () => {
    const bus = new PortBus();
    const writes: [number, number, number][] = [];
    const device = {
      name: 'device',
      first: 0xffff,
      count: 1,
      read: () => 0x5a,
      write: (port: number, size: number, value: number) => void writes.push([port, size, value]),
    };
    bus.addRange(device);
    assert.equal(bus.read(0xffff, 2), 0xff5a);
    bus.write(0xfffe, 4, 0x44332211);
    assert.deepEqual(writes, [[0xffff, 1, 0x22]]);
  });

  it('refuses two devices at one port', () => {
    const bus = new PortBus();
    bus.addRange(new ExitPort(() => undefined));
    assert.throws(() => bus.addRange(new ExitPort(() => undefined)), /port 0xf4/);
  });

  it('ends the machine by a write of any size to the exit port', () => {
    const codes: number[] = [];
    const bus = new PortBus();
    bus.addRange(new ExitPort((code) => codes.push(code)));
    bus.write(0xf4, 1, 0x12);
    bus.write(0xf4, 2, 0x1234);
    bus.write(0xf4, 4, 0x12345678);
    assert.deepEqual(codes, [0x12, 0x1234, 0x12345678]);
  });
});
