import { strict as assert } from 'node:assert';
import { Command, ConfigRegister } from '../../emulator/devices/pci/config-space';
import { Register as R, REGISTERS_BASE } from '../../emulator/devices/iommu/registers';
import { hostPhysical } from '../../emulator/memory/address';
import { disk, patternBytes, PciHarness, Random } from './pci-harness';

const ROOT = 0x100000;
const CONTEXTS = 0x101000;
const TOP = 0x102000; // 4 levels: PML4
const L3 = 0x103000;
const L2 = 0x104000;
const L1 = 0x105000;
const IRT = 0x106000;
const QUEUE = 0x108000;
const STATUS = 0x10a000;
const PRD = 0x8000;
const TE = 0x80000000;
const QIE = 0x04000000;
const IRE = 0x02000000;
const SRTP = 0x40000000;
const SIRTP = 0x01000000;
const CFI = 0x00800000;
/** The IDE controller: device 1, function 1 */
const IDE = 9;
const DOMAIN = 5;
const RW = 3n;

/** A board with an IOMMU and one IDE disk; tables for the disk as the tests want them. */
class Remapped extends PciHarness {
  constructor() {
    super({ iommu: true, disks: [disk(patternBytes(64))] });
    this.setConfig(1, 1, ConfigRegister.COMMAND, Command.IO | Command.BUS_MASTER, 2);
    this.poke64(ROOT, BigInt(CONTEXTS) | 1n, 0n);
    this.context({});
    this.poke64(TOP, BigInt(L3) | RW);
    this.poke64(L3, BigInt(L2) | RW);
    this.poke64(L2, BigInt(L1) | RW);
    this.set64(R.ROOT_TABLE, BigInt(ROOT));
    this.set(R.COMMAND, SRTP);
    // Fault event: vector 0x50 to processor 0, unmasked
    this.set(R.FAULT_EVENT + 4, 0x50);
    this.set(R.FAULT_EVENT + 8, 0xfee00000);
    this.set(R.FAULT_EVENT, 0);
  }

  context({ low = BigInt(TOP) | 1n, high = (BigInt(DOMAIN) << 8n) | 2n }: { low?: bigint; high?: bigint }): void {
    this.poke64(CONTEXTS + IDE * 16, low, high);
  }

  /** Maps a page of the first 2 MiB. */
  map(page: number, host: number, rights = RW): void {
    this.poke64(L1 + page * 8, BigInt(host) | rights);
  }

  get(at: number): number {
    return Number(this.physical.read(hostPhysical(REGISTERS_BASE + BigInt(at)), 4));
  }

  get64(at: number): bigint {
    return this.physical.read(hostPhysical(REGISTERS_BASE + BigInt(at)), 8);
  }

  set(at: number, value: number): void {
    this.physical.write(hostPhysical(REGISTERS_BASE + BigInt(at)), 4, BigInt(value >>> 0));
  }

  set64(at: number, value: bigint): void {
    this.physical.write(hostPhysical(REGISTERS_BASE + BigInt(at)), 8, value);
  }

  /** The disk reads sector 3 to a device address, by a PRD table at a mapped page. True: it arrived. */
  diskTo(address: number): boolean {
    this.out(0x3f6, 4);
    this.out(0x3f6, 0);
    this.settle();
    this.poke32(PRD, address, 0x80000000 | 512);
    this.out(0xc004, PRD, 4);
    this.out(0xc002, 6);
    this.out(0xc000, 0);
    this.out(0xc000, 9);
    this.out(0x1f6, 0xe0);
    [1, 3, 0, 0].forEach((value, i) => this.out(0x1f2 + i, value));
    this.out(0x1f7, 0xc8);
    this.settle();
    return (this.in(0xc002) & 7) === 4;
  }

  /** The first fault record: reason, requester, page, read */
  fault(index = 0): { reason: number; source: number; page: bigint; read: boolean } | undefined {
    const at = R.FAULT_RECORDS + 16 * index;
    const high = this.get64(at + 8);
    if (!(high >> 63n)) return undefined;
    return {
      reason: Number((high >> 32n) & 0xffn),
      source: Number(high & 0xffffn),
      page: this.get64(at),
      read: ((high >> 62n) & 1n) === 1n,
    };
  }

  clearFaults(): void {
    for (let i = 0; i < 8; i++) this.set(R.FAULT_RECORDS + 16 * i + 12, 0x80000000);
    this.set(R.FAULT_STATUS, 0x7f);
  }

  descriptor(low: bigint, high = 0n): void {
    if (!(this.get(R.STATUS) & QIE)) {
      this.set64(R.QUEUE_ADDRESS, BigInt(QUEUE));
      this.set64(R.QUEUE_TAIL, 0n);
      this.set(R.COMMAND, (this.get(R.STATUS) & 0x96ffffff) | QIE);
    }
    const tail = this.get(R.QUEUE_TAIL);
    this.poke64(QUEUE + tail, low, high);
    this.set64(R.QUEUE_TAIL, BigInt((tail + 16) % 4096));
  }
}

const enabled = () => {
  const h = new Remapped();
  h.map(PRD >> 12, PRD);
  h.set(R.COMMAND, TE);
  return h;
};

describe('IOMMU: registers', () => {
  it('says what it is and can', () => {
    const h = new Remapped();
    assert.equal(h.get(R.VERSION), 0x10);
    const capability = h.get64(R.CAPABILITY);
    assert.equal(capability & 7n, 6n);
    assert.equal((capability >> 7n) & 1n, 0n, 'no caching mode');
    assert.equal((capability >> 8n) & 31n, 6n, '39 and 48 bits');
    assert.equal((capability >> 24n) & 0x3ffn, BigInt(R.FAULT_RECORDS / 16));
    const extended = h.get64(R.EXTENDED_CAPABILITY);
    assert.equal(extended & 0x5fn, 0b1011011n, 'coherent, queue, interrupts, x2APIC, pass-through; no device TLB');
    assert.equal((extended >> 8n) & 0x3ffn, BigInt(R.INVALIDATE_ADDRESS / 16));
    assert.equal(h.get(0x64), 0, 'no protected memory');
  });

  it('follows commands in the status', () => {
    const h = new Remapped();
    assert.equal(h.get(R.STATUS), SRTP);
    h.set(R.COMMAND, TE);
    assert.equal(h.get(R.STATUS), (SRTP | TE) >>> 0);
    h.set(R.COMMAND, 0);
    assert.equal(h.get(R.STATUS), SRTP);
  });

  it('is not there unless asked for', () => {
    const h = new PciHarness();
    assert.equal(h.physical.read(hostPhysical(REGISTERS_BASE), 4), 0xffffffffn);
  });
});

describe('IOMMU: DMA', () => {
  it('lets everything through until it is switched on', () => {
    const h = new Remapped();
    assert.ok(h.diskTo(0x30000));
    assert.deepEqual(h.ram(0x30000, 512), patternBytes(64).slice(3 * 512, 4 * 512));
  });

  it('translates by 4 KiB pages', () => {
    const h = enabled();
    h.map(0x70, 0x30000);
    assert.ok(h.diskTo(0x70200));
    assert.deepEqual(h.ram(0x30200, 512), patternBytes(64).slice(3 * 512, 4 * 512));
    assert.ok(h.dma.some(({ address, hostPhysical: host, write }) => write && address === 0x70200 && host === 0x30200));
  });

  it('translates by large pages, and by three levels', () => {
    const h = enabled();
    h.poke64(L2 + 8, 0x0000_0000n | 0x80n | RW); // 2 MiB at 2 MiB
    assert.ok(h.diskTo(0x240000));
    assert.deepEqual(h.ram(0x40000, 512), patternBytes(64).slice(3 * 512, 4 * 512));
    const three = enabled();
    three.context({ low: BigInt(L3) | 1n, high: (BigInt(DOMAIN) << 8n) | 1n });
    three.poke64(L3 + 8, 0x80n | RW); // 1 GiB at 1 GiB
    assert.ok(three.diskTo(0x40050000));
    assert.deepEqual(three.ram(0x50000, 512), patternBytes(64).slice(3 * 512, 4 * 512));
    assert.equal(three.diskTo(0x8000_0000), false);
  });

  it('passes through by TT = 10', () => {
    const h = enabled();
    h.context({ low: 0x8n | 1n });
    assert.ok(h.diskTo(0x30000));
    assert.equal(h.fault(), undefined);
  });

  it('records what it blocks, tells it, and says why', () => {
    const h = enabled();
    assert.equal(h.diskTo(0x70200), false);
    assert.deepEqual(h.fault(), { reason: 5, source: IDE, page: 0x70000n, read: false });
    assert.equal(h.get(R.FAULT_STATUS), 2, 'pending, record 0');
    assert.deepEqual(
      h.delivered.map(({ vector }) => vector),
      [0x50],
    );
    assert.equal(h.dma.at(-1)?.blocked, 'not writable');
    assert.equal(h.in(0xc002) & 7, 2, 'the bus master reports an error');
  });

  it('has a reason for each way to be wrong', () => {
    // Reason 4 needs an address that IDE cannot make: see below.
    const cases: [number, (h: Remapped) => void][] = [
      [1, (h) => h.poke64(ROOT, 0n)],
      [2, (h) => h.context({ low: 0n })],
      [3, (h) => h.context({ low: BigInt(TOP) | 1n | 4n })],
      [3, (h) => h.context({ high: 3n })],
      [5, (h) => h.map(0x70, 0x30000, 1n)],
      [6, (h) => h.map(PRD >> 12, PRD, 2n)],
      [7, (h) => h.poke64(L2, 0x3000_0000n | RW)],
      [8, (h) => (h.set64(R.ROOT_TABLE, 0x3000_0000n), h.set(R.COMMAND, TE | SRTP))],
      [9, (h) => h.poke64(ROOT, 0x3000_0001n)],
      [0x0a, (h) => h.poke64(ROOT, BigInt(CONTEXTS) | 3n)],
      [0x0a, (h) => h.poke64(ROOT + 8, 1n)],
      [0x0b, (h) => h.context({ low: BigInt(TOP) | 0x11n })],
      [0x0b, (h) => h.context({ high: 2n | (1n << 24n) })],
      [0x0b, (h) => h.context({ low: (1n << 50n) | 1n })],
      [0x0c, (h) => h.poke64(TOP, BigInt(L3) | RW | 0x80n)],
      [0x0c, (h) => h.map(0x70, 0x30000, RW | 0x800n)],
      [0x0c, (h) => h.poke64(L1 + 0x70 * 8, (1n << 45n) | RW)],
      [0x0e, (h) => h.map(0x70, 0xfee00000)],
    ];
    for (const [reason, spoil] of cases) {
      const h = enabled();
      h.map(0x70, 0x30000);
      spoil(h);
      assert.equal(h.diskTo(0x70200), false, `reason ${reason}`);
      assert.equal(h.fault()?.reason, reason);
    }
  });

  it('finds addresses beyond the width of the context entry', () => {
    const h = enabled();
    h.context({ low: BigInt(L3) | 1n, high: (BigInt(DOMAIN) << 8n) | 1n });
    const { iommu } = h.pci;
    assert.equal(iommu?.dma.translate(IDE, 2 ** 39, false), -1);
    assert.deepEqual(h.fault(), { reason: 4, source: IDE, page: 1n << 39n, read: true });
  });

  it('does not record qualified faults with fault processing disabled', () => {
    const h = enabled();
    h.context({ low: BigInt(TOP) | 3n });
    assert.equal(h.diskTo(0x70200), false);
    assert.equal(h.fault(), undefined);
    assert.deepEqual(h.delivered, []);
    h.context({ low: 2n });
    h.set(R.CONTEXT_COMMAND + 4, 0x80000000 | (1 << 29));
    assert.equal(h.diskTo(0x70200), false);
    assert.equal(h.fault(), undefined, 'FPD counts in an entry that is not present');
  });

  it('overflows after eight faults, and goes on when software clears', () => {
    const h = enabled();
    for (let i = 0; i < 10; i++) h.diskTo(0x70000 + i * 0x1000);
    assert.equal(h.get(R.FAULT_STATUS), 3);
    for (let i = 0; i < 8; i++) assert.equal(h.fault(i)?.page, BigInt(0x70000 + i * 0x1000));
    assert.equal(h.delivered.length, 1, 'one message until it is served');
    h.clearFaults();
    assert.equal(h.get(R.FAULT_STATUS), 0);
    h.diskTo(0x90000);
    assert.equal(h.fault(0)?.page, 0x90000n);
    assert.equal(h.delivered.length, 2);
  });

  it('keeps a masked fault event until it is unmasked, or served', () => {
    const h = enabled();
    h.set(R.FAULT_EVENT, 0x80000000);
    h.diskTo(0x70000);
    assert.equal(h.get(R.FAULT_EVENT), 0xc0000000);
    h.set(R.FAULT_EVENT, 0);
    assert.equal(h.delivered.length, 1);
    assert.equal(h.get(R.FAULT_EVENT), 0);
    h.clearFaults();
    h.set(R.FAULT_EVENT, 0x80000000);
    h.diskTo(0x70000);
    h.clearFaults();
    assert.equal(h.get(R.FAULT_EVENT), 0x80000000, 'no longer pending');
  });
});

describe('IOMMU: caches', () => {
  it('keeps a page until it is invalidated', () => {
    const h = enabled();
    h.map(0x70, 0x30000);
    assert.ok(h.diskTo(0x70000));
    h.map(0x70, 0x40000);
    h.poke(0x30000, new Uint8Array(512));
    assert.ok(h.diskTo(0x70000));
    assert.notEqual(h.ram(0x30000, 512)[0], 0, 'the forgotten invalidation: still the old page');
    assert.deepEqual(h.ram(0x40000, 512), new Uint8Array(512));
    // Page-selective: of another domain, of another page, and then right
    h.descriptor(2n | (3n << 4n) | (6n << 16n), 0x70000n);
    h.descriptor(2n | (3n << 4n) | (BigInt(DOMAIN) << 16n), 0x71000n);
    h.diskTo(0x70000);
    assert.deepEqual(h.ram(0x40000, 512), new Uint8Array(512));
    h.descriptor(2n | (3n << 4n) | (BigInt(DOMAIN) << 16n), 0x70000n);
    h.diskTo(0x70000);
    assert.notDeepEqual(h.ram(0x40000, 512), new Uint8Array(512));
  });

  it('does not cache what is not present', () => {
    const h = enabled();
    assert.equal(h.diskTo(0x70000), false);
    h.map(0x70, 0x30000);
    assert.ok(h.diskTo(0x70000));
  });

  it('keeps a context entry until it is invalidated, by registers or by queue', () => {
    for (const way of ['registers', 'queue', 'queue by device', 'wrong device'] as const) {
      const h = enabled();
      h.map(0x70, 0x30000);
      assert.ok(h.diskTo(0x70000));
      h.context({ low: 0n });
      assert.ok(h.diskTo(0x70000), 'cached');
      if (way === 'registers') {
        h.set(R.CONTEXT_COMMAND + 4, 0x80000000 | (1 << 29));
        assert.equal(h.get(R.CONTEXT_COMMAND + 4), (1 << 29) | (1 << 27), 'done globally');
      } else if (way === 'queue') h.descriptor(1n | (2n << 4n) | (BigInt(DOMAIN) << 16n));
      else {
        const source = way === 'queue by device' ? IDE : 0x10;
        h.descriptor(1n | (3n << 4n) | (BigInt(DOMAIN) << 16n) | (BigInt(source) << 32n));
      }
      assert.equal(h.diskTo(0x70000), way === 'wrong device');
    }
  });

  it('invalidates by registers: the three granularities of the IOTLB', () => {
    for (const [granularity, address] of [
      [1, 0],
      [2, 0],
      [3, 0x60000 | 5],
    ] as const) {
      const h = enabled();
      h.map(0x70, 0x30000);
      h.diskTo(0x70000);
      h.map(0x70, 0, 0n);
      assert.ok(h.diskTo(0x70000));
      h.set64(R.INVALIDATE_ADDRESS, BigInt(address));
      h.set64(R.IOTLB_INVALIDATE, (1n << 63n) | (BigInt(granularity) << 60n) | (BigInt(DOMAIN) << 32n));
      assert.equal(h.get64(R.IOTLB_INVALIDATE) >> 57n, BigInt(granularity << 3) | BigInt(granularity));
      assert.equal(h.diskTo(0x70000), false);
    }
  });
});

describe('IOMMU: invalidation queue', () => {
  it('completes a wait descriptor by a status write and an interrupt', () => {
    const h = enabled();
    h.set(R.COMPLETION_EVENT + 4, 0x51);
    h.set(R.COMPLETION_EVENT + 8, 0xfee00000);
    h.set(R.COMPLETION_EVENT, 0);
    h.descriptor(5n | 0x30n | (0x12345678n << 32n), BigInt(STATUS));
    assert.equal(h.peek32(STATUS), 0x12345678);
    assert.equal(h.get(R.COMPLETION_STATUS), 1);
    assert.deepEqual(
      h.delivered.map(({ vector }) => vector),
      [0x51],
    );
    h.descriptor(5n | 0x10n);
    assert.equal(h.delivered.length, 1, 'not again before it is served');
    h.set(R.COMPLETION_STATUS, 1);
    h.descriptor(5n | 0x10n);
    assert.equal(h.delivered.length, 2);
    assert.equal(h.get(R.QUEUE_HEAD), h.get(R.QUEUE_TAIL));
  });

  it('wraps around', () => {
    const h = enabled();
    for (let i = 0; i < 600; i++) h.descriptor(5n | 0x20n | (BigInt(i) << 32n), BigInt(STATUS));
    assert.equal(h.peek32(STATUS), 599);
    assert.equal(h.get(R.QUEUE_HEAD), (600 * 16) % 4096);
  });

  it('stops at a bad descriptor, tells it, and goes on after correction', () => {
    const h = enabled();
    for (const bad of [3n, 0xfn, 1n, 1n | (1n << 4n) | (1n << 6n), 4n | (1n << 50n), 5n | (1n << 8n)]) {
      const before = h.delivered.length;
      h.descriptor(bad);
      const head = h.get(R.QUEUE_HEAD);
      assert.equal(h.get(R.FAULT_STATUS), 0x10, `0x${bad.toString(16)}`);
      assert.equal(h.delivered.length, before + 1);
      assert.equal((head + 16) % 4096, h.get(R.QUEUE_TAIL));
      h.poke64(QUEUE + head, 5n | 0x20n | (7n << 32n), BigInt(STATUS));
      h.poke32(STATUS, 0);
      h.set(R.FAULT_STATUS, 0x10);
      assert.equal(h.peek32(STATUS), 7);
    }
  });

  it('stops when the queue is not in RAM or the tail beyond it', () => {
    const h = enabled();
    h.set64(R.QUEUE_ADDRESS, 0x3000_0000n);
    h.set(R.COMMAND, (TE | QIE) >>> 0);
    h.set64(R.QUEUE_TAIL, 16n);
    assert.equal(h.get(R.FAULT_STATUS), 0x10);
    const other = enabled();
    other.descriptor(5n);
    other.set64(R.QUEUE_TAIL, 0x1000n);
    assert.equal(other.get(R.FAULT_STATUS), 0x10);
  });
});

describe('IOMMU: interrupts', () => {
  /** Remapping on, with entry 3: vector 0x41, to APIC 2, from the IDE controller only */
  const remapping = (extended = false, more = 0) => {
    const h = new Remapped();
    h.set64(R.INTERRUPT_TABLE, BigInt(IRT) | (extended ? 0x800n : 0n) | 3n); // 16 entries
    const destination = extended ? 0x12345n : 0x200n;
    h.poke64(IRT + 3 * 16, 1n | (0x41n << 16n) | (destination << 32n), BigInt(IDE) | (1n << 18n));
    h.set(R.COMMAND, SIRTP | more);
    h.set(R.COMMAND, IRE | more);
    return h;
  };
  const request = (index: number, flags = 0) => BigInt((0xfee00010 | (index << 5) | flags) >>> 0);

  it('passes everything while off', () => {
    const h = new Remapped();
    h.pci.messages.send(IDE, 0xfee01000n, 0x33);
    assert.deepEqual(h.messages, [{ source: IDE, address: 0xfee01000n, data: 0x33 }]);
  });

  it('remaps by index, and by handle and subhandle', () => {
    const h = remapping();
    h.pci.messages.send(IDE, request(3), 0);
    h.pci.messages.send(IDE, request(1, 8), 2);
    assert.deepEqual(
      h.delivered.map(({ vector, destination }) => [vector, destination]),
      [
        [0x41, 2],
        [0x41, 2],
      ],
    );
    assert.equal(h.fault(), undefined);
  });

  it('has 32-bit destinations in extended mode', () => {
    const h = remapping(true);
    h.pci.messages.send(IDE, request(3), 0);
    assert.equal(h.delivered[0]?.destination, 0x12345);
  });

  it('records why it blocks', () => {
    const cases: [number, (h: Remapped) => void][] = [
      [0x20, (h) => h.pci.messages.send(IDE, request(1, 8), 0x10002)],
      [0x21, (h) => h.pci.messages.send(IDE, request(16), 0)],
      [0x22, (h) => h.pci.messages.send(IDE, request(4), 0)],
      [0x24, (h) => (h.poke64(IRT + 48, 1n | (1n << 15n)), h.pci.messages.send(IDE, request(3), 0))],
      [0x24, (h) => (h.poke64(IRT + 48, 1n | (1n << 32n)), h.pci.messages.send(IDE, request(3), 0))],
      [0x24, (h) => (h.poke64(IRT + 56, 3n << 18n), h.pci.messages.send(IDE, request(3), 0))],
      [0x25, (h) => h.pci.messages.send(IDE, 0xfee00000n, 0x30)],
      [0x26, (h) => h.pci.messages.send(0x20, request(3), 0)],
    ];
    for (const [reason, act] of cases) {
      const h = remapping();
      act(h);
      assert.equal(h.fault()?.reason, reason);
      assert.deepEqual(
        h.delivered.map(({ vector }) => vector),
        [0x50],
        'only the fault event',
      );
    }
    const h = remapping();
    h.pci.messages.send(0x20, request(3), 0);
    assert.deepEqual(h.fault(), { reason: 0x26, source: 0x20, page: 3n << 48n, read: false });
  });

  it('lets compatibility format pass with CFI, but not in extended mode', () => {
    const h = remapping(false, CFI);
    h.pci.messages.send(IDE, 0xfee00000n, 0x30);
    assert.equal(h.messages.length, 1);
    const extended = remapping(true, CFI);
    extended.pci.messages.send(IDE, 0xfee00000n, 0x30);
    assert.equal(extended.fault()?.reason, 0x25);
  });

  it('compares sources as SQ says, and buses by SVT 2', () => {
    const h = remapping();
    h.poke64(IRT + 56, BigInt(IDE & ~1) | (2n << 16n) | (1n << 18n));
    h.pci.messages.send(IDE ^ 2, request(3), 0);
    assert.equal(h.fault()?.reason, 0x26, 'bit 0 counts');
    h.poke64(IRT + 56, BigInt(IDE) | (2n << 16n) | (1n << 18n));
    h.descriptor(4n);
    h.delivered.length = 0;
    h.pci.messages.send(IDE ^ 6, request(3), 0);
    h.poke64(IRT + 56, 0x1020n | (2n << 18n));
    h.descriptor(4n | 0x10n | (3n << 32n));
    h.pci.messages.send(0x1500, request(3), 0);
    assert.equal(h.delivered.length, 2);
    h.pci.messages.send(0x2100, request(3), 0);
    assert.equal(h.delivered.length, 2);
  });

  it('caches entries until they are invalidated', () => {
    const h = remapping();
    h.pci.messages.send(IDE, request(3), 0);
    h.poke64(IRT + 48, 1n | (0x42n << 16n) | (0x100n << 32n));
    h.pci.messages.send(IDE, request(3), 0);
    h.descriptor(4n | 0x10n | (2n << 27n) | (8n << 32n)); // indices 8..11
    h.pci.messages.send(IDE, request(3), 0);
    h.descriptor(4n | 0x10n | (2n << 27n)); // indices 0..3
    h.pci.messages.send(IDE, request(3), 0);
    assert.deepEqual(
      h.delivered.map(({ vector }) => vector),
      [0x41, 0x41, 0x41, 0x42],
    );
  });

  it('takes a device write to the interrupt range as a request, not as memory', () => {
    const h = remapping();
    const port = h.pci.dma.port(IDE);
    h.set(R.COMMAND, (TE | IRE) >>> 0);
    assert.ok(port.write(request(3), new Uint8Array(4)));
    assert.equal(h.delivered[0]?.vector, 0x41);
    assert.equal(port.write(request(3), new Uint8Array(8)), false);
    assert.equal(port.read(request(3), new Uint8Array(4)), false);
  });
});

describe('IOMMU: anything software may write', () => {
  it('never throws, and saves and restores', () => {
    const seed = Number(process.env.SEED ?? 4711);
    console.log(`      seed ${seed}`);
    const random = new Random(seed);
    const h = enabled();
    const registers = Object.values(R);
    for (let i = 0; i < 40_000; i++) {
      const register = (registers[random.next(registers.length)] ?? 0) + 4 * random.next(4);
      switch (random.next(6)) {
        case 0:
          h.set(register, random.next(2) ? random.u32() : random.next(0x100) << random.next(25));
          break;
        case 1:
          h.get64(register & ~7);
          break;
        case 2: {
          const at =
            [ROOT, CONTEXTS + IDE * 16, TOP, L3, L2, L1 + random.next(512) * 8, IRT, QUEUE][random.next(8)] ?? 0;
          h.poke32(at + 4 * random.next(4), random.next(3) ? random.next(0x200000) : random.u32());
          break;
        }
        case 3:
          h.pci.messages.send(random.next(0x10000), BigInt((0xfee00000 | random.next(0x100000)) >>> 0), random.u32());
          break;
        case 4:
          h.set64(R.QUEUE_TAIL, BigInt(random.next(0x2000) & ~15));
          break;
        default:
          h.pci.dma
            .port(IDE)
            .write(BigInt(random.next(0x400000)) << BigInt(random.next(30)), new Uint8Array(random.next(9000)));
      }
    }
    const saved = h.save();
    const other = enabled();
    other.restore(saved);
    assert.deepEqual(other.save(), saved);
  });
});
