import { strict as assert } from 'node:assert';
import { ApicBus } from '../../emulator/devices/apic-bus';
import { StateReader, StateWriter } from '../../emulator/devices/device';
import { LocalApic } from '../../emulator/devices/local-apic';

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
