import { strict as assert } from 'node:assert';
import { hostPhysical } from '../../emulator/memory/address';
import type { MachineConfiguration } from '../../emulator/machine/api';
import { disk, patternBytes, PciHarness, Random } from './pci-harness';

const SLOT = 4;
const DESC = 0x20000;
const AVAIL = 0x21000;
const USED = 0x22000;
const INDIRECT = 0x23000;
const HEADER = 0x24000;
const STATUS_BYTE = 0x24100;
const DATA = 0x30000;
const NEXT = 1;
const WRITE = 2;
const INDIRECT_FLAG = 4;
const EVENT_INDEX = 1 << 29;
const VERSION_1 = 1;
const pattern = patternBytes(64);
const sectorsOf = (first: number, count: number) => pattern.slice(first * 512, (first + count) * 512);

/** A driver for the disk in slot 4. */
class Driver extends PciHarness {
  bar = 0;
  private slot = 0;

  constructor(configuration: Partial<MachineConfiguration> = {}, image = pattern.slice()) {
    super({ disks: [disk(image, 'virtio', {})], ...configuration });
    this.setConfig(SLOT, 0, 4, 7, 2);
    this.bar = (this.config(SLOT, 0, 0x20) & ~15) >>> 0;
  }

  reg(offset: number, size: 1 | 2 | 4 = 4): number {
    return Number(this.physical.read(hostPhysical(BigInt(this.bar + offset)), size));
  }

  setReg(offset: number, value: number, size: 1 | 2 | 4 = 4): void {
    this.physical.write(hostPhysical(BigInt(this.bar + offset)), size, BigInt(value >>> 0));
  }

  accept(low: number, high: number): void {
    this.setReg(0x14, 3, 1);
    this.setReg(8, 0);
    this.setReg(12, low);
    this.setReg(8, 1);
    this.setReg(12, high);
    this.setReg(0x14, 11, 1);
  }

  start(low = 0, high = VERSION_1, size = 8): this {
    this.accept(low, high);
    this.setReg(0x18, size, 2);
    [DESC, AVAIL, USED].forEach((address, i) => {
      this.setReg(0x20 + 8 * i, address);
      this.setReg(0x24 + 8 * i, 0);
    });
    this.setReg(0x1c, 1, 2);
    this.setReg(0x14, 15, 1);
    return this;
  }

  desc(index: number, address: number, length: number, flags = 0, next = 0, table = DESC): void {
    this.poke32(table + 16 * index, address, 0, length, flags | (next << 16));
  }

  header(type: number, sector: number): void {
    this.poke32(HEADER, type, 0, sector, 0);
    this.poke(STATUS_BYTE, [0xee]);
  }

  offer(head: number): void {
    this.poke(AVAIL + 4 + 2 * (this.slot % 8), [head & 0xff, head >>> 8]);
    this.slot++;
    this.poke(AVAIL + 2, [this.slot & 0xff, this.slot >>> 8]);
  }

  notify(): void {
    this.setReg(0x3000, 0, 2);
    this.settle();
  }

  /** A read of sectors with the header, data and status in three descriptors */
  read(sector: number, count: number): number {
    this.header(0, sector);
    this.desc(0, HEADER, 16, NEXT, 1);
    this.desc(1, DATA, count * 512, NEXT | WRITE, 2);
    this.desc(2, STATUS_BYTE, 1, WRITE);
    this.offer(0);
    this.notify();
    return this.ram(STATUS_BYTE, 1)[0] ?? -1;
  }

  get usedIndex(): number {
    return this.peek32(USED) >>> 16;
  }
}

describe('virtio block: the modern interface', () => {
  it('is found by its capabilities', () => {
    const h = new Driver();
    assert.equal(h.config(SLOT, 0, 0), 0x10011af4);
    assert.equal(h.config(SLOT, 0, 0x2c), 0x00021af4);
    assert.equal(h.config(SLOT, 0, 6, 2) & 0x10, 0x10);
    const found = new Map<number, number[]>();
    for (let at = h.config(SLOT, 0, 0x34, 1); at !== 0; at = h.config(SLOT, 0, at + 1, 1)) {
      if (h.config(SLOT, 0, at, 1) === 9) {
        found.set(
          h.config(SLOT, 0, at + 3, 1),
          [4, 8, 12].map((o) => h.config(SLOT, 0, at + o, o === 4 ? 1 : 4)),
        );
      } else assert.equal(h.config(SLOT, 0, at, 1), 0x11);
    }
    assert.deepEqual([...found.keys()].sort(), [1, 2, 3, 4, 5]);
    assert.deepEqual(found.get(1), [4, 0, 0x38]);
    assert.equal(h.reg(0x2000), 64, 'capacity');
    assert.equal(h.reg(0x2014), 512);
    assert.equal(h.reg(0x12, 2), 1, 'one queue');
  });

  it('agrees on features, or does not', () => {
    const h = new Driver();
    h.accept(0, VERSION_1);
    assert.equal(h.reg(0x14, 1), 11);
    h.setReg(0x14, 0, 1);
    h.accept(1, VERSION_1);
    assert.equal(h.reg(0x14, 1), 3, 'bit 0 is not offered');
    const remapped = new Driver({ iommu: true });
    remapped.accept(0, VERSION_1);
    assert.equal(remapped.reg(0x14, 1), 3, 'with an IOMMU the driver has to use it');
    remapped.setReg(0x14, 0, 1);
    remapped.accept(0, VERSION_1 | 2);
    assert.equal(remapped.reg(0x14, 1), 11);
  });

  it('reads, with an interrupt that reading ISR ends', () => {
    const h = new Driver().start();
    assert.equal(h.read(5, 2), 0);
    assert.deepEqual(h.ram(DATA, 1024), sectorsOf(5, 2));
    assert.equal(h.usedIndex, 1);
    assert.deepEqual([h.peek32(USED + 4), h.peek32(USED + 8)], [0, 1025]);
    // Device 4, INTA -> wire D -> IRQ 11
    assert.equal(h.config(SLOT, 0, 0x3c, 1), 11);
    assert.equal(h.irqs[11], 1);
    assert.equal(h.config(SLOT, 0, 6, 2) & 8, 8);
    assert.equal(h.reg(0x1000, 1), 1);
    assert.equal(h.irqs[11], 0);
    assert.equal(h.reg(0x1000, 1), 0);
  });

  it('holds its pin back with INTx disable, and follows the router', () => {
    const h = new Driver().start();
    h.setConfig(SLOT, 0, 4, 0x407, 2);
    h.read(5, 1);
    assert.equal(h.irqs[11], 0);
    h.setConfig(SLOT, 0, 4, 7, 2);
    assert.equal(h.irqs[11], 1);
    h.setConfig(1, 0, 0x63, 5, 1);
    assert.deepEqual([h.irqs[11], h.irqs[5]], [0, 1]);
    h.setConfig(1, 0, 0x63, 0x80, 1);
    assert.equal(h.irqs[5], 0);
  });

  it('writes, flushes and tells its name; refuses what it does not know', () => {
    const h = new Driver().start(1 << 9);
    h.poke(DATA, sectorsOf(9, 1).reverse());
    h.header(1, 20);
    h.desc(0, HEADER, 16, NEXT, 1);
    h.desc(1, DATA, 512, NEXT, 2);
    h.desc(2, STATUS_BYTE, 1, WRITE);
    h.offer(0);
    h.notify();
    assert.equal(h.ram(STATUS_BYTE, 1)[0], 0);
    assert.equal(h.read(20, 1), 0);
    assert.deepEqual(h.ram(DATA, 512), sectorsOf(9, 1).reverse());
    for (const [type, status] of [
      [4, 0],
      [8, 0],
      [77, 2],
    ] as const) {
      h.header(type, 0);
      h.desc(0, HEADER, 16, NEXT, 1);
      h.desc(1, DATA, 20, NEXT | WRITE, 2);
      h.offer(0);
      h.notify();
      assert.equal(h.ram(STATUS_BYTE, 1)[0], status);
      if (type === 8) assert.equal(Buffer.from(h.ram(DATA, 7)).toString(), 'UV00001');
    }
  });

  it('takes any layout, and indirect tables', () => {
    const h = new Driver().start(1 << 28);
    h.header(0, 7);
    h.desc(0, HEADER, 10, NEXT, 1, INDIRECT);
    h.desc(1, HEADER + 10, 6, NEXT, 2, INDIRECT);
    h.desc(2, DATA, 700, NEXT | WRITE, 3, INDIRECT);
    h.desc(3, DATA + 0x1000, 325, WRITE, 0, INDIRECT); // 324 bytes of data, and the status
    h.desc(5, INDIRECT, 64, INDIRECT_FLAG);
    h.offer(5);
    h.notify();
    assert.equal(h.ram(DATA + 0x1000 + 324, 1)[0], 0);
    assert.deepEqual(h.ram(DATA, 700), sectorsOf(7, 2).slice(0, 700));
    assert.deepEqual(h.ram(DATA + 0x1000, 324), sectorsOf(7, 2).slice(700));
    assert.deepEqual([h.peek32(USED + 4), h.peek32(USED + 8)], [5, 1025]);
  });

  it('does several requests in order, each at its time', () => {
    const h = new Driver().start();
    h.header(0, 1);
    h.desc(0, HEADER, 16, NEXT, 1);
    h.desc(1, DATA, 512, NEXT | WRITE, 2);
    h.desc(2, STATUS_BYTE, 1, WRITE);
    h.offer(0);
    h.offer(0);
    h.setReg(0x3000, 0, 2);
    h.clock = h.pci.nextDeadline();
    h.pci.advance(h.clock);
    assert.equal(h.usedIndex, 1);
    h.settle();
    assert.equal(h.usedIndex, 2);
  });

  it('interrupts when the driver wants it: flag, and event index', () => {
    const h = new Driver().start();
    h.poke(AVAIL, [1]);
    h.read(1, 1);
    assert.equal(h.irqs[11], 0);
    const e = new Driver().start(EVENT_INDEX);
    e.poke(AVAIL + 4 + 2 * 8, [1, 0]); // used_event: after the second
    e.read(1, 1);
    assert.equal(e.irqs[11], 0);
    e.read(1, 1);
    assert.equal(e.irqs[11], 1);
    assert.equal(e.peek32(USED + 4 + 8 * 8) & 0xffff, 2, 'avail_event');
  });

  it('sends MSI-X messages; a masked vector waits', () => {
    const h = new Driver().start();
    const table = (h.config(SLOT, 0, 0x14) & ~15) >>> 0;
    const entry = (word: number, value: number) =>
      h.physical.write(hostPhysical(BigInt(table + 16 + 4 * word)), 4, BigInt(value >>> 0));
    const pending = () => h.physical.read(hostPhysical(BigInt(table + 0x800)), 4);
    h.setConfig(SLOT, 0, 0x42, 0x8000, 2);
    h.setReg(0x1a, 7, 2);
    assert.equal(h.reg(0x1a, 2), 0xffff, 'no vector 7');
    h.setReg(0x1a, 1, 2);
    entry(0, 0xfee02000);
    entry(2, 0x45);
    h.read(1, 1);
    assert.deepEqual(h.messages, []);
    assert.equal(pending(), 2n);
    entry(3, 0);
    assert.deepEqual(h.messages, [{ source: SLOT << 3, address: 0xfee02000n, data: 0x45 }]);
    assert.equal(pending(), 0n);
    h.read(1, 1);
    assert.equal(h.messages.length, 2);
    assert.equal(h.irqs[11], 0);
    assert.equal(h.reg(0x1000, 1), 0);
  });

  it('reaches its registers through configuration space', () => {
    const h = new Driver();
    let at = h.config(SLOT, 0, 0x34, 1);
    while (h.config(SLOT, 0, at, 1) !== 9 || h.config(SLOT, 0, at + 3, 1) !== 5) at = h.config(SLOT, 0, at + 1, 1);
    h.setConfig(SLOT, 0, at + 4, 4, 1);
    h.setConfig(SLOT, 0, at + 8, 0x2000);
    h.setConfig(SLOT, 0, at + 12, 4);
    assert.equal(h.config(SLOT, 0, at + 16), 64);
    h.setConfig(SLOT, 0, at + 8, 0x14);
    h.setConfig(SLOT, 0, at + 12, 1);
    h.setConfig(SLOT, 0, at + 16, 3, 1);
    assert.equal(h.reg(0x14, 1), 3);
  });

  it('saves and restores with work under way', () => {
    const h = new Driver().start();
    h.header(0, 3);
    h.desc(0, HEADER, 16, NEXT, 1);
    h.desc(1, DATA, 512, NEXT | WRITE, 2);
    h.desc(2, STATUS_BYTE, 1, WRITE);
    h.offer(0);
    h.setReg(0x3000, 0, 2);
    const saved = h.save();
    const other = new Driver();
    other.memory.u8.set(h.memory.u8);
    other.restore(saved);
    h.settle();
    other.settle();
    assert.deepEqual(other.save(), h.save());
    assert.deepEqual(other.ram(DATA, 512), sectorsOf(3, 1));
  });

  it('passes through the IOMMU', () => {
    const h = new Driver({ iommu: true }).start(0, VERSION_1 | 2);
    h.physical.write(hostPhysical(0xfed90020n), 8, 0x100000n);
    h.physical.write(hostPhysical(0xfed90018n), 4, 0x40000000n);
    h.physical.write(hostPhysical(0xfed90018n), 4, 0x80000000n);
    h.read(1, 1);
    assert.equal(h.reg(0x14, 1) & 64, 64, 'the rings cannot be reached');
    assert.equal(h.dma.at(-1)?.blocked, 'root entry not present');
  });
});

describe('virtio block: the legacy interface', () => {
  it('reads by ports', () => {
    const h = new Driver();
    const io = h.config(SLOT, 0, 0x10) & ~3;
    assert.equal(h.in(io + 20, 4), 64);
    h.out(io + 18, 3);
    h.out(io + 4, 0, 4);
    h.out(io + 14, 0, 2);
    assert.equal(h.in(io + 12, 2), 256);
    h.out(io + 8, 0x40, 4); // rings at 0x40000
    h.out(io + 18, 7);
    const base = 0x40000;
    h.header(0, 11);
    h.desc(0, HEADER, 16, NEXT, 1, base);
    h.desc(1, DATA, 512, NEXT | WRITE, 2, base);
    h.desc(2, STATUS_BYTE, 1, WRITE, 0, base);
    h.poke(base + 4096 + 2, [1, 0, 0, 0]);
    h.out(io + 16, 0, 2);
    h.settle();
    assert.deepEqual(h.ram(DATA, 512), sectorsOf(11, 1));
    assert.equal(h.peek32(base + 8192) >>> 16, 1);
    assert.equal(h.in(io + 19), 1);
  });
});

describe('virtio block: broken drivers', () => {
  const breaks: Record<string, (h: Driver) => void> = {
    'a head beyond the table': (h) => h.offer(9),
    'a circle': (h) => {
      h.desc(0, HEADER, 16, NEXT, 1);
      h.desc(1, HEADER, 16, NEXT, 0);
      h.offer(0);
    },
    'an indirect table in an indirect table': (h) => {
      h.desc(0, INDIRECT, 16, INDIRECT_FLAG);
      h.desc(0, INDIRECT, 16, INDIRECT_FLAG, 0, INDIRECT);
      h.offer(0);
    },
    'an indirect table of no length': (h) => {
      h.desc(0, INDIRECT, 0, INDIRECT_FLAG);
      h.offer(0);
    },
    'a readable descriptor after a writable one': (h) => {
      h.desc(0, HEADER, 16, WRITE | NEXT, 1);
      h.desc(1, HEADER, 16);
      h.offer(0);
    },
    'no room for the status': (h) => {
      h.desc(0, HEADER, 16);
      h.offer(0);
    },
    'a short header': (h) => {
      h.desc(0, HEADER, 15, NEXT, 1);
      h.desc(1, STATUS_BYTE, 1, WRITE);
      h.offer(0);
    },
    'a header outside RAM': (h) => {
      h.desc(0, 0x7000_0000, 16, NEXT, 1);
      h.desc(1, STATUS_BYTE, 1, WRITE);
      h.offer(0);
    },
    'too many available': (h) => h.poke(AVAIL + 2, [100, 0]),
  };
  for (const [name, act] of Object.entries(breaks)) {
    it(`need a reset after: ${name}`, () => {
      const h = new Driver().start();
      h.header(0, 1);
      act(h);
      h.notify();
      assert.equal(h.reg(0x14, 1), 15 | 64);
      assert.equal(h.reg(0x1000, 1), 2, 'configuration interrupt');
      h.notify();
      h.setReg(0x14, 0, 1);
      assert.equal(h.reg(0x14, 1), 0);
    });
  }

  it('get an I/O error for sectors that are not there and data outside RAM', () => {
    const h = new Driver().start();
    assert.equal(h.read(63, 2), 1);
    h.desc(1, 0x7000_0000, 512, NEXT | WRITE, 2);
    h.header(0, 1);
    h.offer(0);
    h.notify();
    assert.equal(h.ram(STATUS_BYTE, 1)[0], 1);
    assert.equal(h.reg(0x14, 1), 15);
  });

  it('never make it throw', () => {
    const seed = Number(process.env.SEED ?? 815);
    console.log(`      seed ${seed}`);
    const random = new Random(seed);
    const h = new Driver().start();
    const io = h.config(SLOT, 0, 0x10) & ~3;
    for (let i = 0; i < 30_000; i++) {
      switch (random.next(7)) {
        case 0:
          h.desc(
            random.next(8),
            DATA + random.next(0x4000),
            random.next(3) ? random.next(2000) : random.u32(),
            random.next(8),
            random.next(10),
            random.next(2) ? DESC : INDIRECT,
          );
          break;
        case 1:
          h.offer(random.next(9));
          h.notify();
          break;
        case 2:
          h.header(random.next(10), random.next(80));
          h.desc(0, HEADER, 16, NEXT, 1);
          break;
        case 3:
          h.setReg(random.next(0x40), random.u32(), ([1, 2, 4] as const)[random.next(3)] ?? 4);
          break;
        case 4:
          h.out(io + random.next(64), random.u32(), [1, 2, 4][random.next(3)]);
          break;
        case 5:
          h.setConfig(SLOT, 0, 0x40 + random.next(0x70), random.u32(), ([1, 2, 4] as const)[random.next(3)] ?? 4);
          break;
        default:
          if (random.next(10) === 0) {
            h.setReg(0x14, 0, 1);
            h.start();
            h.poke(AVAIL, [0, 0, 0, 0]);
          } else h.reg(random.next(0x3100) & ~3);
      }
    }
    h.settle();
  });
});
