import { strict as assert } from 'node:assert';
import { ApicBus } from '../../emulator/devices/apic-bus';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import { LocalApic } from '../../emulator/devices/local-apic';
import { decodeMessage, DirectMessages } from '../../emulator/devices/message-decoder';

function apic(id = 0, bus = new ApicBus()) {
  const events: string[] = [];
  const board = { now: 0, base: 0xfee00900n, external: -1 };
  const local = new LocalApic({
    id,
    bus,
    apicBase: () => board.base,
    clock: () => board.now,
    tscBase: () => 1000n,
    nmi: () => events.push('nmi'),
    init: () => events.push('init'),
    startUp: (vector) => events.push(`sipi ${vector}`),
    externalPending: () => board.external >= 0,
    externalAcknowledge: () => board.external,
    attention: () => undefined,
  });
  const write = (at: number, value: number) => local.write(BigInt(at), 4, BigInt(value >>> 0));
  const read = (at: number) => Number(local.read(BigInt(at), 4));
  const advanceTo = (now: number) => {
    board.now = now;
    local.advance(now);
  };
  return { local, board, bus, events, write, read, advanceTo };
}

const enabled = (id?: number, bus?: ApicBus) => {
  const made = apic(id, bus);
  made.write(0xf0, 0x1ff);
  return made;
};

describe('local APIC: registers', () => {
  it('has the reset values of the manual', () => {
    const { read } = apic();
    assert.deepEqual(
      [0x80, 0xd0, 0xe0, 0xf0, 0x320, 0x350, 0x380].map(read),
      [0, 0, 0xffffffff, 0xff, 0x10000, 0x10000, 0],
    );
  });

  it('keeps LVT masks set while it is disabled by software', () => {
    const { read, write } = apic();
    write(0x320, 0x20);
    assert.equal(read(0x320), 0x10020);
    write(0xf0, 0x1ff);
    write(0x320, 0x20);
    assert.equal(read(0x320), 0x20);
  });

  it('records an access to a reserved register in the ESR', () => {
    const { read, write } = enabled();
    write(0x3f0, 1);
    assert.equal(read(0x280), 0);
    write(0x280, 0);
    assert.equal(read(0x280), 0x80);
  });

  it('does not answer when it is disabled globally', () => {
    const { local, board } = enabled();
    assert.equal(local.size, 0x1000n);
    board.base = 0xfee00000n;
    assert.equal(local.size, 0n);
  });
});

describe('local APIC: priorities', () => {
  it('delivers the highest vector, nests by class, and returns by EOI', () => {
    const { local, write, read } = enabled();
    local.accept(0x41);
    local.accept(0x62);
    assert.equal(local.acknowledge(), 0x62);
    assert.equal(local.pendingVector(), -1);
    assert.equal(read(0xa0), 0x60);
    local.accept(0x6f);
    assert.equal(local.pendingVector(), -1, 'same class waits');
    local.accept(0x70);
    assert.equal(local.acknowledge(), 0x70);
    write(0xb0, 0);
    write(0xb0, 0);
    assert.equal(local.acknowledge(), 0x6f);
    write(0xb0, 0);
    assert.equal(local.acknowledge(), 0x41);
  });

  it('holds back what the task priority forbids, by TPR and by CR8', () => {
    const { local, write } = enabled();
    write(0x80, 0x50);
    local.accept(0x55);
    assert.equal(local.pendingVector(), -1);
    local.taskPriority = 4;
    assert.equal(local.pendingVector(), 0x55);
  });

  it('passes INTR of the 8259 through LINT0 as ExtINT', () => {
    const { local, board, write } = enabled();
    board.external = 0x2c;
    assert.equal(local.pendingVector(), -1);
    write(0x350, 0x700);
    assert.notEqual(local.pendingVector(), -1);
    assert.equal(local.acknowledge(), 0x2c);
  });
});

describe('local APIC: timer', () => {
  it('counts down once', () => {
    const { local, write, read, advanceTo } = enabled();
    write(0x3e0, 0x0b);
    write(0x320, 0x30);
    write(0x380, 100);
    assert.equal(local.nextDeadline(), 100);
    advanceTo(40);
    assert.equal(read(0x390), 60);
    advanceTo(100);
    assert.equal(local.acknowledge(), 0x30);
    assert.equal(read(0x390), 0);
    assert.equal(local.nextDeadline(), Infinity);
  });

  it('divides the clock', () => {
    const { local, board, write, read } = enabled();
    write(0x320, 0x30);
    board.now = 1000;
    write(0x3e0, 0x03); // by 16
    write(0x380, 10);
    assert.equal(local.nextDeadline(), 1160);
    board.now = 1031;
    assert.equal(read(0x390), 9);
  });

  it('repeats, and does not drift when it is looked at late', () => {
    const { local, write, advanceTo } = enabled();
    write(0x3e0, 0x0b);
    write(0x320, 0x20030);
    write(0x380, 10);
    advanceTo(10);
    assert.equal(local.acknowledge(), 0x30);
    write(0xb0, 0);
    advanceTo(35);
    assert.equal(local.nextDeadline(), 40);
    assert.equal(local.acknowledge(), 0x30);
  });

  it('counts but does not interrupt while masked', () => {
    const { local, write, read, advanceTo } = enabled();
    write(0x3e0, 0x0b);
    write(0x320, 0x10030);
    write(0x380, 10);
    assert.equal(local.nextDeadline(), Infinity);
    advanceTo(4);
    assert.equal(read(0x390), 6);
    advanceTo(20);
    assert.equal(local.pendingVector(), -1);
  });

  it('fires when the time-stamp counter reaches the deadline', () => {
    const { local, write, advanceTo } = enabled();
    local.tscDeadline = 5000n;
    assert.equal(local.tscDeadline, 0n, 'only in TSC-deadline mode');
    write(0x320, 0x40030);
    local.tscDeadline = 5000n;
    assert.equal(local.nextDeadline(), 4000);
    advanceTo(4000);
    assert.equal(local.acknowledge(), 0x30);
    assert.equal(local.tscDeadline, 0n);
  });
});

describe('local APIC: interprocessor interrupts', () => {
  it('reaches itself by shorthand and by physical and logical destination', () => {
    const { local, write } = enabled();
    write(0x300, 0x40051);
    write(0x310, 0);
    write(0x300, 0x61);
    write(0xd0, 0x02000000);
    write(0x310, 0x02000000);
    write(0x300, 0x871);
    const got: number[] = [];
    while (local.pendingVector() >= 0) got.push(local.acknowledge());
    assert.deepEqual(got, [0x71]);
    write(0xb0, 0);
    assert.equal(local.acknowledge(), 0x61);
    write(0xb0, 0);
    assert.equal(local.acknowledge(), 0x51);
  });

  it('sends INIT, start-up and NMI to the others', () => {
    const bus = new ApicBus();
    const first = enabled(0, bus);
    const second = enabled(1, bus);
    first.write(0x300, 0xc4500);
    first.write(0x300, 0xc4608);
    first.write(0x310, 0x01000000);
    first.write(0x300, 0x4400);
    assert.deepEqual(second.events, ['init', 'sipi 8', 'nmi']);
    assert.deepEqual(first.events, []);
  });

  it('refuses vectors below 16', () => {
    const { local, read, write } = enabled();
    write(0x300, 0x40005);
    write(0x280, 0);
    assert.equal(read(0x280), 0x20);
    assert.equal(local.pendingVector(), -1);
  });
});

describe('local APIC: messages from outside', () => {
  const two = () => {
    const bus = new ApicBus();
    return { bus, first: enabled(0, bus), second: enabled(1, bus), messages: new DirectMessages(bus) };
  };

  it('decodes address and data', () => {
    assert.equal(decodeMessage(0xfed00000n, 0x41), undefined);
    assert.deepEqual(decodeMessage(0xfee01000n, 0xc051), {
      vector: 0x51, delivery: 0, logical: false, assert: true, levelTriggered: true, shorthand: 0, destination: 1,
    }); // prettier-ignore
    assert.equal(decodeMessage(0xfeeff000n, 0x41)?.destination, 0xffffffff);
    assert.equal(decodeMessage(0xfee0300cn, 0x41)?.delivery, 1, 'redirection hint with logical destination');
  });

  it('reaches the processor that is addressed, and all', () => {
    const { first, second, messages } = two();
    messages.send(0, 0xfee01000n, 0x41);
    assert.deepEqual([first.local.pendingVector(), second.local.pendingVector()], [-1, 0x41]);
    messages.send(0, 0xfeeff000n, 0x400);
    assert.deepEqual([first.events, second.events], [['nmi'], ['nmi']]);
  });

  it('gives a lowest-priority interrupt to the processor with the lowest priority', () => {
    const { first, second, messages } = two();
    for (const { write } of [first, second]) write(0xd0, 0x01000000);
    first.write(0x80, 0x30);
    messages.send(0, 0xfee01004n, 0x141);
    assert.deepEqual([first.local.pendingVector(), second.local.pendingVector()], [-1, 0x41]);
    messages.send(0, 0xfee01004n, 0x151);
    assert.deepEqual([first.local.pendingVector(), second.local.pendingVector()], [0x51, 0x41]);
  });

  it('passes over an APIC that software has disabled', () => {
    const { bus, first, second } = two();
    for (const { write } of [first, second]) write(0xd0, 0x01000000);
    const message = decodeMessage(0xfee01004n, 0x141);
    assert.ok(message);
    first.write(0xf0, 0xff);
    assert.ok(bus.deliver(message));
    assert.equal(second.local.pendingVector(), 0x41);
    second.write(0xf0, 0xff);
    assert.ok(!bus.deliver(message));
  });

  it('tells the I/O APICs the EOI of level-triggered interrupts only, unless that is suppressed', () => {
    const { bus, first, messages } = two();
    const ended: number[] = [];
    bus.onEoi((vector) => ended.push(vector));
    const serve = (data: number) => {
      messages.send(0, 0xfee00000n, data);
      first.local.acknowledge();
      first.write(0xb0, 0);
    };
    serve(0x41);
    assert.deepEqual(ended, []);
    serve(0xc041);
    assert.deepEqual(ended, [0x41]);
    assert.equal(first.read(0x1a0), 2, 'TMR');
    first.write(0xf0, 0x11ff);
    serve(0xc042);
    assert.deepEqual(ended, [0x41]);
    messages.send(0, 0xfee00000n, 0x8043);
    assert.equal(first.local.pendingVector(), -1, 'a level that is not asserted is no interrupt');
  });

  it('takes ExtINT from an I/O APIC to the 8259', () => {
    const { first, messages } = two();
    first.board.external = 0x2c;
    messages.send(0, 0xfee00000n, 0x700);
    assert.equal(first.local.acknowledge(), 0x2c);
    first.board.external = -1;
    assert.equal(first.local.pendingVector(), -1);
  });
});

describe('local APIC: logical destinations', () => {
  it('in the flat model are a mask of eight, in the cluster model a cluster and a mask of four', () => {
    const { local, write } = enabled(3);
    write(0xd0, 0x42000000);
    const matches = (destination: number) => local.matches(destination, true);
    assert.deepEqual([0x40, 0x02, 0x42, 0x41, 0x3d].map(matches), [true, true, true, true, false]);
    write(0xe0, 0x0fffffff);
    assert.deepEqual([0x42, 0x43, 0x41, 0x52, 0x02, 0xff].map(matches), [true, true, false, false, false, true]);
  });

  it('are not looked at for a physical destination', () => {
    const { local, write } = enabled(3);
    write(0xd0, 0x42000000);
    assert.deepEqual(
      [3, 0x42, 0xff].map((destination) => local.matches(destination, false)),
      [true, false, true],
    );
  });
});

describe('local APIC: errors', () => {
  it('raise their local interrupt once until the ESR is written', () => {
    const { local, read, write } = enabled();
    write(0x370, 0xe0);
    write(0x300, 0x40005);
    assert.equal(local.acknowledge(), 0xe0);
    write(0xb0, 0);
    write(0x300, 0x40005);
    assert.equal(local.pendingVector(), -1);
    write(0x280, 0);
    assert.equal(read(0x280), 0x20);
    write(0x300, 0x40005);
    assert.equal(local.pendingVector(), 0xe0);
  });

  it('of a received vector are told apart, and their own illegal vector ends there', () => {
    const { local, read, write } = enabled();
    write(0x370, 0x05);
    local.accept(0x0f);
    write(0x280, 0);
    assert.equal(read(0x280), 0x40);
    assert.equal(local.pendingVector(), -1);
  });
});

describe('local APIC: INIT', () => {
  it('leaves the ID and the mode, and resets the rest', () => {
    const { local, board, write } = enabled(5);
    write(0x80, 0x30);
    write(0x350, 0x8045);
    local.accept(0x91);
    board.base = 0xfee00c00n;
    local.baseChanged();
    local.initialize();
    assert.equal(local.readMsr(0x802), 5n);
    assert.deepEqual(
      [0x808, 0x80f, 0x824, 0x835].map((index) => local.readMsr(index)),
      [0n, 0xffn, 0n, 0x10000n],
    );
  });
});

describe('local APIC: pins', () => {
  it('LINT1 raises an NMI at each edge', () => {
    const { local, events, write } = enabled();
    write(0x360, 0x400);
    local.setPin(1, true);
    local.setPin(1, true);
    local.setPin(1, false);
    local.setPin(1, true);
    assert.deepEqual(events, ['nmi', 'nmi']);
    write(0x360, 0x10400);
    local.setPin(1, false);
    local.setPin(1, true);
    assert.equal(events.length, 2, 'masked');
  });

  it('LINT0 level-triggered comes again after EOI while it is asserted', () => {
    const { local, write, read } = enabled();
    write(0x350, 0x8045);
    local.setPin(0, true);
    assert.equal(read(0x350), 0xc045, 'remote IRR');
    assert.equal(local.acknowledge(), 0x45);
    write(0xb0, 0);
    assert.equal(local.acknowledge(), 0x45);
    local.setPin(0, false);
    write(0xb0, 0);
    assert.equal(read(0x350), 0x8045);
    assert.equal(local.pendingVector(), -1);
  });
});

describe('local APIC: x2APIC mode', () => {
  const x2 = (id = 0, bus = new ApicBus()) => {
    const made = enabled(id, bus);
    made.board.base = 0xfee00d00n;
    made.local.baseChanged();
    return made;
  };

  it('answers as MSRs and no longer as memory', () => {
    const { local } = x2(0x25);
    assert.equal(local.size, 0n);
    assert.equal(local.readMsr(0x802), 0x25n);
    assert.equal(local.readMsr(0x80d), 0x20020n, 'cluster 2, bit 5');
    assert.equal(local.readMsr(0x80f), 0x1ffn, 'kept from xAPIC mode');
    assert.equal(enabled().local.readMsr(0x802), undefined);
  });

  it('refuses registers, directions and bits that are not there', () => {
    const { local } = x2();
    for (const index of [0x800, 0x801, 0x809, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83a, 0x83f, 0x840, 0x8ff])
      assert.equal(local.readMsr(index), undefined, index.toString(16));
    for (const index of [0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810, 0x818, 0x820, 0x831, 0x839, 0x840])
      assert.ok(!local.writeMsr(index, 0n), index.toString(16));
    const reserved: [number, bigint][] = [
      [0x808, 0x100n], [0x808, 1n << 32n], [0x80b, 1n], [0x80f, 0x200n], [0x828, 1n], [0x830, 0x1000n], [0x830, 0x20000n],
      [0x832, 0x80000n], [0x835, 0x20000n], [0x83e, 4n], [0x83f, 0x141n],
    ]; // prettier-ignore
    for (const [index, value] of reserved) assert.ok(!local.writeMsr(index, value), `${index.toString(16)} ${value}`);
  });

  it('sends by the 64-bit ICR to 32-bit destinations, and to itself by SELF IPI', () => {
    const bus = new ApicBus();
    const first = x2(0, bus);
    const far = x2(0x123, bus);
    assert.ok(first.local.writeMsr(0x830, (0x123n << 32n) | 0x51n));
    assert.equal(far.local.pendingVector(), 0x51);
    assert.equal(first.local.readMsr(0x830), (0x123n << 32n) | 0x51n);
    assert.ok(first.local.writeMsr(0x830, (0x120008n << 32n) | 0x861n));
    assert.equal(far.local.pendingVector(), 0x61, 'cluster 12H, bit 3');
    assert.ok(first.local.writeMsr(0x830, (0xffffffffn << 32n) | 0x71n));
    assert.deepEqual([first.local.pendingVector(), far.local.pendingVector()], [0x71, 0x71]);
    assert.ok(first.local.writeMsr(0x83f, 0x81n));
    assert.deepEqual([first.local.pendingVector(), far.local.pendingVector()], [0x81, 0x71]);
  });

  it('forgets everything when it is disabled', () => {
    const { local, board, write, read } = enabled();
    write(0x80, 0x20);
    local.accept(0x41);
    board.base = 0xfee00100n;
    local.baseChanged();
    assert.equal(local.pendingVector(), -1);
    board.base = 0xfee00900n;
    local.baseChanged();
    assert.deepEqual([0x80, 0xf0, 0x220].map(read), [0, 0xff, 0]);
  });
});

describe('local APIC: state', () => {
  it('comes back from its saved state', () => {
    const a = enabled();
    a.write(0x3e0, 0x0b);
    a.write(0x320, 0x20030);
    a.write(0x380, 1000);
    a.advanceTo(10);
    a.local.accept(0x41);
    a.local.accept(0x90);
    a.local.acknowledge();
    const writer = new StateWriter();
    a.local.save(writer);
    const b = apic();
    b.board.now = 10;
    b.local.restore(new StateReader(writer.finish()));
    for (let at = 0x20; at < 0x3f0; at += 16) assert.equal(b.read(at), a.read(at), at.toString(16));
    assert.equal(b.local.nextDeadline(), 1000);
  });
});
